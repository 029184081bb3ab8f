//! How good an item is: quality of its text, trust in its source, completeness of its facts, and the confidence that
//! follows from them.

use serde_json::{Map, Value};

use super::SchemaType;

/// Where a text comes from, as far as trust is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Written by a client.
    User,
    /// A document, the text of a role model among them.
    Document,
    /// The description of a taxonomy's concept.
    Taxonomy,
    Wikidata,
    Wikipedia,
    /// A page of the web, by its host.
    Web(&'a str),
}

/// From 0 to 1.
#[must_use]
pub fn trust(origin: Origin<'_>) -> f64 {
    match origin {
        Origin::User => 1.0,
        Origin::Document | Origin::Taxonomy | Origin::Wikidata => 0.9,
        Origin::Wikipedia => 0.85,
        Origin::Web(host) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            if host.ends_with(".gov") || host.ends_with(".edu") { 0.9 } else { 0.5 }
        }
    }
}

/// From 0 to 1: long enough, a whole sentence, and naming what it is about.
#[must_use]
pub fn quality(text: &str, name: &str) -> f64 {
    // Whole sentences of about this length say enough to stand alone.
    const FULL_LENGTH: u16 = 400;
    let characters = text.chars().take(FULL_LENGTH.into()).count();
    let length = u16::try_from(characters).unwrap_or(FULL_LENGTH);
    let score = |holds: bool| if holds { 0.3 } else { 0.0 };
    0.4 * (f64::from(length) / f64::from(FULL_LENGTH))
        + score(ends_a_sentence(text))
        + score(contains_phrase(text, name))
}

/// Whether the text ends where a sentence does, closing quotes and brackets aside.
#[must_use]
pub fn ends_a_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | ')' | ']' | '»' | '”' | '’' | '›' | '」')
    });
    text.ends_with(['.', '!', '?', '…', '。', '！', '？'])
}

/// Whether the phrase stands in the text as whole words; case and the amount of whitespace do not matter.
#[must_use]
pub fn contains_phrase(text: &str, phrase: &str) -> bool {
    let text = folded(text);
    let phrase = folded(phrase);
    if phrase.is_empty() {
        return false;
    }
    text.match_indices(&phrase).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        let inside_a_word = |outer: Option<char>, inner: Option<char>| {
            outer.is_some_and(char::is_alphanumeric) && inner.is_some_and(char::is_alphanumeric)
        };
        !inside_a_word(before, phrase.chars().next()) && !inside_a_word(after, phrase.chars().next_back())
    })
}

fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// From 0 to 1: 0.6 × the share of mandatory attributes + 0.4 × that of the first five optional ones. An entity's name
/// is always known, and a summary describes it.
#[must_use]
pub fn completeness(schema: &SchemaType, attributes: &Map<String, Value>) -> f64 {
    let filled = |key: &str| match attributes.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(values)) => !values.is_empty(),
        Some(_) => true,
    };
    let known = |attribute: &&&str| match **attribute {
        "name" => true,
        "description" => filled("description") || filled("summary"),
        other => filled(other),
    };
    let share = |attributes: &[&str]| {
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        count(attributes.iter().filter(known).count()) / count(attributes.len()).max(1.0)
    };
    let first_five = schema.optional.get(..5).unwrap_or(schema.optional);
    0.6 * share(schema.mandatory) + 0.4 * share(first_five)
}

/// From 0 to 1, two decimals: trust × (0.5 + 0.5 × quality), times 0.9 for each round of deepening.
#[must_use]
pub fn confidence(trust: f64, quality: f64, round: u32) -> f64 {
    let rounds = i32::try_from(round).unwrap_or(i32::MAX);
    round2(trust * 0.5f64.mul_add(quality, 0.5) * 0.9f64.powi(rounds))
}

/// Two decimals.
#[must_use]
pub fn round2(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{Origin, completeness, confidence, contains_phrase, ends_a_sentence, quality, round2, trust};
    use crate::knowledge::SchemaType;

    fn same(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn trust_is_by_source() {
        let table = [
            (Origin::User, 1.0),
            (Origin::Document, 0.9),
            (Origin::Taxonomy, 0.9),
            (Origin::Wikidata, 0.9),
            (Origin::Wikipedia, 0.85),
            (Origin::Web("www.nasa.gov"), 0.9),
            (Origin::Web("WEB.MIT.EDU."), 0.9),
            (Origin::Web("example.org"), 0.5),
            (Origin::Web("notgov"), 0.5),
            (Origin::Web("gov.example.com"), 0.5),
        ];
        for (origin, expected) in table {
            assert!(same(trust(origin), expected), "{origin:?}");
        }
    }

    #[test]
    fn quality_adds_length_sentence_and_name() {
        let long = "x".repeat(399);
        assert!(same(quality(&long, "Ada"), 0.399));
        assert!(same(quality(&format!("{long}x."), "Ada"), 0.7));
        assert!(same(quality(&format!("{long}{long} Ada."), "ada"), 1.0));
        assert!(same(quality("Ada paints.", "Ada"), 0.011 + 0.6));
        assert!(same(quality(&"é".repeat(200), "Ada"), 0.2));
        assert!(same(quality("", "Ada"), 0.0));
    }

    #[test]
    fn sentences_end_with_their_mark_or_a_closing_sign_after_it() {
        for text in ["Yes.", "Yes!", "Yes? ", "He said \"yes.\"", "(Yes.)", "Ja …", "是。", "«Oui.»"] {
            assert!(ends_a_sentence(text), "{text}");
        }
        for text in ["Yes", "Yes,", "", "a list:", "3)"] {
            assert!(!ends_a_sentence(text), "{text}");
        }
    }

    #[test]
    fn a_phrase_is_whole_words_in_any_case() {
        assert!(contains_phrase("In 1843 ADA\n Lovelace wrote", "Ada Lovelace"));
        assert!(contains_phrase("Lovelace's notes", "lovelace"));
        assert!(contains_phrase("Adam met Ada", "ada"));
        assert!(contains_phrase("written in C++.", "C++"));
        assert!(!contains_phrase("Adam", "Ada"));
        assert!(!contains_phrase("Canada", "ada"));
        assert!(!contains_phrase("anything", " "));
    }

    #[test]
    fn completeness_weighs_mandatory_and_the_first_five_optional_attributes() {
        let person = SchemaType::of(Some("Person"));
        let third = 1.0 / 3.0;
        assert!(same(completeness(person, &map(&json!({}))), 0.6 * third));
        let facts = json!({"birthDate": "1815-12-10", "occupation": ["mathematician"]});
        assert!(same(completeness(person, &map(&facts)), 0.6));
        let first = json!({"birthDate": "1815", "birthPlace": "London", "nationality": "British"});
        assert!(same(completeness(person, &map(&first)), 0.6 * 2.0 * third + 0.4 * 0.4));
        let empty = json!({"birthDate": "", "occupation": [], "birthPlace": null, "url": "later"});
        assert!(same(completeness(person, &map(&empty)), 0.6 * third));
        let concept = SchemaType::of(Some("Concept"));
        assert!(same(completeness(concept, &map(&json!({"summary": "An idea."}))), 0.6));
    }

    #[test]
    fn confidence_falls_by_a_tenth_a_round() {
        assert!(same(confidence(0.9, 1.0, 0), 0.9));
        assert!(same(confidence(0.9, 0.0, 0), 0.45));
        assert!(same(confidence(0.85, 0.611, 0), 0.68));
        assert!(same(confidence(0.9, 1.0, 1), 0.81));
        assert!(same(confidence(0.9, 1.0, 2), 0.73));
    }

    #[test]
    fn two_decimals_stay() {
        assert!(same(round2(0.456), 0.46));
        assert!(same(round2(1.0), 1.0));
    }
}
