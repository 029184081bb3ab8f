//! A whole occupation taxonomy as its readers hand it over: what the database stores and every rule builds on.

use std::sync::Arc;

use api_types::skills::Category;
use sha2::{Digest as _, Sha256};

/// Occupations, skills and how they hang together.
///
/// Everything is in the order of [`Taxonomy::sorted`], so equal classifications are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taxonomy {
    /// `ESCO` or `Imago starter`.
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) language: String,
    /// Whether it is the one that comes with Imago.
    pub(crate) builtin: bool,
    pub(crate) occupations: Vec<Occupation>,
    pub(crate) skills: Vec<SkillConcept>,
    pub(crate) skill_groups: Vec<SkillGroup>,
    pub(crate) occupation_skills: Vec<OccupationSkill>,
    /// Pairs of skills that belong together; each pair stands once, in either direction.
    pub(crate) related: Vec<Link>,
    /// From the narrower skill to the broader one; never from or to a group.
    pub(crate) broader: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Occupation {
    pub(crate) uri: Arc<str>,
    pub(crate) label: String,
    /// The ISCO-based code; empty when the classification gives none.
    pub(crate) code: String,
    pub(crate) alternative: Vec<String>,
    pub(crate) description: String,
}

/// A skill as the taxonomy knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SkillConcept {
    pub(crate) uri: Arc<str>,
    pub(crate) label: String,
    pub(crate) alternative: Vec<String>,
    pub(crate) description: String,
    pub(crate) category: Category,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SkillGroup {
    pub(crate) uri: Arc<str>,
    pub(crate) label: String,
    pub(crate) code: String,
}

/// An occupation needs a skill. Either end may be a concept that the classification names but does not describe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OccupationSkill {
    pub(crate) occupation: Arc<str>,
    pub(crate) skill: Arc<str>,
    pub(crate) need: Need,
}

/// How much an occupation needs a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Need {
    Essential,
    Optional,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Link {
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
}

impl Taxonomy {
    /// Everything by URI, repeated rows once. An occupation that needs a skill both ways needs it essentially.
    #[must_use]
    pub(crate) fn sorted(mut self) -> Self {
        self.occupations.sort_unstable();
        self.skills.sort_unstable_by(|a, b| a.uri.cmp(&b.uri));
        self.skill_groups.sort_unstable();
        self.occupation_skills.sort_unstable();
        self.occupation_skills.dedup_by(|b, a| a.occupation == b.occupation && a.skill == b.skill);
        for links in [&mut self.related, &mut self.broader] {
            links.retain(|link| link.from != link.to);
            links.sort_unstable();
            links.dedup();
        }
        self
    }

    /// A hash over everything, in hex: two taxonomies with the same one are the same.
    #[must_use]
    pub(crate) fn digest(&self) -> String {
        let mut hash = Fields(Sha256::new());
        hash.all(&[self.name, &self.version, &self.language]);
        for one in &self.occupations {
            hash.all(&["occupation", &one.uri, &one.label, &one.code, &one.description]);
            hash.each(&one.alternative);
        }
        for one in &self.skills {
            let category = one.category.as_str();
            hash.all(&["skill", &one.uri, &one.label, category, &one.description]);
            hash.each(&one.alternative);
        }
        for one in &self.skill_groups {
            hash.all(&["group", &one.uri, &one.label, &one.code]);
        }
        for one in &self.occupation_skills {
            let need = match one.need {
                Need::Essential => "essential",
                Need::Optional => "optional",
            };
            hash.all(&[need, &one.occupation, &one.skill]);
        }
        for (kind, links) in [("related", &self.related), ("broader", &self.broader)] {
            for one in links {
                hash.all(&[kind, &one.from, &one.to]);
            }
        }
        hex::encode(hash.0.finalize())
    }
}

/// Texts hashed so that no two lists of texts look alike: each with its length before it.
struct Fields(Sha256);

impl Fields {
    fn all(&mut self, texts: &[&str]) {
        for text in texts {
            self.0.update(text.len().to_le_bytes());
            self.0.update(text);
        }
    }

    fn each(&mut self, texts: &[String]) {
        self.0.update(texts.len().to_le_bytes());
        for text in texts {
            self.all(&[text]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, Need, OccupationSkill, Taxonomy};

    fn taxonomy() -> Taxonomy {
        Taxonomy {
            name: "ESCO",
            version: "1".into(),
            language: "en".into(),
            builtin: false,
            occupations: vec![],
            skills: vec![],
            skill_groups: vec![],
            occupation_skills: vec![],
            related: vec![],
            broader: vec![],
        }
    }

    fn need(skill: &str, need: Need) -> OccupationSkill {
        OccupationSkill { occupation: "o".into(), skill: skill.into(), need }
    }

    fn link(from: &str, to: &str) -> Link {
        Link { from: from.into(), to: to.into() }
    }

    #[test]
    fn repeated_rows_stand_once_and_essential_wins() {
        let one = Taxonomy {
            occupation_skills: vec![need("b", Need::Optional), need("a", Need::Optional), need("b", Need::Essential)],
            related: vec![link("x", "y"), link("x", "x"), link("x", "y")],
            ..taxonomy()
        };
        let one = one.sorted();
        assert_eq!(one.occupation_skills, [need("a", Need::Optional), need("b", Need::Essential)]);
        assert_eq!(one.related, [link("x", "y")], "nothing is related to itself");
    }

    #[test]
    fn the_digest_follows_the_content_not_the_order() {
        let rows = [need("a", Need::Optional), need("b", Need::Optional)];
        let with = |rows: Vec<_>| Taxonomy { occupation_skills: rows, ..taxonomy() }.sorted().digest();
        let there = with(rows.to_vec());
        assert_eq!(there, with(rows.iter().rev().cloned().collect()));
        assert_ne!(there, with(vec![need("a", Need::Essential), need("b", Need::Optional)]));
        assert_ne!(there, Taxonomy { version: "2".into(), ..taxonomy() }.digest());
    }
}
