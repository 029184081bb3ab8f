//! Capability tags: what others find an agent by.

use std::collections::HashSet;

use api_types::skills::slug;

use super::role_model::RoleModel;

const TAGS_MAX: usize = 200;
/// Skills that are less certain than this are not advertised.
pub(crate) const CONFIDENCE_MIN: f64 = 0.5;

/// The tags of a completed agent: its own, then those of its role model, its occupation, and its skills (`skills` are the
/// names of those that are certain enough), without repeats.
pub(crate) fn tags<'a>(
    agent_id: &str,
    role_model: &'a RoleModel,
    skills: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let own = format!("agent.{}:v1", agent_id.replace(|c: char| !is_plain(c), "-"));
    let slugs = role_model.capabilities().chain([role_model.occupation()]).chain(skills).map(slug);
    let versioned = slugs.filter(|slug| !slug.is_empty()).map(|slug| format!("{slug}:v1"));
    let mut seen = HashSet::new();
    std::iter::once(own).chain(versioned).filter(|tag| seen.insert(tag.clone())).take(TAGS_MAX).collect()
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{RoleModel, TAGS_MAX, tags};

    fn role_model(capabilities: &[&str]) -> RoleModel {
        let value = json!({"name": "A", "occupation": "Higher Education Lecturer", "capabilities": capabilities});
        RoleModel(value.as_object().cloned().unwrap())
    }

    #[test]
    fn tags_come_from_id_capabilities_occupation_and_skills_in_this_order() {
        let found =
            tags("a:b.c_d", &role_model(&["Prove Theorems!", "--", "Naïve Bayes"]), ["C++ & Rust", "prove theorems"]);
        let expected =
            ["agent.a-b.c_d:v1", "prove-theorems:v1", "na-ve-bayes:v1", "higher-education-lecturer:v1", "c-rust:v1"];
        assert_eq!(found, expected);
    }

    #[test]
    fn there_are_no_more_than_two_hundred() {
        let names: Vec<String> = (0..300).map(|number| format!("skill {number}")).collect();
        let found = tags("a", &role_model(&[]), names.iter().map(String::as_str));
        assert_eq!(found.len(), TAGS_MAX);
        assert_eq!(found[0], "agent.a:v1");
    }
}
