//! The forward pass of all-MiniLM-L6-v2, a six-layer BERT encoder.
//!
//! The texts of a batch are laid end to end, not padded to one length: every row of every matrix
//! product is then a real token, and a text's vector does not depend on its neighbours. Only
//! attention looks at each text by itself.

use std::path::Path;

use candle_core::{Device, Result, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::Deserialize;

use super::ops::{AddRow, AddRowGelu, ResidualNorm, Softmax, norm_row};
use super::weights::{LoadError, Weights};
use crate::vectors::unit;
use crate::{DIMENSIONS, Vector};

/// Tokens beyond are cut off; the length the model was trained for.
pub(super) const TOKENS_MAX: usize = 256;

pub(super) const CONFIG: &str = "config.json";

/// The parts of config.json the forward pass depends on.
#[derive(Deserialize)]
struct Config {
    hidden_act: String,
    hidden_size: usize,
    intermediate_size: usize,
    layer_norm_eps: f32,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    vocab_size: usize,
}

pub(super) struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

struct Embeddings {
    /// Half precision: a third of the model's memory instead of half, and the vectors move by
    /// less than a ten-thousandth.
    words: Vec<f16>,
    /// Positions, with the (only) segment's embedding already added.
    positions: Vec<f32>,
    gain: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

struct Layer {
    heads: usize,
    /// Queries, keys and values side by side: one product instead of three.
    attend: Tensor,
    attend_bias: Tensor,
    mix: Tensor,
    mix_norm: Tensor,
    widen: Tensor,
    widen_bias: Tensor,
    narrow: Tensor,
    narrow_norm: Tensor,
    epsilon: f32,
}

impl Bert {
    pub(super) fn load(dir: &Path) -> std::result::Result<Self, LoadError> {
        let config = Config::read(dir)?;
        let mut weights = Weights::open(dir)?;
        let embeddings = Embeddings::load(&mut weights, &config)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(&mut weights, &config, index))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self { embeddings, layers })
    }

    /// The unit vectors of texts given as token ids, none of them empty.
    pub(super) fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<Vector>> {
        let mut rows = self.embeddings.rows(texts)?;
        for layer in &self.layers {
            rows = layer.forward(&rows, texts)?;
        }
        let values = rows.flatten_all()?.to_vec1::<f32>()?;
        let mut rows = values.chunks_exact(DIMENSIONS);
        texts.iter().map(|tokens| mean(rows.by_ref().take(tokens.len()))).collect()
    }
}

/// The direction of the sum is that of the mean.
fn mean<'a>(rows: impl Iterator<Item = &'a [f32]>) -> Result<Vector> {
    let mut sum = vec![0.0; DIMENSIONS];
    for row in rows {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    match unit(sum) {
        Some(vector) => Ok(vector),
        None => candle_core::bail!("the text has no direction"),
    }
}

impl Config {
    fn read(dir: &Path) -> std::result::Result<Self, LoadError> {
        let text = std::fs::read(dir.join(CONFIG)).map_err(|source| LoadError::Read { file: CONFIG, source })?;
        let config: Self = serde_json::from_slice(&text)
            .map_err(|error| LoadError::Malformed { file: CONFIG, source: error.into() })?;
        if config.hidden_size != DIMENSIONS {
            return Err(LoadError::Config("its vectors do not have 384 dimensions"));
        }
        if config.hidden_act != "gelu" {
            return Err(LoadError::Config("its activation is not gelu"));
        }
        if config.max_position_embeddings < TOKENS_MAX {
            return Err(LoadError::Config("it takes fewer than 256 tokens"));
        }
        if config.num_attention_heads == 0 || !DIMENSIONS.is_multiple_of(config.num_attention_heads) {
            return Err(LoadError::Config("its heads do not divide its width"));
        }
        Ok(config)
    }
}

impl Embeddings {
    fn load(weights: &mut Weights, config: &Config) -> std::result::Result<Self, LoadError> {
        let same = |value| value;
        let mut read = |name: &str, shape: &[usize]| weights.values(&format!("embeddings.{name}.weight"), shape, same);
        let segment = read("token_type_embeddings", &[2, DIMENSIONS])?;
        let mut positions = read("position_embeddings", &[config.max_position_embeddings, DIMENSIONS])?;
        positions.truncate(TOKENS_MAX * DIMENSIONS);
        positions.shrink_to_fit();
        for row in positions.chunks_exact_mut(DIMENSIONS) {
            for (value, add) in row.iter_mut().zip(&segment) {
                *value += add;
            }
        }
        Ok(Self {
            words: weights.values(
                "embeddings.word_embeddings.weight",
                &[config.vocab_size, DIMENSIONS],
                f16::from_f32,
            )?,
            positions,
            gain: weights.values("embeddings.LayerNorm.weight", &[DIMENSIONS], same)?,
            shift: weights.values("embeddings.LayerNorm.bias", &[DIMENSIONS], same)?,
            epsilon: config.layer_norm_eps,
        })
    }

    fn rows(&self, texts: &[Vec<u32>]) -> Result<Tensor> {
        let tokens: usize = texts.iter().map(Vec::len).sum();
        let mut rows = vec![0.0; tokens * DIMENSIONS];
        let ids = texts.iter().flat_map(|text| text.iter().zip(self.positions.chunks_exact(DIMENSIONS)));
        for (row, (id, position)) in rows.chunks_exact_mut(DIMENSIONS).zip(ids) {
            let start = usize::try_from(*id)?.saturating_mul(DIMENSIONS);
            let Some(word) = self.words.get(start..start.saturating_add(DIMENSIONS)) else {
                candle_core::bail!("token {id} is not in the vocabulary");
            };
            word.convert_to_f32_slice(row);
            for (value, add) in row.iter_mut().zip(position) {
                *value += add;
            }
            norm_row(row, &self.gain, &self.shift, self.epsilon);
        }
        Tensor::from_vec(rows, (tokens, DIMENSIONS), &Device::Cpu)
    }
}

impl Layer {
    fn load(weights: &mut Weights, config: &Config, index: usize) -> std::result::Result<Self, LoadError> {
        let prefix = format!("encoder.layer.{index}");
        let (width, wide) = (DIMENSIONS, config.intermediate_size);
        let mut read = |name: &str, shape: &[usize]| weights.tensor(&format!("{prefix}.{name}"), shape);
        let mut attend = Vec::new();
        let mut attend_bias = Vec::new();
        for part in ["query", "key", "value"] {
            let mut weight = read(&format!("attention.self.{part}.weight"), &[width, width])?;
            let mut bias = read(&format!("attention.self.{part}.bias"), &[width])?;
            if part == "query" {
                // Scores are divided by the root of a head's width: done here, once.
                let scale = ((width / config.num_attention_heads) as f64).sqrt();
                weight = (weight / scale)?;
                bias = (bias / scale)?;
            }
            attend.push(weight);
            attend_bias.push(bias);
        }
        let mut norm = |name: &str| -> std::result::Result<Tensor, LoadError> {
            let bias = read(&format!("{name}.dense.bias"), &[width])?;
            let gain = read(&format!("{name}.LayerNorm.weight"), &[width])?;
            let shift = read(&format!("{name}.LayerNorm.bias"), &[width])?;
            Ok(Tensor::stack(&[bias, gain, shift], 0)?)
        };
        Ok(Self {
            heads: config.num_attention_heads,
            mix_norm: norm("attention.output")?,
            narrow_norm: norm("output")?,
            attend: Tensor::cat(&attend, 0)?.t()?.contiguous()?,
            attend_bias: Tensor::cat(&attend_bias, 0)?,
            mix: read("attention.output.dense.weight", &[width, width])?.t()?.contiguous()?,
            widen: read("intermediate.dense.weight", &[wide, width])?.t()?.contiguous()?,
            widen_bias: read("intermediate.dense.bias", &[wide])?,
            narrow: read("output.dense.weight", &[width, wide])?.t()?.contiguous()?,
            epsilon: config.layer_norm_eps,
        })
    }

    fn forward(&self, rows: &Tensor, texts: &[Vec<u32>]) -> Result<Tensor> {
        let norm = ResidualNorm { epsilon: self.epsilon };
        let mixed = self.attention(rows, texts)?.matmul(&self.mix)?;
        mixed.inplace_op3(rows, &self.mix_norm, &norm)?;
        let wide = mixed.matmul(&self.widen)?;
        wide.inplace_op2(&self.widen_bias, &AddRowGelu)?;
        let narrow = wide.matmul(&self.narrow)?;
        narrow.inplace_op3(&mixed, &self.narrow_norm, &norm)?;
        Ok(narrow)
    }

    fn attention(&self, rows: &Tensor, texts: &[Vec<u32>]) -> Result<Tensor> {
        let parts = rows.matmul(&self.attend)?;
        parts.inplace_op2(&self.attend_bias, &AddRow)?;
        let (tokens, _) = rows.dims2()?;
        let parts = parts.reshape((tokens, 3, self.heads, DIMENSIONS / self.heads))?;
        let mut start = 0;
        let mut contexts = Vec::with_capacity(texts.len());
        for text in texts {
            let own = parts.narrow(0, start, text.len())?;
            // Views of (head, token, number); the products take them without a copy.
            let part = |index| own.narrow(1, index, 1)?.squeeze(1)?.transpose(0, 1);
            let scores = part(0)?.matmul(&part(1)?.t()?)?;
            scores.inplace_op1(&Softmax { row_len: text.len() })?;
            let context = scores.matmul(&part(2)?)?.transpose(0, 1)?;
            contexts.push(context.reshape((text.len(), DIMENSIONS))?);
            start += text.len();
        }
        Tensor::cat(&contexts, 0)
    }
}
