//! What nobody can guess.

use api_core::auth::AINS_PREFIX;
use api_types::keys::{KeyForm, KeyId};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The id of a key: `k_` and 18 hex digits, or `key_` and 32 that are ordered by time.
pub(crate) fn new_id(form: KeyForm) -> KeyId {
    KeyId::new(match form {
        KeyForm::Native => format!("k_{}", hex::encode(rand::random::<[u8; 9]>())),
        KeyForm::Ains => api_types::ains::new_id("key"),
    })
}

/// 43 URL-safe characters that hold 32 random bytes.
pub(crate) fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A secret that is shown once.
pub(crate) struct Fresh {
    /// What its holder presents.
    pub(crate) token: String,
    /// The part of it that nobody else knows.
    pub(crate) secret: String,
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fresh")
    }
}

impl Fresh {
    /// A secret for the key `id`.
    pub(crate) fn new(form: KeyForm, id: &KeyId) -> Self {
        let secret = new_secret();
        match form {
            KeyForm::Native => Self { token: format!("{id}.{secret}"), secret },
            KeyForm::Ains => {
                let token = format!("{AINS_PREFIX}{secret}");
                Self { secret: token.clone(), token }
            }
        }
    }

    /// All that is stored of it.
    pub(crate) fn digest(&self) -> String {
        digest(&self.secret)
    }
}

/// All that is stored of a secret: its SHA-256 in hex. Secrets of ours are too random to need salt or a slow hash.
pub(crate) fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Whether two digests are equal, without telling where they differ.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use api_types::keys::KeyForm;

    use super::{Fresh, digest, is_same, new_id};

    fn is_hex(text: &str) -> bool {
        text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }

    fn is_url_safe(text: &str) -> bool {
        text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }

    #[test]
    fn ids_and_secrets_have_the_published_forms() {
        let id = new_id(KeyForm::Native);
        let hex = id.strip_prefix("k_").unwrap();
        assert!(hex.len() == 18 && is_hex(hex), "{id}");
        let fresh = Fresh::new(KeyForm::Native, &id);
        assert!(is_url_safe(&fresh.secret) && fresh.token == format!("{id}.{}", fresh.secret));
        assert!(new_id(KeyForm::Native) != id && Fresh::new(KeyForm::Native, &id).secret != fresh.secret);

        let ids: Vec<_> = (0..100).map(|_| new_id(KeyForm::Ains)).collect();
        let hex = ids[0].strip_prefix("key_").unwrap();
        assert!(hex.len() == 32 && is_hex(hex) && ids.is_sorted(), "{ids:?}");
        let fresh = Fresh::new(KeyForm::Ains, &ids[0]);
        assert!(is_url_safe(fresh.token.strip_prefix("ains_").unwrap()), "{}", fresh.token);
        // The whole key is hashed, not what follows the prefix.
        assert_eq!(fresh.digest(), digest(&fresh.token));
    }

    #[test]
    fn a_digest_is_sha256_in_hex() {
        let expected = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert!(is_same(&digest("secret"), expected) && !is_same(&digest("Secret"), expected));
    }
}
