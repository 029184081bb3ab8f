//! Names compared: the normalised form, the id made of it, and slugs.

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

const SLUG_CHARS_MAX: usize = 100;

/// What two names are compared by: lower case, each run of whitespace and hyphens as one space, punctuation dropped.
///
/// Punctuation is what Unicode calls so, except `#`: dropping that would make one skill of C and C#. Dashes of every
/// length count as hyphens, invisible format characters are dropped, and equal-looking texts become equal (NFC).
/// Applying it twice changes nothing.
#[must_use]
pub fn normalise(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut gap = false;
    for c in name.nfc().flat_map(char::to_lowercase).nfc() {
        if separates(c) {
            gap = true;
        } else if !is_dropped(c) {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        }
    }
    // Dropping a character may have brought a letter and a combining mark together.
    if unicode_normalization::is_nfc(&out) { out } else { out.nfc().collect() }
}

fn separates(c: char) -> bool {
    c.is_whitespace() || matches!(c.general_category(), GeneralCategory::DashPunctuation | GeneralCategory::Control)
}

fn is_dropped(c: char) -> bool {
    use GeneralCategory as Is;
    c != '#'
        && matches!(
            c.general_category(),
            Is::ConnectorPunctuation
                | Is::OpenPunctuation
                | Is::ClosePunctuation
                | Is::InitialPunctuation
                | Is::FinalPunctuation
                | Is::OtherPunctuation
                | Is::Format
        )
}

/// `sk_` and the first 16 hex digits of SHA-256 over the normalised name: the same skill has the same id everywhere.
///
/// Names of nothing but punctuation have no normalised form; they are told apart by their own text.
#[must_use]
pub fn skill_id(name: &str) -> String {
    let normalised = normalise(name);
    let text = if normalised.is_empty() { name.trim() } else { &normalised };
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    format!("sk_{}", &hash[..16])
}

/// Lower case, every run of characters outside `[a-z0-9]` as one `-`, none at the ends, at most 100 characters.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SLUG_CHARS_MAX));
    let mut gap = false;
    for c in text.chars().flat_map(char::to_lowercase) {
        if !matches!(c, 'a'..='z' | '0'..='9') {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push('-');
        }
        gap = false;
        out.push(c);
        if out.len() >= SLUG_CHARS_MAX {
            break;
        }
    }
    out.truncate(SLUG_CHARS_MAX);
    out.truncate(out.trim_end_matches('-').len());
    out
}
