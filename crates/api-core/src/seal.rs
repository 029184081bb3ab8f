//! Secrets at rest: texts that only a holder of `JWT_SECRET` can read, and texts that only such a holder can have written.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::secret::Secret;

/// The text cannot be sealed, or was not sealed by this key for this purpose.
#[derive(Debug, thiserror::Error)]
#[error("a sealed text cannot be read or written")]
pub struct SealError;

/// Seals texts with AES-256-GCM.
pub struct SealKey {
    aead: LessSafeKey,
    mac: hmac::Key,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// A key for one purpose; what is sealed for one purpose cannot be read for another.
    ///
    /// # Errors
    /// Never: the key has the right length.
    pub fn derive(jwt_secret: &Secret, purpose: &str) -> Result<Self, SealError> {
        let master = hmac::Key::new(hmac::HMAC_SHA256, jwt_secret.expose().as_bytes());
        let key = |use_: &str| hmac::sign(&master, format!("imago {use_} v1 {purpose}").as_bytes());
        let aead = UnboundKey::new(&AES_256_GCM, key("seal").as_ref()).map_err(|_unspecified| SealError)?;
        let mac = hmac::Key::new(hmac::HMAC_SHA256, key("digest").as_ref());
        Ok(Self { aead: LessSafeKey::new(aead), mac })
    }

    /// 64 hex digits that tell texts apart and, without the key, say nothing about them: of a text that can be guessed, such as
    /// a password, a plain hash would confirm the guess.
    #[must_use]
    pub fn digest(&self, text: &str) -> String {
        hex::encode(hmac::sign(&self.mac, text.as_bytes()))
    }

    /// `place` says what the text belongs to, so that it cannot be put in another's place.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn seal(&self, place: &str, text: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_unspecified| SealError)?;
        let mut sealed = text.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let done = self.aead.seal_in_place_append_tag(unique, Aad::from(place), &mut sealed);
        done.map_err(|_unspecified| SealError)?;
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &sealed[..]].concat()))
    }

    /// The text again.
    ///
    /// # Errors
    /// When it was sealed by another key or for another place, or was changed.
    pub fn open(&self, place: &str, sealed: &str) -> Result<String, SealError> {
        let mut bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_not_base64| SealError)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| SealError)?;
        let opened = self.aead.open_in_place(nonce, Aad::from(place), sealed).map_err(|_unspecified| SealError)?;
        String::from_utf8(opened.to_vec()).map_err(|_not_text| SealError)
    }
}

/// Signs texts with HMAC-SHA256.
pub struct SignKey(hmac::Key);

impl std::fmt::Debug for SignKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignKey")
    }
}

impl SignKey {
    /// A key for one purpose; what is signed for one purpose counts for no other.
    #[must_use]
    pub fn derive(jwt_secret: &Secret, purpose: &str) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, jwt_secret.expose().as_bytes());
        let key = hmac::sign(&master, format!("imago sign v1 {purpose}").as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    /// 32 bytes.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, text).as_ref().to_vec()
    }

    /// Whether `signature` is the text's, compared in constant time.
    #[must_use]
    pub fn is_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, text, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{SealKey, SignKey};
    use crate::secret::Secret;

    #[test]
    fn a_sealed_text_is_read_only_with_its_key_in_its_place() {
        let key = SealKey::derive(&Secret::new("s"), "answers").unwrap();
        let sealed = key.seal("here", "a secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(key.open("here", &sealed).unwrap(), "a secret");
        assert!(key.open("there", &sealed).is_err());
        assert!(SealKey::derive(&Secret::new("s"), "other").unwrap().open("here", &sealed).is_err());
        assert!(SealKey::derive(&Secret::new("t"), "answers").unwrap().open("here", &sealed).is_err());
        assert!(key.open("here", "").is_err() && key.open("here", "%").is_err());
    }

    #[test]
    fn a_digest_tells_texts_apart_for_its_key_only() {
        let key = SealKey::derive(&Secret::new("s"), "answers").unwrap();
        assert_eq!(key.digest("x"), SealKey::derive(&Secret::new("s"), "answers").unwrap().digest("x"));
        assert_ne!(key.digest("x"), key.digest("y"));
        assert_ne!(key.digest("x"), SealKey::derive(&Secret::new("t"), "answers").unwrap().digest("x"));
        assert_ne!(key.digest("x"), SealKey::derive(&Secret::new("s"), "other").unwrap().digest("x"));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let key = SealKey::derive(&Secret::new("s"), "answers").unwrap();
        assert_ne!(key.seal("here", "x").unwrap(), key.seal("here", "x").unwrap());
    }

    #[test]
    fn a_signature_is_of_its_text_key_and_purpose() {
        let key = SignKey::derive(&Secret::new("s"), "cuts");
        let signature = key.sign(b"a");
        assert!(key.is_signed(b"a", &signature));
        assert!(!key.is_signed(b"b", &signature) && !key.is_signed(b"a", &signature[1..]));
        assert!(!SignKey::derive(&Secret::new("s"), "other").is_signed(b"a", &signature));
        assert!(!SignKey::derive(&Secret::new("t"), "cuts").is_signed(b"a", &signature));
    }
}
