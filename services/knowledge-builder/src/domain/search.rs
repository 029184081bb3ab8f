//! Ranking: one order out of two.

use std::collections::HashMap;

/// How much the difference between high ranks counts: the usual constant of reciprocal rank fusion.
const SMOOTHING: f64 = 60.0;

/// What an item ranked first by both orders scores.
const BEST: f64 = 2.0 / (SMOOTHING + 1.0);

/// Items shown of a record.
const ITEMS_MAX: usize = 10;

/// An item in a ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) record: String,
    pub(crate) item: String,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) record: String,
    /// In (0, 1], four decimals.
    pub(crate) relevance: f64,
    /// The found items, best first.
    pub(crate) items: Vec<String>,
}

/// Fuses two rankings, each best first: an item scores Σ 1/(60 + rank), a record what its best item does. Equal scores
/// stand in the order of their ids.
#[must_use]
pub(crate) fn fuse(by_text: &[Ranked], by_vector: &[Ranked]) -> Vec<Found> {
    let mut scores: HashMap<(&str, &str), f64> = HashMap::new();
    for ranking in [by_text, by_vector] {
        for (place, ranked) in (1u32..).zip(ranking) {
            *scores.entry((&ranked.record, &ranked.item)).or_default() += 1.0 / (SMOOTHING + f64::from(place));
        }
    }
    let mut items: Vec<_> = scores.into_iter().collect();
    items.sort_by(|(left, left_score), (right, right_score)| {
        right_score.total_cmp(left_score).then_with(|| left.cmp(right))
    });
    let mut found: Vec<Found> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for ((record, item), score) in items {
        let place = *places.entry(record).or_insert_with(|| {
            found.push(Found {
                record: record.to_owned(),
                relevance: (score / BEST * 10_000.0).round() / 10_000.0,
                items: Vec::new(),
            });
            found.len() - 1
        });
        if found[place].items.len() < ITEMS_MAX {
            found[place].items.push(item.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Found, Ranked, fuse};

    fn ranking(entries: &[(&str, &str)]) -> Vec<Ranked> {
        entries.iter().map(|(record, item)| Ranked { record: (*record).to_owned(), item: (*item).to_owned() }).collect()
    }

    fn relevance_of(found: &[Found], record: &str) -> f64 {
        found.iter().find(|found| found.record == record).unwrap().relevance
    }

    #[test]
    fn first_in_both_is_as_relevant_as_can_be() {
        let both = ranking(&[("r", "i")]);
        let found = fuse(&both, &both);
        assert_eq!(found, [Found { record: "r".into(), relevance: 1.0, items: vec!["i".into()] }]);
    }

    #[test]
    fn scores_of_both_rankings_add_up() {
        let found = fuse(&ranking(&[("a", "1"), ("b", "2")]), &ranking(&[("b", "2"), ("c", "3")]));
        let order: Vec<_> = found.iter().map(|found| found.record.as_str()).collect();
        assert_eq!(order, ["b", "a", "c"]);
        assert!((relevance_of(&found, "b") - 0.9919).abs() < 1e-9);
        assert!((relevance_of(&found, "a") - 0.5).abs() < 1e-9);
        assert!((relevance_of(&found, "c") - 0.4919).abs() < 1e-9);
    }

    #[test]
    fn a_record_scores_what_its_best_item_does() {
        let found = fuse(&ranking(&[("a", "1"), ("b", "2"), ("a", "3")]), &[]);
        assert_eq!(found[0].items, ["1", "3"]);
        assert!((found[0].relevance - 0.5).abs() < 1e-9);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn at_most_ten_items_of_a_record_are_shown() {
        let items: Vec<_> = (0..30).map(|n| Ranked { record: "r".into(), item: format!("i{n:02}") }).collect();
        let found = fuse(&items, &[]);
        let expected: Vec<_> = (0..10).map(|n| format!("i{n:02}")).collect();
        assert_eq!(found[0].items, expected);
    }

    #[test]
    fn relevance_never_increases_and_equals_stand_by_id() {
        let by_text: Vec<_> = (0..200).map(|n| Ranked { record: format!("t{n}"), item: "i".into() }).collect();
        let by_vector: Vec<_> = (0..200).map(|n| Ranked { record: format!("v{n}"), item: "i".into() }).collect();
        let found = fuse(&by_text, &by_vector);
        assert!(found.windows(2).all(|pair| pair[0].relevance >= pair[1].relevance));
        assert!(found.iter().all(|found| found.relevance > 0.0 && found.relevance <= 1.0));
        assert_eq!((found[0].record.as_str(), found[1].record.as_str()), ("t0", "v0"));
    }

    #[test]
    fn nothing_found_is_nothing() {
        assert!(fuse(&[], &[]).is_empty());
    }
}
