//! Which words of a query to look for, so that a search costs the same however much is stored.
//!
//! Any of the words will do, since whoever asks a question does not know the words of its answer. But a word that most
//! items hold tells none of them apart, and ranking all that hold it takes longer the more there are. So the rarest
//! words choose which items are ranked, as many words as stay within [`CANDIDATES_MAX`]; all words count in the rank.

use std::collections::HashMap;

/// Items that are ranked by their words, about.
pub(crate) const CANDIDATES_MAX: usize = 2_000;

/// How common words are among the items.
#[derive(Debug, Default)]
pub(crate) struct Frequencies {
    /// How many items there are, about.
    pub(crate) items: f64,
    /// The share of items that hold a word, of the most common words.
    pub(crate) common: HashMap<String, f64>,
    /// The least of these shares: no other word is more common.
    pub(crate) least: f64,
}

impl Frequencies {
    fn items_with(&self, word: &str) -> f64 {
        self.items * self.common.get(word).copied().unwrap_or(self.least)
    }
}

/// What is looked for, as the database reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Any of the words: what items are ranked by.
    pub(crate) any: String,
    /// What an item must fit one of to be ranked.
    pub(crate) candidates: Vec<String>,
}

/// Chooses among the words of a query.
#[must_use]
pub(crate) fn choose(mut words: Vec<String>, frequencies: &Frequencies) -> Looked {
    words.sort_by(|a, b| frequencies.items_with(a).total_cmp(&frequencies.items_with(b)).then_with(|| a.cmp(b)));
    let joined = |words: &[String], operator| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(operator);
    let mut budget = f64::from(u32::try_from(CANDIDATES_MAX).unwrap_or(u32::MAX));
    let telling = words.iter().take_while(|word| {
        budget -= frequencies.items_with(word);
        budget >= 0.0
    });
    let telling = telling.count();
    let candidates = match (telling, words.first()) {
        (_, None) => Vec::new(),
        // Each word is common: items that hold them all, and some that hold the rarest.
        (0, Some(rarest)) => vec![joined(&words, " & "), quoted(rarest)],
        _ => vec![joined(&words[..telling], " | ")],
    };
    Looked { any: joined(&words, " | "), candidates }
}

/// A word in the query language of the database, whatever characters it has.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{Frequencies, Looked, choose};

    fn among(items: f64, common: &[(&str, f64)]) -> Frequencies {
        let least = common.iter().map(|(_, share)| *share).fold(1.0, f64::min);
        Frequencies { items, common: common.iter().map(|(word, share)| ((*word).to_owned(), *share)).collect(), least }
    }

    fn chosen(words: &[&str], frequencies: &Frequencies) -> Looked {
        choose(words.iter().map(|word| (*word).to_owned()).collect(), frequencies)
    }

    #[test]
    fn every_word_counts_while_there_is_little() {
        let looked = chosen(&["b", "a"], &among(100.0, &[("a", 1.0), ("b", 1.0)]));
        assert_eq!(looked.candidates, ["'a' | 'b'"]);
        assert_eq!(chosen(&["b", "a"], &Frequencies::default()).candidates, ["'a' | 'b'"]);
    }

    #[test]
    fn rare_words_choose_and_all_words_rank() {
        let looked = chosen(&["the", "comet", "halley"], &among(100_000.0, &[("the", 0.9), ("comet", 0.01)]));
        // A word that is not among the common ones is at most as common as the rarest of them.
        assert_eq!(looked.candidates, ["'comet' | 'halley'"]);
        assert_eq!(looked.any, "'comet' | 'halley' | 'the'");
    }

    #[test]
    fn common_words_alone_are_looked_for_together() {
        let looked = chosen(&["map", "old"], &among(1e6, &[("map", 0.2), ("old", 0.1)]));
        assert_eq!(looked.candidates, ["'old' & 'map'", "'old'"]);
    }

    #[test]
    fn nothing_is_looked_for_without_words() {
        assert_eq!(chosen(&[], &Frequencies::default()), Looked::default());
    }

    #[test]
    fn words_keep_to_themselves() {
        assert_eq!(chosen(&["a' | b\\"], &Frequencies::default()).any, "'a'' | b\\\\'");
    }
}
