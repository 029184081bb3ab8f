//! Which neighbours of known skills come next.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Relation;

/// Neighbours that one round may add.
const NEIGHBOURS_MAX: usize = 100;

/// How a skill of the frontier leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    /// Related, whichever of the two the taxonomy names first.
    Related,
    /// The other is the broader one.
    Broader,
}

/// A link from a skill of the frontier to any other skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
    /// The preferred label of `to`.
    pub(crate) label: String,
    pub(crate) kind: EdgeKind,
}

/// A skill that the round takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) uri: Arc<str>,
    pub(crate) relation: Relation,
}

struct Candidate {
    label: String,
    relation: Relation,
    linked_from: HashSet<Arc<str>>,
}

/// Of all skills that the frontier leads to and that are not in the set: the 100 that the most skills of the frontier
/// lead to, then by label.
///
/// How the rule of the contract is read, so that a mathematician of ESCO 1.1.1 has 132 skills after two cycles (66 in
/// rounds 0 and 1; 45 more are related, 19 of them named by the frontier and 26 naming it; 22 are broader, one of which
/// is related as well):
/// - a relation of two skills counts whichever side the taxonomy names first;
/// - broader skills are one step up and are skills; groups of skills are none, and there is no way down to narrower ones;
/// - what is in the set already is neither counted against the limit nor merged anew;
/// - a skill that is both related and broader counts as related, the stronger of the two.
pub(super) fn choose(edges: Vec<Edge>, known: impl Fn(&str) -> bool) -> Vec<Neighbour> {
    let mut candidates: HashMap<Arc<str>, Candidate> = HashMap::new();
    for edge in edges {
        if known(&edge.to) {
            continue;
        }
        let candidate = candidates.entry(edge.to).or_insert_with(|| Candidate {
            label: edge.label,
            relation: Relation::Broader,
            linked_from: HashSet::new(),
        });
        candidate.linked_from.insert(edge.from);
        if edge.kind == EdgeKind::Related {
            candidate.relation = Relation::Related;
        }
    }
    let mut best: Vec<_> = candidates.into_iter().collect();
    best.sort_unstable_by(|(uri_a, a), (uri_b, b)| {
        let key = |one: &Candidate| Reverse(one.linked_from.len());
        key(a).cmp(&key(b)).then_with(|| a.label.cmp(&b.label)).then_with(|| uri_a.cmp(uri_b))
    });
    best.truncate(NEIGHBOURS_MAX);
    let neighbour = |(uri, candidate): (Arc<str>, Candidate)| Neighbour { uri, relation: candidate.relation };
    best.into_iter().map(neighbour).collect()
}
