//! Leaving secrets out of texts that callers choose.
//!
//! The credential of a request is taken out of its user agent where it is seen. What is found here is what has the form of a
//! secret, wherever it was put.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::Value;

const REDACTED: &str = "[redacted]";

/// Texts with a form that only secrets have: our keys of the AINS door, tokens, webhook secrets, keys of model services, and what
/// follows the scheme of an `Authorization` header.
const FORMS: &str = r"(?x)
    \bains_[A-Za-z0-9_-]{16,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?
    | \bwhsec_[A-Za-z0-9+/=_-]{8,}
    | \bsk-[A-Za-z0-9_-]{16,}
    | \b(?i:bearer|basic)[\ :]+[^\s,;]{6,}";

/// `key_id.secret`, or a secret alone: forms that names may have, too, so the secret must look random.
const RANDOM: &str = r"\b(?:[A-Za-z0-9_-]{1,64}\.)?([A-Za-z0-9_-]{20,})";

static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(FORMS).ok());
static MAYBE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(RANDOM).ok());

/// The text without secrets, cut to `most` characters; U+0000, which the database takes nowhere, is left out.
pub(super) fn text(given: &str, most: usize) -> String {
    let plain: Cow<'_, str> = if given.contains('\0') { given.replace('\0', "").into() } else { given.into() };
    let (Some(form), Some(maybe)) = (FORM.as_ref(), MAYBE.as_ref()) else { return REDACTED.to_owned() };
    let told = form.replace_all(&plain, REDACTED);
    let told = maybe.replace_all(&told, |found: &Captures<'_>| {
        let is_secret = found.get(1).is_some_and(|secret| is_random(secret.as_str()));
        if is_secret { REDACTED.to_owned() } else { found[0].to_owned() }
    });
    told.chars().take(most).collect()
}

/// The same for every text in a JSON value, keys included.
pub(super) fn value(given: Value, most: usize) -> Value {
    match given {
        Value::String(given) => Value::String(text(&given, most)),
        Value::Array(values) => Value::Array(values.into_iter().map(|entry| value(entry, most)).collect()),
        Value::Object(object) => {
            let told = object.into_iter().map(|(key, entry)| (text(&key, most), value(entry, most)));
            Value::Object(told.collect())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

/// Whether the text is as 20 or more random URL-safe characters are: upper and lower case mixed, with digits. Ids of ours and
/// words are of one case, or have no digits.
fn is_random(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().filter(|byte| is(byte)).count();
    has(u8::is_ascii_uppercase) >= 3 && has(u8::is_ascii_lowercase) >= 3 && has(u8::is_ascii_digit) >= 1
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn what_has_the_form_of_a_secret_is_left_out_wherever_it_stands() {
        let secret = "q7Zx0-Ab_3kLmN9pQrStUvWxYz012345678AbCdEfGh";
        for form in [
            format!("ains_{secret}"),
            format!("k_0123456789abcdef01.{secret}"),
            format!("admin-key-001.{secret}"),
            secret.to_owned(),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl".to_owned(),
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned(),
            "sk-abcdefghijklmnopqrst".to_owned(),
            "Bearer geheim".to_owned(),
            "authorization: bearer geheim".to_owned(),
        ] {
            for place in [form.clone(), format!("curl/8 ({form})"), format!("a {form} b"), format!("x={form}&y=1")] {
                let told = text(&place, 512);
                assert!(told.contains("[redacted]"), "{place}: {told}");
                for part in [secret, "geheim", "c2lnbmF0dXJl", "C2FVsBQI", "klmnopqrst"] {
                    assert!(!told.contains(part), "{place}: {told}");
                }
            }
        }
    }

    #[test]
    fn names_and_programs_stay_as_they_are() {
        for plain in [
            "ProductionApp/1.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
            "python-requests/2.32.3",
            "com.example.invoice-processing-agent-2",
            "agent-0190a5d4-ac96-774b-bcce-b302099a8057",
            "k_0123456789abcdef01",
            "log_01890a5dac967000800000000000000a",
            "the-bearer of news",
            "audit me",
        ] {
            assert_eq!(text(plain, 512), plain);
        }
    }

    #[test]
    fn a_text_is_cut_and_holds_no_nul() {
        assert_eq!(text("a\0b", 512), "ab");
        assert_eq!(text(&"äb ".repeat(400), 512).chars().count(), 512);
    }
}
