//! Skills that a text names: labels of the taxonomy, what follows phrases such as "expert in", and phrases that recur.
//!
//! Every step is linear in the text, whatever it holds.

mod cues;
mod mentions;
mod phrases;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use api_types::skills::normalise;

pub(crate) use mentions::{LabelIndex, LabelKind};
use words::Text;

/// Mentions and cues that count, in round 0.
pub(crate) const NAMED_MAX: usize = 50;
/// Repeated phrases that count, in each later round.
pub(crate) const PHRASES_A_ROUND: usize = 10;
const PHRASES_MAX: usize = 11 * PHRASES_A_ROUND;
/// Lines that are kept as evidence of one skill.
const LINES_MAX: usize = 20;
/// Characters kept on either side of a find, to say where it comes from.
const CONTEXT_BYTES: usize = 200;

/// A skill that the text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) name: String,
    /// The concept, when it is a label of one.
    pub(crate) uri: Option<Arc<str>>,
    /// In how many places it stands.
    pub(crate) count: u32,
    /// The lines on which it stands, from 1, each once.
    pub(crate) lines: Vec<u32>,
    /// The sentence in which it stands first.
    pub(crate) context: String,
}

/// All that a text gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Labels of the taxonomy and what follows a cue; most frequent first, then in the order of the text. At most 50.
    pub(crate) named: Vec<Finding>,
    /// Phrases that occur at least twice; most frequent first, then in the order of the text.
    pub(crate) phrases: Vec<Finding>,
}

/// Reads a text. A skill that is mentioned and follows a cue in the same place stands there once.
#[must_use]
pub(crate) fn read(text: &str, index: &LabelIndex) -> Findings {
    let text = Text::new(text, index);
    let mut named = Named { text: &text, found: Vec::new(), by_name: HashMap::new() };
    let mut cued = cues::find(&text).into_iter().peekable();
    let mut by_concept = HashMap::new();
    for place in 0..text.words().len() {
        mentions::at(&text, index, place, |concept| {
            let entry = *by_concept.entry(concept).or_insert_with(|| {
                let concept = index.concept(concept);
                named.entry(&concept.label, Some(&concept.uri), place)
            });
            named.count(entry, place);
        });
        while let Some(piece) = cued.next_if(|piece| piece.first <= place) {
            let entry = named.entry(&text.span(piece.first, piece.last), None, piece.first);
            named.count(entry, piece.first);
        }
    }
    Findings { named: named.best(NAMED_MAX), phrases: phrases::find(&text, PHRASES_MAX) }
}

/// What was found so far, by normalised name.
struct Named<'a> {
    text: &'a Text<'a>,
    found: Vec<Found>,
    by_name: HashMap<String, usize>,
}

struct Found {
    finding: Finding,
    /// The last place it was counted in, and the first.
    last: Option<usize>,
    first: usize,
}

impl Named<'_> {
    fn entry(&mut self, name: &str, uri: Option<&Arc<str>>, place: usize) -> usize {
        let next = self.found.len();
        let entry = *self.by_name.entry(normalise(name)).or_insert(next);
        if entry == next {
            let finding =
                Finding { name: name.to_owned(), uri: None, count: 0, lines: Vec::new(), context: String::new() };
            self.found.push(Found { finding, last: None, first: place });
        }
        let finding = &mut self.found[entry].finding;
        finding.uri = finding.uri.take().or_else(|| uri.cloned());
        entry
    }

    fn count(&mut self, entry: usize, place: usize) {
        let found = &mut self.found[entry];
        if found.last == Some(place) {
            return;
        }
        found.last = Some(place);
        found.finding.count += 1;
        add_line(&mut found.finding.lines, self.text.words()[place].line);
    }

    fn best(mut self, count: usize) -> Vec<Finding> {
        self.found.sort_by(|a, b| b.finding.count.cmp(&a.finding.count).then(a.first.cmp(&b.first)));
        self.found.truncate(count);
        let with_context = |found: Found| Finding { context: self.text.sentence(found.first), ..found.finding };
        self.found.into_iter().map(with_context).collect()
    }
}

fn add_line(lines: &mut Vec<u32>, line: u32) {
    if lines.len() < LINES_MAX && lines.last() != Some(&line) {
        lines.push(line);
    }
}

#[cfg(test)]
mod tests;
