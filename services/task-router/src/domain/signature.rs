//! Whether a worker's registration is signed with its key (AINS contract, section 2.1).

mod canonical;
mod key;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

pub use canonical::canonical;
pub use key::PublicKey;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How much is asked of a registration (`AINS_SIGNATURE_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The signature must fit a key that can be read.
    #[default]
    Lenient,
    /// Nothing is looked at.
    Off,
    /// The key must be one that can be read, and the signature must fit.
    Required,
}

impl Mode {
    pub const NAMES: [&str; 3] = ["lenient", "off", "required"];

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "lenient" => Some(Self::Lenient),
            "off" => Some(Self::Off),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// What a worker says about itself, as far as it may be signed.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    pub agent_id: &'a str,
    pub endpoint: &'a str,
    pub public_key: &'a str,
    pub signature: &'a str,
    /// The request's body, as it came.
    pub body: &'a str,
}

/// Which field is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("must be a PEM public key (RSA, P-256 or Ed25519) or 64 hex digits (Ed25519)")]
    PublicKey,
    #[error("does not fit the public key")]
    Signature,
}

/// Whether the registration is signed as it should be; `false` where that could not be checked and need not be.
///
/// # Errors
/// When the mode does not let it pass.
pub fn verify(mode: Mode, registration: &Registration<'_>) -> Result<bool, Rejected> {
    if mode == Mode::Off {
        return Ok(false);
    }
    let Some(key) = PublicKey::parse(registration.public_key) else {
        return if mode == Mode::Required { Err(Rejected::PublicKey) } else { Ok(false) };
    };
    let joined = format!("{}{}", registration.agent_id, registration.endpoint);
    let texts = [Some(joined), canonical(registration.body)];
    let signatures = readings(registration.signature);
    let fits = |text: String| signatures.iter().any(|signature| key.verifies(text.as_bytes(), signature));
    if texts.into_iter().flatten().any(fits) { Ok(true) } else { Err(Rejected::Signature) }
}

/// What the text may stand for: hex digits are base64, too.
fn readings(signature: &str) -> Vec<Vec<u8>> {
    let plain = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let text: Vec<u8> = signature.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(plain).collect();
    hex::decode(&text).into_iter().chain(BASE64.decode(&text)).collect()
}

#[cfg(test)]
mod tests;
