//! What a request presents as an API key: its two forms, and whether it is the right one.

use api_types::keys::{KeyLookup, KeyRecord};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// How keys of the second form begin.
pub const AINS_PREFIX: &str = "ains_";
/// What follows: 32 random bytes in URL-safe base64.
pub const AINS_CHARS: usize = 43;

/// A text that has the form of a key.
#[derive(Debug)]
pub(super) struct Presented<'a> {
    token: &'a str,
    /// The id in a key of the native form; the other form names none.
    pub(super) id: Option<&'a str>,
    /// SHA-256 in hex of the secret, or of the whole key when it names no id.
    pub(super) digest: String,
}

impl<'a> Presented<'a> {
    /// `None` when the text has not the form of a key; nobody needs to be asked about it then.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        if is_ains_key(token) {
            return Some(Self { token, id: None, digest: sha256_hex(token) });
        }
        let (id, secret) = split_key(token)?;
        Some(Self { token, id: Some(id), digest: sha256_hex(secret) })
    }

    pub(super) fn lookup(&self) -> KeyLookup {
        KeyLookup { id: self.id.map(Into::into), secret_sha256: self.digest.clone() }
    }

    /// Whether this is a secret of the key at `now`. Takes the same time wherever digests differ, and however many there are.
    pub(super) fn opens(&self, record: &KeyRecord, now: DateTime<Utc>) -> bool {
        let is = |digest: &str| digest.as_bytes().ct_eq(self.digest.as_bytes());
        let previous = record
            .previous
            .as_ref()
            .map_or(Choice::from(0), |previous| is(&previous.sha256) & Choice::from(u8::from(now < previous.until)));
        (is(&record.secret_sha256) | previous).into()
    }

    /// What stands for the whole text where the text itself should not lie about.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.token).into()
    }
}

fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_ains_key(token: &str) -> bool {
    let rest = token.strip_prefix(AINS_PREFIX);
    rest.is_some_and(|rest| rest.len() == AINS_CHARS && rest.bytes().all(is_plain))
}

/// The parts of an API key: `key_id.secret`, split at the first dot; `None` when it has not the form of one.
///
/// Id 1–64, secret 1–256 characters of `[A-Za-z0-9_-]`, dots allowed in the secret.
#[must_use]
pub fn split_key(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let good = (1..=64).contains(&id.len())
        && (1..=256).contains(&secret.len())
        && id.bytes().all(is_plain)
        && secret.bytes().all(|byte| is_plain(byte) || byte == b'.');
    good.then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use api_types::keys::{KeyForm, KeyRecord, PreviousSecret};
    use chrono::{TimeDelta, Utc};

    use super::{Presented, sha256_hex, split_key};

    #[test]
    fn dots_belong_to_the_secret() {
        assert_eq!(split_key("a.b.c"), Some(("a", "b.c")));
        for bad in ["nodot", ".x", "x.", "a b.c", "ä.b"] {
            assert_eq!(split_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_without_an_id_has_one_length_and_one_alphabet() {
        let key = format!("ains_{}", "aB3_-".repeat(9).split_at(43).0);
        assert!(Presented::read(&key).unwrap().id.is_none());
        let longer = format!("{key}x");
        let (shorter, other) = (&key[..47], key.replace('3', "+"));
        for bad in [longer.as_str(), shorter, &other, &key.to_uppercase(), &key.replacen("ains_", "Ains_", 1), "ains_"]
        {
            assert!(Presented::read(bad).is_none(), "{bad}");
        }
        // With a dot it is one of the native form, which is looked up by its id.
        assert_eq!(Presented::read(&format!("{key}.x")).unwrap().id, Some(key.as_str()));
    }

    #[test]
    fn a_replaced_secret_is_good_until_its_time_is_over() {
        let now = Utc::now();
        let record = KeyRecord {
            id: "k".into(),
            form: KeyForm::Native,
            secret_sha256: sha256_hex("new"),
            previous: Some(PreviousSecret { sha256: sha256_hex("old"), until: now }),
            roles: Vec::new(),
            permissions: Vec::new(),
            client_id: "c".into(),
            expires_at: None,
            revoked_at: None,
            rate_limit_per_minute: None,
            rate_limit_per_hour: None,
        };
        let opens = |token: &str, at| Presented::read(token).unwrap().opens(&record, at);
        assert!(opens("k.new", now) && !opens("k.old", now) && !opens("k.other", now));
        assert!(opens("k.new", now - TimeDelta::seconds(1)) && opens("k.old", now - TimeDelta::seconds(1)));
    }
}
