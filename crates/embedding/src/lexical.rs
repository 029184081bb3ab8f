//! Vectors without a model: hashed words and pieces of words.
//!
//! Texts that share words, or words with the same stem, come close; synonyms do not. Every
//! feature is hashed to one of the dimensions with a sign, so unrelated features that meet in a
//! dimension cancel out on average. Nothing here depends on the machine or the process: the same
//! text gives the same vector for as long as `lexical-384` is the model's name.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::vectors::unit;
use crate::{DIMENSIONS, Vector};

const DIMENSIONS_U64: u64 = 384;
const _: () = assert!(DIMENSIONS == 384, "the model's name says 384");

const WORD_WEIGHT: f32 = 1.0;
/// The pieces of a word weigh together somewhat less than the word, however long it is.
const PIECES_WEIGHT: f32 = 0.8;
/// Words that say little about what a text is about. English only: the fallback is a stopgap.
const COMMON_WEIGHT: f32 = 0.1;
const COMMON: [&str; 38] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "for", "from", "has", "have", "how", "i", "in", "is",
    "it", "my", "of", "on", "or", "our", "so", "that", "the", "their", "this", "to", "was", "we", "what", "which",
    "will", "with", "you", "your",
];
/// From here on come the scripts written without spaces. A run of their letters is a clause, not
/// a word, so only its pieces count, and two characters carry as much as a word elsewhere.
const SPACELESS_FROM: char = '\u{2E80}';
/// Words are cut for their pieces, so that one endless "word" costs no more than a long one.
const PIECED_CHARS_MAX: usize = 64;

/// The vector of a text; unit length also for a text without any word.
pub(crate) fn embed(text: &str) -> Vector {
    let mut vector = vec![0.0; DIMENSIONS];
    let mut counts: HashMap<String, u16> = HashMap::new();
    for word in words(text) {
        let count = counts.entry(word).or_default();
        *count = count.saturating_add(1);
    }
    // Sums of floats depend on their order, and the order of a HashMap on the process.
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    for (word, count) in counts {
        let common = if COMMON.contains(&word.as_str()) { COMMON_WEIGHT } else { 1.0 };
        let weight = common * (1.0 + f32::from(count).ln());
        if word.chars().any(|c| c >= SPACELESS_FROM) {
            add_pieces(&mut vector, &word, 2, weight * WORD_WEIGHT);
        } else {
            add(&mut vector, b'w', word.as_bytes(), weight * WORD_WEIGHT);
            add_pieces(&mut vector, &word, 3, weight * PIECES_WEIGHT);
        }
    }
    unit(vector).unwrap_or_else(|| {
        let mut vector = vec![0.0; DIMENSIONS];
        add(&mut vector, b'n', b"no words", 1.0);
        vector
    })
}

/// Runs of letters and digits, lower case, without accents and compatibility forms.
fn words(text: &str) -> impl Iterator<Item = String> {
    let folded: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let words: Vec<String> =
        folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

/// So many characters at a time, the word's borders included.
fn add_pieces(vector: &mut Vector, word: &str, size: usize, weight: f32) {
    let mut chars = vec!['^'];
    chars.extend(word.chars().take(PIECED_CHARS_MAX));
    chars.push('$');
    let count = u16::try_from(chars.len() + 1 - size).unwrap_or(u16::MAX);
    let each = weight / f32::from(count).sqrt();
    for piece in chars.windows(size) {
        add(vector, b'p', String::from_iter(piece).as_bytes(), each);
    }
}

fn add(vector: &mut Vector, kind: u8, feature: &[u8], weight: f32) {
    let hash = hash(kind, feature);
    let signed = if hash >> 63 == 0 { weight } else { -weight };
    let dimension = usize::try_from(hash % DIMENSIONS_U64).unwrap_or_default();
    if let Some(value) = vector.get_mut(dimension) {
        *value += signed;
    }
}

/// FNV-1a, then the finishing steps of `MurmurHash3` so that all bits depend on all input.
fn hash(kind: u8, feature: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in std::iter::once(&kind).chain(feature) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::embed;
    use crate::{DIMENSIONS, cosine};

    fn length(vector: &[f32]) -> f32 {
        vector.iter().map(|x| x * x).sum::<f32>().sqrt()
    }

    #[test]
    fn every_text_gets_a_unit_vector_even_without_words() {
        for text in ["", " ", "?!", "word", "两个", &"long text ".repeat(1000)] {
            let vector = embed(text);
            assert_eq!(vector.len(), DIMENSIONS);
            assert!((length(&vector) - 1.0).abs() < 1e-5, "{text:?}");
        }
    }

    #[test]
    fn the_same_text_gives_the_same_bits() {
        let text = "Deterministic vectors of many different words, in any process";
        assert_eq!(embed(text), embed(text));
        // Guards the stored vectors: whoever changes the features must also change the name.
        let strongest = embed("imago")
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
            .map(|(dimension, value)| (dimension, value.is_sign_positive()));
        assert_eq!(strongest, Some(STRONGEST_OF_IMAGO));
    }

    const STRONGEST_OF_IMAGO: (usize, bool) = (102, false);

    #[test]
    fn shared_words_bring_texts_together() {
        let question = embed("how do I reset my password");
        let near = embed("Resetting a password is done under settings");
        let far = embed("The harbour was quiet before the storm");
        assert!(cosine(&question, &near) > 0.25);
        assert!(cosine(&question, &near) > cosine(&question, &far) + 0.2);
    }

    #[test]
    fn case_accents_and_word_endings_matter_little() {
        assert!(cosine(&embed("Café Über"), &embed("cafe uber")) > 0.99);
        assert!(cosine(&embed("developer"), &embed("developers")) > 0.25);
    }

    #[test]
    fn common_words_do_not_make_texts_alike() {
        let a = embed("what is the weather in the north");
        let b = embed("what is the price of the ticket");
        assert!(cosine(&a, &b) < 0.3);
    }

    #[test]
    fn scripts_without_spaces_share_pieces() {
        let a = embed("知识库管理");
        let b = embed("管理知识库");
        assert!(cosine(&a, &b) > 0.3);
        assert!(cosine(&a, &embed("天气很好")) < 0.2);
    }
}
