//! Text to token ids.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use super::bert::TOKENS_MAX;
use super::weights::LoadError;

pub(super) const TOKENIZER: &str = "tokenizer.json";
/// Far more than 256 tokens of any ordinary text.
const PREFIX_BYTES: usize = 4096;

pub(super) struct Tokens(Tokenizer);

impl Tokens {
    pub(super) fn load(dir: &Path) -> Result<Self, LoadError> {
        let bytes = std::fs::read(dir.join(TOKENIZER)).map_err(|source| LoadError::Read { file: TOKENIZER, source })?;
        let malformed = |source| LoadError::Malformed { file: TOKENIZER, source };
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(malformed)?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(Some(TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() }))
            .map_err(malformed)?;
        Ok(Self(tokenizer))
    }

    /// Between 2 (the marks of begin and end) and [`TOKENS_MAX`] ids.
    pub(super) fn of(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        if let Some(prefix) = prefix(text) {
            // Words are tokenised one by one, so a prefix that fills the model gives the same
            // tokens as the whole text, in a fraction of the time.
            let ids = self.ids(prefix)?;
            if ids.len() == TOKENS_MAX {
                return Ok(ids);
            }
        }
        self.ids(text)
    }

    fn ids(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        Ok(self.0.encode_fast(text, true)?.get_ids().to_vec())
    }
}

/// The beginning of a long text, up to a space.
fn prefix(text: &str) -> Option<&str> {
    if text.len() <= PREFIX_BYTES {
        return None;
    }
    let start = text.get(..text.floor_char_boundary(PREFIX_BYTES))?;
    start.rfind(' ').and_then(|end| start.get(..end))
}
