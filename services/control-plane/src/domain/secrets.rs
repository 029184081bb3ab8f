//! What nobody can guess.

use api_types::keys::KeyId;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The id of a key: `k_` and 18 hex digits.
pub(crate) fn new_id() -> KeyId {
    KeyId::new(format!("k_{}", hex::encode(rand::random::<[u8; 9]>())))
}

/// 43 URL-safe characters that hold 32 random bytes.
pub(crate) fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
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
    use super::{digest, is_same, new_id, new_secret};

    #[test]
    fn ids_and_secrets_have_the_published_form() {
        let (id, secret) = (new_id(), new_secret());
        let hex = id.strip_prefix("k_").unwrap();
        assert!(hex.len() == 18 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
        assert!(secret.len() == 43 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        assert!(new_id() != id && new_secret() != secret);
    }

    #[test]
    fn a_digest_is_sha256_in_hex() {
        let expected = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert!(is_same(&digest("secret"), expected) && !is_same(&digest("Secret"), expected));
    }
}
