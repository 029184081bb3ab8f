//! Reads single tensors out of a safetensors file.
//!
//! The file is read tensor by tensor and straight into the form it is kept in, because holding
//! the whole file beside the loaded model would double what the process needs at its start.
//! Layout: the header's length (8 bytes, little endian), a JSON header, the tensors' bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Deserialize;

/// The real header has some 10 kB.
const HEADER_BYTES_MAX: usize = 1024 * 1024;
const READ_BYTES: usize = 256 * 1024;
const VALUE_BYTES: usize = 4;

/// Why a file of the model cannot be used. Names the file, never where it lies.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot read {file}")]
    Read {
        file: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{file} is malformed")]
    Malformed {
        file: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the weights lack {0} in the expected shape and type")]
    Tensor(String),
    #[error("config.json describes another model: {0}")]
    Config(&'static str),
    #[error("the weights cannot be arranged")]
    Arrange(#[from] candle_core::Error),
}

pub(super) const WEIGHTS: &str = "model.safetensors";

pub(super) struct Weights {
    reader: BufReader<File>,
    tensors: HashMap<String, Entry>,
    /// Where the tensors' bytes begin.
    start: u64,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl Weights {
    pub(super) fn open(dir: &Path) -> Result<Self, LoadError> {
        let file = File::open(dir.join(WEIGHTS)).map_err(unreadable)?;
        let mut reader = BufReader::with_capacity(READ_BYTES, file);
        let mut length = [0; 8];
        reader.read_exact(&mut length).map_err(unreadable)?;
        let length = u64::from_le_bytes(length);
        let mut header = match usize::try_from(length) {
            Ok(length) if length <= HEADER_BYTES_MAX => vec![0; length],
            Ok(_) | Err(_) => return Err(malformed("the header is too long".into())),
        };
        reader.read_exact(&mut header).map_err(unreadable)?;
        let mut header: HashMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|error| malformed(error.into()))?;
        header.remove("__metadata__");
        let tensors = header
            .into_iter()
            .map(|(name, entry)| Ok((name, serde_json::from_value(entry)?)))
            .collect::<Result<_, serde_json::Error>>()
            .map_err(|error| malformed(error.into()))?;
        Ok(Self { reader, tensors, start: 8 + length })
    }

    /// A tensor's numbers, row by row, each put through `convert`.
    pub(super) fn values<T>(
        &mut self,
        name: &str,
        shape: &[usize],
        convert: impl Fn(f32) -> T,
    ) -> Result<Vec<T>, LoadError> {
        let count: usize = shape.iter().product();
        let entry = self
            .tensors
            .get(name)
            .filter(|entry| entry.is(shape, count))
            .ok_or_else(|| LoadError::Tensor(name.to_owned()))?;
        let from = SeekFrom::Start(self.start.saturating_add(entry.data_offsets.0));
        self.reader.seek(from).map_err(unreadable)?;
        let mut values = Vec::with_capacity(count);
        let mut buffer = vec![0; READ_BYTES];
        let mut left = count;
        while left > 0 {
            let take = left.min(READ_BYTES / VALUE_BYTES);
            let Some(bytes) = buffer.get_mut(..take * VALUE_BYTES) else {
                break;
            };
            self.reader.read_exact(bytes).map_err(unreadable)?;
            let (numbers, _) = bytes.as_chunks::<VALUE_BYTES>();
            values.extend(numbers.iter().map(|n| convert(f32::from_le_bytes(*n))));
            left -= take;
        }
        Ok(values)
    }

    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        let values = self.values(name, shape, |value| value)?;
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

impl Entry {
    fn is(&self, shape: &[usize], count: usize) -> bool {
        let (from, to) = self.data_offsets;
        let bytes = u64::try_from(count * VALUE_BYTES).ok();
        self.dtype == "F32" && self.shape == shape && to.checked_sub(from) == bytes
    }
}

fn unreadable(source: std::io::Error) -> LoadError {
    LoadError::Read { file: WEIGHTS, source }
}

fn malformed(source: Box<dyn std::error::Error + Send + Sync>) -> LoadError {
    LoadError::Malformed { file: WEIGHTS, source }
}
