//! A skill as YAML text.

use serde::Serialize;

use super::Skill;

/// The keys in the order in which they are printed.
#[derive(Serialize)]
struct Document<'a> {
    skill: &'a str,
    description: &'a str,
    triggers: &'a [String],
    artifacts: &'a [String],
    constraints: &'a [String],
    evidence: &'a [String],
    confidence: f64,
}

impl Skill {
    /// The skill as YAML, with the keys `skill description triggers artifacts constraints evidence confidence`.
    #[must_use]
    pub fn yaml(&self) -> String {
        let document = Document {
            skill: &self.name,
            description: &self.description,
            triggers: &self.triggers,
            artifacts: &self.artifacts,
            constraints: &self.constraints,
            evidence: &self.evidence,
            confidence: self.confidence,
        };
        // Texts, lists of texts and a number can always be written.
        serde_yaml_ng::to_string(&document).unwrap_or_default()
    }

    /// With `skill` printed anew, after any other field has changed.
    #[must_use]
    pub fn rendered(mut self) -> Self {
        self.skill = self.yaml();
        self
    }
}
