//! What a rebuild keeps.

use std::collections::HashSet;

use api_types::{knowledge::KnowledgeItem, skills::Skill};

/// An item, and whether a client wrote it on this agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) item: KnowledgeItem,
    pub(crate) is_written: bool,
}

/// The new skills, then those that survive; what a client wrote wins over what was derived.
pub(crate) fn skills(derived: Vec<Skill>, kept: Vec<Skill>) -> Vec<Skill> {
    let written: HashSet<&str> = kept.iter().map(|skill| skill.skill_id.as_str()).collect();
    let mut out: Vec<Skill> = derived.into_iter().filter(|skill| !written.contains(skill.skill_id.as_str())).collect();
    out.extend(kept);
    out
}

/// The new items, then those that clients wrote.
pub(crate) fn items(found: Vec<KnowledgeItem>, kept: Vec<KnowledgeItem>) -> Vec<Known> {
    let written: HashSet<&str> = kept.iter().map(|item| item.knowledge_id.as_str()).collect();
    let mut out: Vec<Known> = found
        .into_iter()
        .filter(|item| !written.contains(item.knowledge_id.as_str()))
        .map(|item| Known { item, is_written: false })
        .collect();
    out.extend(kept.into_iter().map(|item| Known { item, is_written: true }));
    out
}

/// Items that a client sent. One that a build had found before is not the client's, for being sent back.
pub(crate) fn sent(items: Vec<KnowledgeItem>, found_before: &HashSet<String>) -> Vec<Known> {
    let known = |item: KnowledgeItem| Known { is_written: !found_before.contains(item.knowledge_id.as_str()), item };
    items.into_iter().map(known).collect()
}
