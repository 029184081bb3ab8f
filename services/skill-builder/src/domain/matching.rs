//! Which occupation a text stands for, decided on the candidates that the store found.

use std::collections::HashSet;
use std::sync::Arc;

use api_types::skills::MatchMethod;

/// Scores are counted in hundredths, so that two decimals are exact.
pub(crate) const FULL_SCORE: u32 = 100;
const ALTERNATIVE_SCORE: u32 = 95;

/// Similarities that differ by no more are the same but for rounding: most often two occupations share the label.
pub(crate) const TIE: f64 = 1e-4;
/// The lowest there is.
pub(crate) const UNKNOWN_SIMILARITY: f64 = -1.0;

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
    /// That of its preferred label; [`UNKNOWN_SIMILARITY`] where this has no vector yet.
    pub(crate) preferred: f64,
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
///
/// Similarities tie when they give the same score and are at most [`TIE`] below the highest of the tie. Of those that
/// tie, the occupation whose preferred label is the more similar to the text comes first, then the one with the
/// shortest preferred label, then the first by URI.
#[must_use]
pub(crate) fn rank(mut labels: Vec<LabelHit>, mut nearest: Vec<EmbeddingHit>) -> Vec<Ranked> {
    labels.sort_by(|a, b| {
        let key = |hit: &LabelHit| (!hit.preferred, hit.occupation.label.chars().count());
        key(a).cmp(&key(b)).then_with(|| a.occupation.uri.cmp(&b.occupation.uri))
    });
    sort_by_similarity(&mut nearest);
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

/// Best first, with ties broken as [`rank`] says.
fn sort_by_similarity(nearest: &mut [EmbeddingHit]) {
    nearest.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    // "Nearly equal" is no order to sort by: it may hold for neighbours and not for the ends. Hence one tie at a time.
    let mut rest = nearest;
    while let Some(first) = rest.first() {
        let (highest, score) = (first.similarity, hundredths(first.similarity));
        let tied = |hit: &EmbeddingHit| highest - hit.similarity <= TIE && hundredths(hit.similarity) == score;
        let count = rest.iter().position(|hit| !tied(hit)).unwrap_or(rest.len()).max(1);
        let (ties, after) = rest.split_at_mut(count);
        ties.sort_by(|a, b| {
            let length = |hit: &EmbeddingHit| hit.occupation.label.chars().count();
            b.preferred
                .total_cmp(&a.preferred)
                .then_with(|| length(a).cmp(&length(b)))
                .then_with(|| a.occupation.uri.cmp(&b.occupation.uri))
        });
        rest = after;
    }
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

    use super::{Candidate, EmbeddingHit, LabelHit, Ranked, UNKNOWN_SIMILARITY, choose, hundredths, named, rank};

    fn occupation(label: &str) -> Candidate {
        Candidate { uri: format!("urn:{label}").into(), label: label.into(), code: "1".into() }
    }

    fn label(label: &str, preferred: bool) -> LabelHit {
        LabelHit { occupation: occupation(label), preferred }
    }

    fn near(label: &str, similarity: f64) -> EmbeddingHit {
        EmbeddingHit { occupation: occupation(label), similarity, preferred: UNKNOWN_SIMILARITY }
    }

    /// The labels in their order, of hits with a similarity and that of the preferred label.
    fn ordered(hits: &[(&'static str, f64, f64)]) -> Vec<String> {
        let hits =
            hits.iter().map(|&(label, similarity, preferred)| EmbeddingHit { preferred, ..near(label, similarity) });
        rank(vec![], hits.collect()).into_iter().map(|one| one.occupation.label).collect()
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
    fn of_equal_similarities_the_nearer_preferred_label_wins_then_the_shorter_then_the_uri() {
        let nurses = [
            ("nurse assistant", 0.911_43, 0.70),
            ("nurse responsible for general care", 0.911_40, 0.74),
            ("specialist nurse", 0.911_45, 0.74),
            ("advanced nurses.", 0.911_40, 0.74),
            ("no vector", 0.911_45, UNKNOWN_SIMILARITY),
        ];
        let expected = [
            "advanced nurses.",
            "specialist nurse",
            "nurse responsible for general care",
            "nurse assistant",
            "no vector",
        ];
        assert_eq!(ordered(&nurses), expected);
        let backwards: Vec<_> = nurses.into_iter().rev().collect();
        assert_eq!(ordered(&backwards), expected);
    }

    #[test]
    fn only_what_shows_the_same_score_and_hardly_differs_is_equal() {
        assert_eq!(ordered(&[("b", 0.915_05, 0.1), ("a", 0.914_97, 0.9)]), ["b", "a"], "0.92 and 0.91");
        assert_eq!(ordered(&[("b", 0.911_2, 0.1), ("a", 0.911_0, 0.9)]), ["b", "a"], "too far apart");
        let chain = [("a", 0.912_00, 0.1), ("b", 0.911_92, 0.2), ("c", 0.911_84, 0.3)];
        assert_eq!(ordered(&chain), ["b", "a", "c"], "the last is too far from the first");
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
