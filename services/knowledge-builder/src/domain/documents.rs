//! Documents: their ids, and what is taken for granted about them.

use api_types::knowledge::DocumentId;
use sha2::{Digest as _, Sha256};

use super::extract::title_of;

/// The most documents a request may bring along.
pub(crate) const REQUEST_DOCUMENTS_MAX: usize = 20;

/// What a document without any title is called.
pub(crate) const UNTITLED: &str = "Untitled document";

/// The SHA-256 of a document's bytes, in hex.
#[must_use]
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The id of a document: the same for the same bytes and title from the same principal.
#[must_use]
pub(crate) fn document_id(principal: &str, title: &str, sha256: &str) -> DocumentId {
    let mut hash = Sha256::new();
    for part in [principal, title, sha256] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update(part.len().to_string());
        hash.update(":");
        hash.update(part);
    }
    let digest = hex::encode(hash.finalize());
    DocumentId::new(format!("doc_{}", &digest[..24]))
}

/// The title of a document: the given one, its own, or its file's name.
#[must_use]
pub(crate) fn title(given: Option<&str>, own: Option<&str>, file_name: Option<&str>) -> String {
    let usable = |title: &str| Some(title_of(title)).filter(|title| !title.is_empty());
    given
        .and_then(usable)
        .or_else(|| own.and_then(usable))
        .or_else(|| file_name.and_then(usable))
        .unwrap_or_else(|| UNTITLED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{UNTITLED, document_id, sha256, title};

    #[test]
    fn ids_are_of_principal_title_and_bytes() {
        let hash = sha256(b"Plain words.");
        let id = document_id("k_1", "Plain", &hash);
        assert_eq!(id.len(), 28);
        assert!(id.starts_with("doc_") && id[4..].bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(id, document_id("k_1", "Plain", &hash));
        assert_ne!(id, document_id("k_2", "Plain", &hash));
        assert_ne!(id, document_id("k_1", "Other", &hash));
        assert_ne!(id, document_id("k_1", "Plain", &sha256(b"Plain words")));
    }

    #[test]
    fn the_first_title_that_says_anything_counts() {
        assert_eq!(title(Some(" Given\n title "), Some("Own"), Some("a.txt")), "Given title");
        assert_eq!(title(Some(" "), Some("Own"), Some("a.txt")), "Own");
        assert_eq!(title(None, None, Some("a.txt")), "a.txt");
        assert_eq!(title(None, Some("\u{202e}"), None), UNTITLED);
    }
}
