//! A text as words, with what stands between them.

use std::borrow::Cow;
use std::collections::HashMap;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::CONTEXT_BYTES;
use super::mentions::LabelIndex;

/// A text cut into words.
pub(super) struct Text<'a> {
    /// Composed (NFC), so that equal words are equal bytes.
    text: Cow<'a, str>,
    words: Vec<Word>,
    /// The different words in lower case, with their number in the label index.
    vocabulary: Vec<(Box<str>, Option<u32>)>,
}

/// One word: where it stands and which one it is.
#[derive(Clone, Copy)]
pub(super) struct Word {
    start: u32,
    end: u32,
    /// Its number in this text's vocabulary.
    pub(super) id: u32,
    /// The line it stands on, from 1.
    pub(super) line: u32,
    /// Whether only space or a hyphen parts it from the word before; false at the start of the text.
    pub(super) joined: bool,
}

/// A word of a label, or any word outside a larger text.
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) joined: bool,
    start: usize,
}

/// Cuts a text into words: runs of letters and digits, with apostrophes inside, and `+` and `#` after the first.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end + text[end..].find(is_word_char)?;
        let joined = end > 0 && is_joint(&text[end..start]);
        end = start + word_length(&text[start..]);
        Some(Piece { text: &text[start..end], joined, start })
    })
}

/// The form in which words are compared.
pub(super) fn folded(word: &str) -> String {
    let letters = word.chars().filter(|c| !is_apostrophe(*c));
    letters.flat_map(char::to_lowercase).nfc().collect()
}

fn word_length(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let inside = is_apostrophe(c) && chars.peek().is_some_and(|(_, next)| is_word_char(*next));
        if !is_word_char(c) && !inside && !matches!(c, '+' | '#') {
            return at;
        }
    }
    text.len()
}

fn is_word_char(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    c.is_alphanumeric() || c.general_category_group() == GeneralCategoryGroup::Mark
}

const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// Whether what stands between two words keeps them together. An empty line parts, as do stops, commas and brackets.
fn is_joint(gap: &str) -> bool {
    let mut lines = 0;
    gap.chars().all(|c| {
        lines += u8::from(c == '\n');
        lines < 2 && (c.is_whitespace() || matches!(c, '-' | '\u{2010}' | '\u{2011}' | '/'))
    })
}

impl<'a> Text<'a> {
    /// Lines are counted in the text as given; composing changes no line ends.
    pub(super) fn new(text: &'a str, index: &LabelIndex) -> Self {
        let text = if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) };
        let mut ids = HashMap::new();
        let mut vocabulary = Vec::new();
        let mut words = Vec::new();
        let (mut line, mut counted) = (1u32, 0);
        for piece in pieces(&text) {
            let ends = text[counted..piece.start].bytes().filter(|byte| *byte == b'\n').count();
            line = line.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
            counted = piece.start;
            let id = match ids.get(piece.text) {
                Some(id) => *id,
                None => {
                    let id = u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
                    let folded = folded(piece.text);
                    let id = *ids.entry(Cow::Owned::<str>(folded.clone())).or_insert(id);
                    if usize::try_from(id) == Ok(vocabulary.len()) {
                        vocabulary.push((folded.as_str().into(), index.word(&folded)));
                    }
                    ids.insert(Cow::Borrowed(piece.text), id);
                    id
                }
            };
            words.push(Word {
                start: offset(piece.start),
                end: offset(piece.start + piece.text.len()),
                id,
                line,
                joined: piece.joined,
            });
        }
        drop(ids);
        Self { text, words, vocabulary }
    }

    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    /// The word in lower case.
    pub(super) fn folded(&self, word: usize) -> &str {
        &self.vocabulary[at(self.words[word].id)].0
    }

    /// The word's number in the label index, when any label has it.
    pub(super) fn label_word(&self, word: usize) -> Option<u32> {
        self.vocabulary[at(self.words[word].id)].1
    }

    /// The text from one word to another, both included, with single spaces.
    pub(super) fn span(&self, first: usize, last: usize) -> String {
        let text = &self.text[at(self.words[first].start)..at(self.words[last].end)];
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// How many bytes the text from one word to another takes, as it stands.
    pub(super) fn span_bytes(&self, first: usize, last: usize) -> usize {
        at(self.words[last].end) - at(self.words[first].start)
    }

    /// What stands before a word, up to the word before it.
    pub(super) fn gap(&self, word: usize) -> &str {
        let start = word.checked_sub(1).map_or(0, |before| at(self.words[before].end));
        &self.text[start..at(self.words[word].start)]
    }

    /// The sentence around a word, or as much of it as is near.
    pub(super) fn sentence(&self, word: usize) -> String {
        let is_end = |c: char| matches!(c, '.' | '!' | '?' | '\n' | '\r');
        let start = at(self.words[word].start);
        let from = self.text.floor_char_boundary(start.saturating_sub(CONTEXT_BYTES));
        let to = self.text.floor_char_boundary((start + CONTEXT_BYTES).min(self.text.len()));
        let before = &self.text[from..start];
        let before = before.rfind(is_end).map_or(before, |end| &before[end + 1..]);
        let after = &self.text[start..to];
        let after = after.find(is_end).map_or(after, |end| &after[..=end]);
        format!("{before}{after}").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Texts have at most a million characters, so offsets fit.
fn offset(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn at(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
