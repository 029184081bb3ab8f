//! The ids of records and items: derived, so that the same thing has the same id everywhere.

use sha2::{Digest as _, Sha256};

use super::{ItemId, KnowledgeId};

/// The id of the record about an entity: lower case of `entity_type:identifier`, each run of whitespace and each run of
/// `/ ? # %` as `_`. Without a type the prefix is `entity`.
#[must_use]
pub fn knowledge_id(entity_type: Option<&str>, identifier: &str) -> KnowledgeId {
    let kind = entity_type.map_or("entity", str::trim);
    let mut id = String::with_capacity(kind.len() + identifier.len() + 1);
    slug_into(&mut id, kind);
    id.push(':');
    slug_into(&mut id, identifier.trim());
    KnowledgeId::new(id)
}

fn slug_into(id: &mut String, text: &str) {
    let mut run = None;
    for c in text.chars().flat_map(char::to_lowercase) {
        let replaced = if c.is_whitespace() {
            Some(' ')
        } else if matches!(c, '/' | '?' | '#' | '%') {
            Some('/')
        } else {
            id.push(c);
            None
        };
        if replaced.is_some() && replaced != run {
            id.push('_');
        }
        run = replaced;
    }
}

/// The id of an item: the same for the same record, source and text.
#[must_use]
pub fn item_id(record: &KnowledgeId, source: &str, text: &str) -> ItemId {
    let mut hash = Sha256::new();
    for part in [record.as_str(), source, text] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update(part.len().to_string());
        hash.update(":");
        hash.update(part);
    }
    let digest = hex::encode(hash.finalize());
    ItemId::new(format!("kn_{}", &digest[..20]))
}

#[cfg(test)]
mod tests {
    use super::{item_id, knowledge_id};
    use crate::knowledge::KnowledgeId;

    #[test]
    fn record_ids_are_type_and_name_in_lower_case() {
        let table = [
            (Some("Person"), "Bob Ross", "person:bob_ross"),
            (Some("Thing"), "A/B?x", "thing:a_b_x"),
            (Some("Thing"), "50% ## off", "thing:50____off"),
            (None, "NASA lab", "entity:nasa_lab"),
            (Some("Creative Work"), "Dr  Who", "creative_work:dr_who"),
            (Some("Person"), "  Ada\tLovelace\n", "person:ada_lovelace"),
            (Some("Place"), "ÅLAND Øy", "place:åland_øy"),
            (Some("Thing"), "a//b", "thing:a_b"),
            (Some("Thing"), "a:b", "thing:a:b"),
        ];
        for (kind, identifier, expected) in table {
            assert_eq!(knowledge_id(kind, identifier).as_str(), expected);
        }
    }

    #[test]
    fn item_ids_depend_on_record_source_and_text_alone() {
        let record = KnowledgeId::new("person:ada");
        let id = item_id(&record, "User", "Wrote programs.");
        assert_eq!(id.len(), 23);
        assert!(id.starts_with("kn_") && id[3..].bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(id, item_id(&record, "User", "Wrote programs."));
        assert_ne!(id, item_id(&record, "User", "Wrote programs"));
        assert_ne!(id, item_id(&record, "Use", "rWrote programs."));
        assert_ne!(id, item_id(&KnowledgeId::new("person:adb"), "User", "Wrote programs."));
    }
}
