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

/// The beginning of a long text, up to where a word ends.
fn prefix(text: &str) -> Option<&str> {
    if text.len() <= PREFIX_BYTES {
        return None;
    }
    let start = text.get(..text.floor_char_boundary(PREFIX_BYTES))?;
    start.rfind(is_border).and_then(|end| start.get(..end))
}

/// Characters that are no part of a word for the tokeniser: spaces, punctuation, and ideographs,
/// each a word of its own. There are others, but these occur in about any text.
fn is_border(c: char) -> bool {
    c == ' ' || c == '\n' || c.is_ascii_punctuation() || ('\u{4E00}'..='\u{9FFF}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::{PREFIX_BYTES, prefix};

    #[test]
    fn a_prefix_ends_with_a_whole_word() {
        let text = "word, ".repeat(1000);
        let start = prefix(&text).unwrap();
        assert!(start.len() <= PREFIX_BYTES && start.len() > PREFIX_BYTES - 10);
        assert!(start.ends_with("word") || start.ends_with("word,"));
        assert!(prefix(&"知".repeat(2000)).unwrap().len() > PREFIX_BYTES - 10);
    }

    #[test]
    fn short_texts_and_endless_words_are_taken_whole() {
        assert_eq!(prefix("a few words"), None);
        assert_eq!(prefix(&"ä".repeat(5000)), None);
    }
}
