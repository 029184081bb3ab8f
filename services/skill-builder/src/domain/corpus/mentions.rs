//! Labels of the taxonomy that stand in a text.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::words::{Text, folded, pieces};

/// A single word must have this many letters to be taken for the skill it names: short ones mean too much else.
const LONE_WORD_LETTERS_MIN: usize = 8;
const ROOT: u32 = 0;

/// Whether a label is the preferred one of its concept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LabelKind {
    Alternative,
    Preferred,
}

/// All labels of a taxonomy's skills, as a tree of words. Built once for a taxonomy, then only read.
#[derive(Debug, Default)]
pub(crate) struct LabelIndex {
    words: HashMap<Box<str>, u32>,
    /// From a node by a word, and whether the word is joined to the one before.
    edges: HashMap<(u32, u32, bool), u32>,
    /// The concept whose label ends in a node, and what kind of label.
    ends: HashMap<u32, (LabelKind, u32)>,
    concepts: Vec<IndexedConcept>,
    by_uri: HashMap<Arc<str>, u32>,
}

/// What a mention leads to.
#[derive(Debug)]
pub(super) struct IndexedConcept {
    pub(super) uri: Arc<str>,
    /// The preferred label.
    pub(super) label: Box<str>,
}

impl LabelIndex {
    /// Adds a label of a concept. Labels too short to be told from ordinary words are left out. Where concepts share
    /// a label it is that of the one which prefers it, then of the shortest preferred label, then of the lowest URI.
    pub(crate) fn add(&mut self, uri: &Arc<str>, preferred: &str, label: &str, kind: LabelKind) {
        let mut node = ROOT;
        let words: Vec<_> = pieces(label).collect();
        let lone = words.len() == 1;
        let letters = label.chars().filter(|c| c.is_alphabetic()).count();
        if words.is_empty() || (lone && letters < LONE_WORD_LETTERS_MIN) {
            return;
        }
        for (place, word) in words.into_iter().enumerate() {
            let next = id(self.words.len());
            let word_id = *self.words.entry(folded(word.text).into()).or_insert(next);
            let next = id(self.edges.len() + 1);
            let joined = place == 0 || word.joined;
            node = *self.edges.entry((node, word_id, joined)).or_insert(next);
        }
        let concept = self.concept_id(uri, preferred);
        let better = self
            .ends
            .get(&node)
            .is_none_or(|&(other_kind, other)| self.claim(kind, concept) > self.claim(other_kind, other));
        if better {
            self.ends.insert(node, (kind, concept));
        }
    }

    /// How strong a concept's claim on a shared label is.
    fn claim(&self, kind: LabelKind, concept: u32) -> (LabelKind, Reverse<(usize, &str)>) {
        let concept = self.concept(concept);
        (kind, Reverse((concept.label.chars().count(), &concept.uri)))
    }

    fn concept_id(&mut self, uri: &Arc<str>, preferred: &str) -> u32 {
        if let Some(id) = self.by_uri.get(uri) {
            return *id;
        }
        let id = id(self.concepts.len());
        self.concepts.push(IndexedConcept { uri: uri.clone(), label: preferred.into() });
        self.by_uri.insert(uri.clone(), id);
        id
    }

    pub(super) fn concept(&self, id: u32) -> &IndexedConcept {
        // Only ids from `concept_id` are handed out.
        &self.concepts[usize::try_from(id).unwrap_or(usize::MAX)]
    }

    /// The number of a word, when any label has it.
    pub(super) fn word(&self, folded: &str) -> Option<u32> {
        self.words.get(folded).copied()
    }
}

fn id(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Calls `found` with every concept one of whose labels starts at a word: "whole words, case ignored".
pub(super) fn at(text: &Text<'_>, index: &LabelIndex, first: usize, mut found: impl FnMut(u32)) {
    let mut node = ROOT;
    for place in first..text.words().len() {
        let joined = place == first || text.words()[place].joined;
        let next = text.label_word(place).and_then(|word| index.edges.get(&(node, word, joined)));
        let Some(next) = next else { return };
        node = *next;
        if let Some((_, concept)) = index.ends.get(&node) {
            found(*concept);
        }
    }
}
