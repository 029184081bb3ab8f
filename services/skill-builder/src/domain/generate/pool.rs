//! The skills found so far, each normalised name once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api_types::skills::{Category, Skill, SkillSource, normalise, skill_id};

const MERGE_BONUS: u32 = 5;
const MERGED_MAX: u32 = 99;

/// A skill as it is found.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) category: Category,
    pub(super) triggers: Vec<String>,
    pub(super) evidence: Vec<String>,
    /// In hundredths.
    pub(super) confidence: u32,
    pub(super) source: SkillSource,
    pub(super) uri: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// In the order of finding, each with its round.
    found: Vec<(u32, Draft)>,
    by_name: HashMap<String, usize>,
    concepts: HashSet<Arc<str>>,
}

impl Pool {
    /// Adds a skill or merges it into the one of the same name: the higher confidence plus 0.05 (at most 0.99), the
    /// evidence of both, the first name. True when it is a concept that was not there yet.
    pub(super) fn add(&mut self, draft: Draft, round: u32) -> bool {
        let new_concept = draft.uri.as_ref().is_some_and(|uri| self.concepts.insert(uri.clone()));
        let next = self.found.len();
        let place = *self.by_name.entry(normalise(&draft.name)).or_insert(next);
        match self.found.get_mut(place) {
            Some((_, known)) => merge(known, draft),
            None => self.found.push((round, draft)),
        }
        new_concept
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(&normalise(name))
    }

    pub(super) fn has_concept(&self, uri: &str) -> bool {
        self.concepts.contains(uri)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(|(_, draft)| draft.name.as_str())
    }

    pub(super) fn added_in(&self, round: u32) -> u32 {
        let count = self.found.iter().filter(|(found_in, _)| *found_in == round).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// By round, then confidence descending, then name.
    pub(super) fn into_skills(mut self) -> Vec<Skill> {
        self.found.sort_by(|(round_a, a), (round_b, b)| {
            let by_round = round_a.cmp(round_b);
            by_round.then(b.confidence.cmp(&a.confidence)).then_with(|| a.name.cmp(&b.name))
        });
        self.found.into_iter().map(|(round, draft)| skill(draft, round)).collect()
    }
}

fn merge(known: &mut Draft, again: Draft) {
    let higher = known.confidence.max(again.confidence);
    known.confidence = (higher + MERGE_BONUS).min(MERGED_MAX);
    for one in again.evidence {
        if !known.evidence.contains(&one) {
            known.evidence.push(one);
        }
    }
    known.uri = known.uri.take().or(again.uri);
}

fn skill(draft: Draft, round: u32) -> Skill {
    let skill = Skill {
        skill_id: skill_id(&draft.name),
        name: draft.name,
        description: draft.description,
        category: draft.category,
        triggers: draft.triggers,
        artifacts: Vec::new(),
        constraints: Vec::new(),
        evidence: draft.evidence,
        confidence: f64::from(draft.confidence) / 100.0,
        source: draft.source,
        esco_uri: draft.uri.map(|uri| uri.to_string()),
        round,
        skill: String::new(),
        embedding: None,
        embedding_model: None,
    };
    skill.rendered()
}
