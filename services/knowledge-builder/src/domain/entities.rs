//! How entities are named and found by their names.

/// The longest id of a record that a client may choose, in characters.
const ID_CHARACTERS_MAX: usize = 300;

/// How an identifier is looked up: case does not matter, and an underscore is a space.
#[must_use]
pub(crate) fn lookup(identifier: &str) -> String {
    identifier.trim().to_lowercase().replace('_', " ")
}

/// How types are compared; empty without one.
#[must_use]
pub(crate) fn type_key(entity_type: Option<&str>) -> String {
    entity_type.unwrap_or_default().trim().to_lowercase()
}

/// Whether a text could be the id of a record: `type:name` in lower case, in the characters that ids are made of.
#[must_use]
pub(crate) fn is_record_id(text: &str) -> bool {
    let Some((kind, name)) = text.split_once(':') else { return false };
    let of_an_id = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '?' | '#' | '%');
    !kind.is_empty()
        && !name.is_empty()
        && text.chars().count() <= ID_CHARACTERS_MAX
        && text.chars().all(of_an_id)
        && text.to_lowercase() == text
}

/// Whether a text could be the type of an entity.
#[must_use]
pub(crate) fn is_entity_type(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-'))
}

/// The words of a text in lower case, separated by spaces: what stands between them does not matter.
#[must_use]
pub(crate) fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use api_types::knowledge::knowledge_id;

    use super::{is_entity_type, is_record_id, lookup, type_key, words};

    #[test]
    fn identifiers_are_looked_up_without_case_and_underscores() {
        for spelling in ["Mike Ross", "mike_ross", "MIKE ROSS", " mike_Ross "] {
            assert_eq!(lookup(spelling), "mike ross");
        }
        assert_ne!(lookup("mike-ross"), lookup("mike ross"));
    }

    #[test]
    fn ids_are_type_and_name() {
        for id in ["thing:teapot", "creative_work:dr_who", "place:åland", "thing:a:b", "k-1:x.y"] {
            assert!(is_record_id(id), "{id}");
        }
        for id in [
            "notypename",
            ":x",
            "x:",
            "Thing:teapot",
            "thing:Tea",
            "thing:a b",
            "thing:a/b",
            "th ing:a",
            "thing:50%",
            "",
        ] {
            assert!(!is_record_id(id), "{id}");
        }
        assert!(!is_record_id(&format!("thing:{}", "x".repeat(300))));
    }

    #[test]
    fn every_derived_id_could_be_chosen() {
        for (kind, identifier) in [(Some("Creative Work"), "Dr  Who"), (None, "A/B?c"), (Some("İ"), "ẞ 100%")] {
            assert!(is_record_id(&knowledge_id(kind, identifier)), "{identifier}");
        }
    }

    #[test]
    fn types_are_letters_digits_and_separators() {
        assert!(is_entity_type("Creative Work-2_x"));
        assert!(!is_entity_type("a/b"));
        assert_eq!((type_key(Some(" Person ")), type_key(None)), ("person".to_owned(), String::new()));
    }

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(words("Jean-Luc PICARD's e-mail: a.b@c.de, 3.5 C++!"), "jean luc picard s e mail a b c de 3 5 c");
        assert_eq!(words("…"), "");
    }
}
