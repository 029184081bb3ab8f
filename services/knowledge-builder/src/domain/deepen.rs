//! Deepening: which entities a run follows from round to round.
//!
//! A run is a machine fed from outside: it names the identifiers to ask for, is told what that found, and names the
//! next ones. What it does in a round depends on the rounds before alone, so a run of n cycles begins like one of n - 1.

use std::collections::HashMap;

use api_types::knowledge::{KnowledgeRound, contains_phrase};

/// Entities followed in a round.
const FOLLOWED_MAX: usize = 3;

/// Capitalised words in a name.
const NAME_WORDS: std::ops::RangeInclusive<usize> = 2..=5;

/// The longest identifier, in characters.
const NAME_CHARACTERS_MAX: usize = 200;

/// Words that may stand inside a name without a capital.
const CONNECTING: [&str; 6] = ["of", "the", "de", "la", "von", "van"];

/// Words that begin a sentence rather than a name.
const STOP_WORDS: &str = " a after again all also although among an and another any as at because before besides both \
    but by did do does during each either even every few for from had has have he hence her here his how however i if \
    in indeed instead into is it its later many meanwhile more most moreover mr mrs ms my near neither never next no \
    nor not nothing now of off often on once one only or other our out over perhaps she since so some soon still such \
    than that the their then there therefore these they this those though through thus to today together too two under \
    until up upon was we were what when where whether which while who whose why with within without yet you your ";

/// A run of deepening.
#[derive(Debug)]
pub(crate) struct Deepening {
    cycles: u32,
    round: u32,
    current: Vec<String>,
    followed: Vec<String>,
    rounds: Vec<KnowledgeRound>,
    over: bool,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Round 0 and every later round that added items.
    pub(crate) rounds: Vec<KnowledgeRound>,
    pub(crate) cycles_run: u32,
    /// There was nothing more to follow, or following added nothing.
    pub(crate) stopped_early: bool,
}

impl Deepening {
    /// A run that starts with an entity and follows others for so many cycles.
    #[must_use]
    pub(crate) fn new(identifier: &str, cycles: u32) -> Self {
        Self {
            cycles,
            round: 0,
            current: vec![identifier.to_owned()],
            followed: vec![identifier.to_owned()],
            rounds: Vec::new(),
            over: false,
        }
    }

    /// The number of the round to do, from 0.
    #[must_use]
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// What to ask for in this round; nothing when the run is over.
    #[must_use]
    pub(crate) fn identifiers(&self) -> &[String] {
        if self.over { &[] } else { &self.current }
    }

    /// Ends a round: `texts` are those of the items it added, `linked` the entities that statements link to.
    pub(crate) fn found(&mut self, texts: &[&str], linked: &[String]) {
        if self.over {
            return;
        }
        if self.round == 0 || !texts.is_empty() {
            self.rounds.push(KnowledgeRound {
                round: self.round,
                identifiers: std::mem::take(&mut self.current),
                items: i64::try_from(texts.len()).unwrap_or(i64::MAX),
            });
        }
        self.over = true;
        if texts.is_empty() || self.round == self.cycles {
            return;
        }
        self.current = self.choose(texts, linked);
        self.over = self.current.is_empty();
        self.followed.extend_from_slice(&self.current);
        self.round += u32::from(!self.over);
    }

    /// The result of a run that is over.
    #[must_use]
    pub(crate) fn outcome(self) -> Outcome {
        let later = self.rounds.len().saturating_sub(1);
        let cycles_run = u32::try_from(later).unwrap_or(u32::MAX);
        Outcome { rounds: self.rounds, cycles_run, stopped_early: cycles_run < self.cycles }
    }

    fn choose(&self, texts: &[&str], linked: &[String]) -> Vec<String> {
        let linked = linked.iter().map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut chosen: Vec<String> = Vec::new();
        for name in linked.chain(names(texts)) {
            if chosen.len() == FOLLOWED_MAX {
                break;
            }
            let usable = !name.is_empty() && name.chars().count() <= NAME_CHARACTERS_MAX;
            let known = self.followed.iter().chain(&chosen);
            if usable && !known.into_iter().any(|known| contains_phrase(known, &name)) {
                chosen.push(name);
            }
        }
        chosen
    }
}

/// The names in these texts, most frequent first, then in the order of their first appearance.
fn names(texts: &[&str]) -> Vec<String> {
    let mut counted: HashMap<String, (usize, usize)> = HashMap::new();
    let mut runs = Vec::new();
    for text in texts {
        runs_of(text, &mut runs);
    }
    for (place, name) in runs.into_iter().enumerate() {
        counted.entry(name).or_insert((0, place)).0 += 1;
    }
    let mut names: Vec<_> = counted.into_iter().collect();
    names.sort_by_key(|(_, (count, place))| (std::cmp::Reverse(*count), *place));
    names.into_iter().map(|(name, _)| name).collect()
}

/// Adds the names of one text: runs of capitalised words, not crossing punctuation or an empty line.
fn runs_of(text: &str, names: &mut Vec<String>) {
    let mut run = Run::default();
    for paragraph in paragraphs(text) {
        for chunk in paragraph.split_whitespace() {
            read_chunk(chunk, &mut run, names);
        }
        run.end(names);
    }
}

fn paragraphs(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut paragraph = lines.next()?.to_owned();
        for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
            paragraph.push(' ');
            paragraph.push_str(line);
        }
        Some(paragraph)
    })
}

/// Reads what stands between two spaces: mostly a word, perhaps with punctuation around or in it.
fn read_chunk(chunk: &str, run: &mut Run, names: &mut Vec<String>) {
    let mut pieces = chunk.split(|c: char| !is_of_a_word(c)).peekable();
    while let Some(piece) = pieces.next() {
        let word = piece.trim_matches(['-', '\'', '’']);
        let bare = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
        if bare.is_empty() {
            // Punctuation alone, or at the edge of the chunk.
            if !piece.is_empty() || pieces.peek().is_some() {
                run.end(names);
            }
            continue;
        }
        if piece.starts_with(['-', '\'', '’']) {
            run.end(names);
        }
        run.word(bare, names);
        // A possessive ends a name like a comma does; so does what separates pieces.
        if bare.len() < piece.trim_start_matches(['-', '\'', '’']).len() || pieces.peek().is_some() {
            run.end(names);
        }
    }
}

/// Hyphens and apostrophes join; marks combine.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '\'' | '’' | '\u{300}'..='\u{36f}')
}

/// A run of words that may become a name.
#[derive(Default)]
struct Run {
    words: Vec<String>,
    /// Connecting words seen since the last capitalised one.
    connecting: Vec<String>,
    capitalised: usize,
}

impl Run {
    fn word(&mut self, word: &str, names: &mut Vec<String>) {
        if word.chars().next().is_some_and(char::is_uppercase) {
            if self.words.is_empty() && is_stop_word(word) {
                return;
            }
            self.words.append(&mut self.connecting);
            self.words.push(word.to_owned());
            self.capitalised += 1;
        } else if CONNECTING.contains(&word) && !self.words.is_empty() {
            self.connecting.push(word.to_owned());
        } else {
            self.end(names);
        }
    }

    fn end(&mut self, names: &mut Vec<String>) {
        if NAME_WORDS.contains(&self.capitalised) {
            names.push(self.words.join(" "));
        }
        *self = Self::default();
    }
}

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(&format!(" {} ", word.to_lowercase()))
}

#[cfg(test)]
mod tests;
