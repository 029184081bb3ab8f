//! The public keys that can be read, and what they verify.
//!
//! ring is not enough here: it takes only PSS signatures whose salt is as long as the digest, and most tools sign with the longest.

use base64::Engine as _;
use ed25519_dalek::VerifyingKey as Ed25519;
use p256::ecdsa::{Signature as EcdsaSignature, VerifyingKey as P256, signature::Verifier as _};
use rsa::{
    BigUint, Pkcs1v15Sign, Pss, RsaPublicKey,
    pkcs1::RsaPublicKey as Pkcs1,
    pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef},
    sha2::{Digest as _, Sha256},
    traits::PublicKeyParts as _,
};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const CURVE_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Shorter ones prove nothing any more, and count as keys that cannot be read.
const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 8_192;
const DIGEST_BYTES: usize = 32;

/// A key that signatures can be checked with.
#[derive(Debug, Clone)]
pub enum PublicKey {
    Rsa {
        key: RsaPublicKey,
        /// The key itself says that it is not for PKCS#1 v1.5.
        only_pss: bool,
    },
    P256(P256),
    Ed25519(Ed25519),
}

impl PublicKey {
    /// A PEM `SubjectPublicKeyInfo`, or the 64 hex digits of an Ed25519 key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) {
            Some(inner) => {
                let inner: Vec<u8> = inner.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                Self::of_der(&super::BASE64.decode(inner).ok()?)
            }
            None => Self::of_ed25519(&hex::decode(text).ok()?),
        }
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
        let key = info.subject_public_key.as_bytes()?;
        match info.algorithm.oid {
            RSA => Self::of_rsa(key, false),
            RSA_PSS => Self::of_rsa(key, true),
            EC if info.algorithm.parameters_oid().ok() == Some(CURVE_P256) => {
                P256::from_sec1_bytes(key).ok().map(Self::P256)
            }
            ED25519 => Self::of_ed25519(key),
            _ => None,
        }
    }

    fn of_rsa(der: &[u8], only_pss: bool) -> Option<Self> {
        let parts = Pkcs1::try_from(der).ok()?;
        let number = BigUint::from_bytes_be;
        let (modulus, exponent) = (number(parts.modulus.as_bytes()), number(parts.public_exponent.as_bytes()));
        let key = RsaPublicKey::new_with_max_size(modulus, exponent, RSA_BITS_MAX).ok()?;
        (key.n().bits() >= RSA_BITS_MIN).then_some(Self::Rsa { key, only_pss })
    }

    fn of_ed25519(bytes: &[u8]) -> Option<Self> {
        let key = Ed25519::from_bytes(bytes.try_into().ok()?).ok()?;
        // With a weak key, one signature would fit every text.
        (!key.is_weak()).then_some(Self::Ed25519(key))
    }

    /// Whether the signature is this key's for the text.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { key, only_pss } => verifies_rsa(key, *only_pss, text, signature),
            Self::P256(key) => {
                let of_der = EcdsaSignature::from_der(signature);
                let of_both = || EcdsaSignature::from_slice(signature);
                of_der.or_else(|_| of_both()).is_ok_and(|signature| key.verify(text, &signature).is_ok())
            }
            Self::Ed25519(key) => signature
                .try_into()
                .is_ok_and(|bytes| key.verify_strict(text, &ed25519_dalek::Signature::from_bytes(bytes)).is_ok()),
        }
    }
}

/// The salt of a PSS signature is as long as the digest or as long as the key allows.
fn verifies_rsa(key: &RsaPublicKey, only_pss: bool, text: &[u8], signature: &[u8]) -> bool {
    let digest = Sha256::digest(text);
    let longest = (key.n().bits() - 1).div_ceil(8) - DIGEST_BYTES - 2;
    let pss = |salt| key.verify(Pss::new_with_salt::<Sha256>(salt), &digest, signature).is_ok();
    (!only_pss && key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, signature).is_ok())
        || pss(DIGEST_BYTES)
        || pss(longest)
}
