//! Deriving skills round by round.
//!
//! A [`Generation`] holds what was found so far. The caller fetches what each round asks for (concepts from the store,
//! findings from the text, suggestions of a model), hands it in, and ends the round; nothing here waits or reads.

mod neighbours;
mod pool;

use std::collections::HashMap;
use std::sync::Arc;

use api_types::skills::{
    Category, NAME_CHARS_MAX, Skill, SkillRound, SkillSource, SkillSourceError, SkillSourceReport, SourceName,
    SourceStatus, normalise,
};

use super::corpus::Finding;
use super::taxonomy::SkillConcept;
pub(crate) use neighbours::{Edge, EdgeKind, Neighbour};
use pool::{Draft, Pool};

/// New skills that a model may add in round 0, and in each later round.
pub(crate) const MODEL_FIRST_MAX: usize = 15;
pub(crate) const MODEL_NEXT_MAX: usize = 10;

const CORPUS_FIRST: u32 = 50;
const CORPUS_EACH: u32 = 10;
const CORPUS_MAX: u32 = 90;
const PHRASE: u32 = 40;
const MODEL: u32 = 70;
const CONCEPT_MIN: u32 = 30;
const COST_A_ROUND: u32 = 5;
const TRIGGERS_MAX: usize = 5;

/// How a concept came into the set. Confidence is counted in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Essential,
    Optional,
    Related,
    Broader,
}

impl Relation {
    const fn base(self) -> u32 {
        match self {
            Self::Essential => 95,
            Self::Optional => 80,
            Self::Related => 65,
            Self::Broader => 55,
        }
    }
}

/// A skill that a model suggests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggestion {
    pub(crate) name: String,
    pub(crate) description: String,
}

/// Whether another round may find something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Added,
    /// Nothing new: the run is over.
    Nothing,
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Generation {
    /// What concepts give as their source.
    source: SkillSource,
    /// Of the occupation match, in hundredths.
    score: u32,
    round: u32,
    pool: Pool,
    /// The concepts of each round; the last is the current one.
    concepts: Vec<Vec<Arc<str>>>,
    rounds: Vec<SkillRound>,
    stopped_early: bool,
    reports: Reports,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Generated {
    /// By round, then confidence descending, then name.
    pub(crate) skills: Vec<Skill>,
    /// Round 0 and every later one that added something.
    pub(crate) rounds: Vec<SkillRound>,
    /// How many later rounds added something.
    pub(crate) cycles_run: u32,
    pub(crate) stopped_early: bool,
    pub(crate) sources: Vec<SkillSourceReport>,
}

impl Generation {
    /// A run at the start of round 0, with every source skipped until it is handed in.
    #[must_use]
    pub(crate) fn new(source: SkillSource, score: u32) -> Self {
        Self {
            source,
            score,
            round: 0,
            pool: Pool::default(),
            concepts: vec![Vec::new()],
            rounds: Vec::new(),
            stopped_early: false,
            reports: Reports::default(),
        }
    }

    /// The current round.
    #[must_use]
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// Hands in concepts of the taxonomy; none at all still says that it was asked.
    pub(crate) fn add_concepts(&mut self, concepts: impl IntoIterator<Item = (Relation, SkillConcept)>) {
        self.reports.asked(SourceName::Taxonomy);
        for (relation, concept) in concepts {
            self.reports.found(SourceName::Taxonomy);
            let draft = Draft {
                name: cut(&concept.label),
                description: concept.description,
                category: concept.category,
                triggers: concept.alternative.into_iter().take(TRIGGERS_MAX).collect(),
                evidence: vec![concept.uri.to_string()],
                confidence: self.concept_confidence(relation),
                source: self.source,
                uri: Some(concept.uri),
            };
            self.add(draft);
        }
    }

    /// Hands in what the text names, in round 0 (`named`) and later (repeated phrases). `concepts` has the concepts
    /// that findings are labels of.
    pub(crate) fn add_findings(&mut self, findings: &[Finding], concepts: &HashMap<Arc<str>, SkillConcept>) {
        self.reports.asked(SourceName::Corpus);
        for finding in findings {
            self.reports.found(SourceName::Corpus);
            let concept = finding.uri.as_ref().and_then(|uri| concepts.get(uri));
            let confidence = if self.round == 0 {
                CORPUS_MAX.min(CORPUS_FIRST + CORPUS_EACH.saturating_mul(finding.count))
            } else {
                PHRASE
            };
            let lines = finding.lines.iter().map(|line| format!("corpus:{line}"));
            let alternatives = concept.map_or(&[][..], |concept| &concept.alternative);
            let draft = Draft {
                name: cut(&finding.name),
                description: concept.map_or(&finding.context, |concept| &concept.description).clone(),
                category: Category::Domain,
                triggers: alternatives.iter().take(TRIGGERS_MAX).cloned().collect(),
                evidence: finding.uri.iter().map(ToString::to_string).chain(lines).collect(),
                confidence,
                source: SkillSource::Corpus,
                uri: finding.uri.clone(),
            };
            self.add(draft);
        }
    }

    /// Hands in what a model suggests. Only new skills count, at most 15 in round 0 and 10 in each later one.
    pub(crate) fn add_suggestions(&mut self, suggestions: Vec<Suggestion>) {
        self.reports.asked(SourceName::Model);
        let mut left = if self.round == 0 { MODEL_FIRST_MAX } else { MODEL_NEXT_MAX };
        for suggestion in suggestions {
            let name = cut(&suggestion.name);
            if left == 0 || normalise(&name).is_empty() || self.pool.has(&name) {
                continue;
            }
            left -= 1;
            self.reports.found(SourceName::Model);
            self.add(Draft {
                name,
                description: suggestion.description.trim().to_owned(),
                category: Category::Domain,
                triggers: Vec::new(),
                evidence: Vec::new(),
                confidence: MODEL,
                source: SkillSource::Model,
                uri: None,
            });
        }
    }

    /// Notes why a source was not asked.
    pub(crate) fn skip(&mut self, source: SourceName, reason: &str) {
        self.reports.of(source).reason = Some(reason.to_owned());
    }

    /// Notes that a source failed; what it gave before stays.
    pub(crate) fn fail(&mut self, source: SourceName, code: &str, message: &str) {
        let error = SkillSourceError { code: code.to_owned(), message: message.to_owned() };
        self.reports.of(source).error = Some(error);
    }

    /// The concepts whose neighbours the current round (2 or later) looks at: those that came with the round before,
    /// in round 2 those of rounds 0 and 1.
    #[must_use]
    pub(crate) fn frontier(&self) -> Vec<Arc<str>> {
        let before = self.concepts.len().saturating_sub(1);
        let from = if self.round == 2 { 0 } else { before.saturating_sub(1) };
        self.concepts[from..before].concat()
    }

    /// Which of the frontier's neighbours the current round takes, see [`neighbours::choose`].
    #[must_use]
    pub(crate) fn choose(&self, edges: Vec<Edge>) -> Vec<Neighbour> {
        neighbours::choose(edges, |uri| self.pool.has_concept(uri))
    }

    /// The names found so far.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pool.names()
    }

    /// Ends the round and begins the next. After [`Progress::Nothing`] there is no use in going on.
    pub(crate) fn end_round(&mut self) -> Progress {
        let added = self.pool.added_in(self.round);
        let nothing = self.round > 0 && added == 0;
        if nothing {
            self.stopped_early = true;
        } else {
            self.rounds.push(SkillRound { round: self.round, added });
        }
        self.round += 1;
        self.concepts.push(Vec::new());
        if nothing { Progress::Nothing } else { Progress::Added }
    }

    /// The outcome, after the last round has ended.
    #[must_use]
    pub(crate) fn finish(self) -> Generated {
        let later = self.rounds.iter().filter(|round| round.round > 0).count();
        Generated {
            skills: self.pool.into_skills(),
            rounds: self.rounds,
            cycles_run: u32::try_from(later).unwrap_or(u32::MAX),
            stopped_early: self.stopped_early,
            sources: self.reports.into_list(),
        }
    }

    fn add(&mut self, draft: Draft) {
        let uri = draft.uri.clone();
        let new_concept = self.pool.add(draft, self.round);
        if let (true, Some(uri), Some(current)) = (new_concept, uri, self.concepts.last_mut()) {
            current.push(uri);
        }
    }

    /// Base × match score to two decimals. Each round after the second costs 0.05, and nothing falls below 0.30.
    fn concept_confidence(&self, relation: Relation) -> u32 {
        let cost = COST_A_ROUND * self.round.saturating_sub(2);
        let base = relation.base().saturating_sub(cost);
        let confidence = (base * self.score + 50) / 100;
        confidence.max(CONCEPT_MIN)
    }
}

/// A name within its limit.
fn cut(name: &str) -> String {
    let name: String = name.trim().chars().take(NAME_CHARS_MAX).collect();
    name.trim_end().to_owned()
}

/// What is known of each source.
#[derive(Debug, Default)]
struct Reports([Report; 3]);

#[derive(Debug, Default)]
struct Report {
    asked: bool,
    items: u32,
    reason: Option<String>,
    error: Option<SkillSourceError>,
}

impl Reports {
    fn of(&mut self, source: SourceName) -> &mut Report {
        match source {
            SourceName::Taxonomy => &mut self.0[0],
            SourceName::Corpus => &mut self.0[1],
            SourceName::Model => &mut self.0[2],
        }
    }

    fn asked(&mut self, source: SourceName) {
        self.of(source).asked = true;
    }

    fn found(&mut self, source: SourceName) {
        self.of(source).items += 1;
    }

    fn into_list(self) -> Vec<SkillSourceReport> {
        let names = [SourceName::Taxonomy, SourceName::Corpus, SourceName::Model];
        names.into_iter().zip(self.0).map(|(source, report)| report.shown(source)).collect()
    }
}

impl Report {
    fn shown(self, source: SourceName) -> SkillSourceReport {
        let status = match (&self.error, self.asked, self.items) {
            (Some(_), _, _) => SourceStatus::Failed,
            (None, false, _) => SourceStatus::Skipped,
            (None, true, 0) => SourceStatus::Empty,
            (None, true, _) => SourceStatus::Ok,
        };
        let reason = self.reason.filter(|_| status == SourceStatus::Skipped);
        SkillSourceReport { source, status, items: self.items, reason, error: self.error }
    }
}

#[cfg(test)]
mod tests;
