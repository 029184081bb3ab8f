//! The role model: an object with a name, an occupation, and whatever else the client says of it.

use serde_json::{Map, Value};

/// Longest role model, in bytes as JSON.
pub(crate) const BYTES_MAX: usize = 64 << 10;
/// Texts of fewer words say nothing that could be known.
const WORDS_MIN: usize = 3;

/// A role model whose name and occupation have been checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RoleModel(pub(crate) Map<String, Value>);

impl RoleModel {
    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn occupation(&self) -> &str {
        self.text("occupation")
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// What the agent can do in the client's own words.
    pub(crate) fn capabilities(&self) -> impl Iterator<Item = &str> {
        let list = self.0.get("capabilities").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// With the keys of `change` in place of its own; a null removes a key.
    pub(crate) fn merged(mut self, change: &Map<String, Value>) -> Self {
        for (key, value) in change {
            if value.is_null() {
                self.0.remove(key);
            } else {
                self.0.insert(key.clone(), value.clone());
            }
        }
        self
    }

    pub(crate) fn is_too_large(&self) -> bool {
        // Never fails: it came from JSON.
        serde_json::to_string(&self.0).is_ok_and(|text| text.len() > BYTES_MAX)
    }

    /// Every text of three words and more, however deep, except name and occupation.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (key, value) in &self.0 {
            if key != "name" && key != "occupation" {
                collect(value, &mut out);
            }
        }
        out
    }
}

// Recursion is bounded: bodies nest at most 128 levels.
fn collect(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) if text.split_whitespace().nth(WORDS_MIN - 1).is_some() => out.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, out)),
        Value::Object(object) => object.values().for_each(|value| collect(value, out)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::RoleModel;

    fn role_model(value: &Value) -> RoleModel {
        RoleModel(value.as_object().cloned().unwrap())
    }

    #[test]
    fn texts_of_three_words_are_found_at_any_depth_but_not_name_and_occupation() {
        let mut found = role_model(&json!({
            "name": "Ada King Countess Lovelace",
            "occupation": "Mathematician and writer of notes",
            "bio": "Wrote the first program.",
            "era": "Victorian era",
            "nested": {"name": "a name of four words", "list": ["one two  three", {"deep": "so very deep"}, 3, null, true]},
        }))
        .texts();
        // JSON says nothing of the order of keys.
        found.sort_unstable();
        assert_eq!(found, ["Wrote the first program.", "a name of four words", "one two  three", "so very deep"]);
    }

    #[test]
    fn merging_replaces_adds_and_removes_top_level_keys() {
        let before = role_model(&json!({"name": "A", "occupation": "B", "style": "calm", "deep": {"a": 1, "b": 2}}));
        let change = json!({"name": "C", "style": null, "new": 1, "deep": {"a": 3}, "absent": null});
        let merged = before.merged(change.as_object().unwrap());
        assert_eq!(merged, role_model(&json!({"name": "C", "occupation": "B", "new": 1, "deep": {"a": 3}})));
    }

    #[test]
    fn capabilities_are_its_texts() {
        let model = role_model(&json!({"capabilities": ["a", 1, "b"]}));
        assert_eq!(model.capabilities().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(role_model(&json!({})).capabilities().count(), 0);
    }
}
