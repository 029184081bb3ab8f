//! Which occupation a text stands for, decided on the candidates that the store found.

use std::collections::HashSet;
use std::sync::Arc;

use api_types::skills::MatchMethod;

/// Scores are counted in hundredths, so that two decimals are exact.
pub(crate) const FULL_SCORE: u32 = 100;
const ALTERNATIVE_SCORE: u32 = 95;

/// At most so many occupations are named besides the best.
pub(crate) const ALTERNATIVES_MAX: usize = 5;

/// What an occupation is shown with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) uri: Arc<str>,
    pub(crate) label: String,
    pub(crate) code: String,
}

/// An occupation one of whose labels equals the text, both normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelHit {
    pub(crate) occupation: Candidate,
    /// Whether the label is the preferred one.
    pub(crate) preferred: bool,
}

/// An occupation near the text, with the highest cosine similarity of any of its labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbeddingHit {
    pub(crate) occupation: Candidate,
    pub(crate) similarity: f64,
}

/// An occupation with its place in the ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) occupation: Candidate,
    pub(crate) method: MatchMethod,
    /// In hundredths.
    pub(crate) score: u32,
}

/// The chosen occupation and the next best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) best: Ranked,
    pub(crate) alternatives: Vec<Ranked>,
}

/// All candidates, best first, each occupation once: preferred labels, then alternative labels (the shortest preferred
/// label first, then by URI), then by similarity. A score is never higher than one before it: an equal label is worth
/// more than any similarity.
#[must_use]
pub(crate) fn rank(mut labels: Vec<LabelHit>, mut nearest: Vec<EmbeddingHit>) -> Vec<Ranked> {
    labels.sort_by(|a, b| {
        let key = |hit: &LabelHit| (!hit.preferred, hit.occupation.label.chars().count());
        key(a).cmp(&key(b)).then_with(|| a.occupation.uri.cmp(&b.occupation.uri))
    });
    nearest.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.occupation.uri.cmp(&b.occupation.uri)));
    let labels = labels.into_iter().map(|hit| {
        if hit.preferred {
            (hit.occupation, MatchMethod::PreferredLabel, FULL_SCORE)
        } else {
            (hit.occupation, MatchMethod::AlternativeLabel, ALTERNATIVE_SCORE)
        }
    });
    let nearest = nearest.into_iter().map(|hit| (hit.occupation, MatchMethod::Embedding, hundredths(hit.similarity)));

    let mut seen = HashSet::new();
    let mut ceiling = FULL_SCORE;
    let mut ranked = Vec::new();
    for (occupation, method, score) in labels.chain(nearest) {
        if seen.insert(occupation.uri.clone()) {
            ceiling = ceiling.min(score);
            ranked.push(Ranked { occupation, method, score: ceiling });
        }
    }
    ranked
}

/// The best of a ranking, when it is good enough: an equal label always is, a similar one from `threshold`
/// (hundredths) on.
#[must_use]
pub(crate) fn choose(ranked: Vec<Ranked>, threshold: u32) -> Option<Choice> {
    let mut ranked = ranked.into_iter();
    let best = ranked.next()?;
    if best.method == MatchMethod::Embedding && best.score < threshold {
        return None;
    }
    Some(Choice { best, alternatives: ranked.take(ALTERNATIVES_MAX).collect() })
}

/// The occupation that the caller named by its URI.
#[must_use]
pub(crate) fn named(occupation: Candidate) -> Choice {
    let best = Ranked { occupation, method: MatchMethod::Uri, score: FULL_SCORE };
    Choice { best, alternatives: Vec::new() }
}

/// A number between 0 and 1 to two decimals; anything below counts as 0, anything above as 1.
#[must_use]
pub(crate) fn hundredths(share: f64) -> u32 {
    let clamped = (share * 100.0).round().clamp(0.0, 100.0);
    (0..=FULL_SCORE).rev().find(|n| f64::from(*n) <= clamped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use api_types::skills::MatchMethod;

    use super::{Candidate, EmbeddingHit, LabelHit, Ranked, choose, hundredths, named, rank};

    fn occupation(label: &str) -> Candidate {
        Candidate { uri: format!("urn:{label}").into(), label: label.into(), code: "1".into() }
    }

    fn label(label: &str, preferred: bool) -> LabelHit {
        LabelHit { occupation: occupation(label), preferred }
    }

    fn near(label: &str, similarity: f64) -> EmbeddingHit {
        EmbeddingHit { occupation: occupation(label), similarity }
    }

    fn shown(ranked: &[Ranked]) -> Vec<(&str, MatchMethod, u32)> {
        ranked.iter().map(|one| (one.occupation.label.as_str(), one.method, one.score)).collect()
    }

    #[test]
    fn a_preferred_label_comes_before_an_alternative_one_before_similarity() {
        let ranked = rank(vec![label("a", false), label("bbb", true)], vec![near("c", 0.8)]);
        assert_eq!(
            shown(&ranked),
            [
                ("bbb", MatchMethod::PreferredLabel, 100),
                ("a", MatchMethod::AlternativeLabel, 95),
                ("c", MatchMethod::Embedding, 80),
            ]
        );
    }

    #[test]
    fn of_several_alternative_labels_the_shortest_preferred_label_wins_then_the_uri() {
        let mut same = label("three", false);
        same.occupation.uri = "urn:a".into();
        let ranked = rank(vec![label("longer label", false), label("three", false), same], vec![]);
        let uris: Vec<_> = ranked.iter().map(|one| &*one.occupation.uri).collect();
        assert_eq!(uris, ["urn:a", "urn:three", "urn:longer label"]);
    }

    #[test]
    fn an_occupation_stands_once_with_its_best_method() {
        let ranked =
            rank(vec![label("a", false), label("a", true)], vec![near("a", 1.0), near("b", 0.5), near("b", 0.4)]);
        assert_eq!(shown(&ranked), [("a", MatchMethod::PreferredLabel, 100), ("b", MatchMethod::Embedding, 50)]);
    }

    #[test]
    fn scores_never_rise_down_the_list() {
        let ranked = rank(vec![label("a", false)], vec![near("b", 0.99), near("c", 0.3)]);
        let scores: Vec<_> = ranked.iter().map(|one| one.score).collect();
        assert_eq!(scores, [95, 95, 30]);
    }

    #[test]
    fn similarity_is_accepted_from_the_threshold_on_in_two_decimals() {
        let chosen = |similarity| choose(rank(vec![], vec![near("a", similarity)]), 55);
        assert_eq!(chosen(0.546).unwrap().best.score, 55);
        assert_eq!(chosen(0.544), None);
        assert_eq!(chosen(-0.2), None);
        assert_eq!(choose(vec![], 0), None);
    }

    #[test]
    fn a_label_is_accepted_whatever_the_threshold() {
        assert!(choose(rank(vec![label("a", false)], vec![]), 100).is_some());
    }

    #[test]
    fn at_most_five_alternatives_are_named() {
        let many = (0..9).map(|n| near(&format!("o{n}"), 0.9 - f64::from(n) / 100.0)).collect();
        let choice = choose(rank(vec![label("a", true)], many), 55).unwrap();
        let names: Vec<_> = choice.alternatives.iter().map(|one| &one.occupation.label).collect();
        assert_eq!(names, ["o0", "o1", "o2", "o3", "o4"]);
    }

    #[test]
    fn a_named_occupation_scores_in_full() {
        let choice = named(occupation("a"));
        assert_eq!((choice.best.method, choice.best.score), (MatchMethod::Uri, 100));
    }

    #[test]
    fn hundredths_round_and_stay_in_range() {
        let numbers = [0.0, 0.004, 0.005, 0.615, 0.994_9, 0.995, 1.0, 7.0, -1.0, f64::NAN];
        assert_eq!(numbers.map(hundredths), [0, 0, 1, 62, 99, 100, 100, 100, 0, 0]);
    }
}
