//! Service tokens: short-lived proof that a call comes from one of our own services.
//!
//! HS256 with a key derived from `JWT_SECRET`, so that no token signed with `JWT_SECRET` itself, which
//! operators hand to users, can pass for a service's.

use api_types::auth::Principal;
use chrono::Utc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How long a token is good for.
const LIFETIME_S: i64 = 60;
const AUDIENCE: &str = "imago-services";
/// Marks our tokens in the header, so that a reader knows which key to check with.
pub const KEY_ID: &str = "imago-service";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Principal>,
}

/// A call by one of our services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCall {
    /// The calling service's name.
    pub service: String,
    /// Whom it calls for.
    pub on_behalf_of: Option<Principal>,
}

/// Signs and checks service tokens.
#[derive(Clone)]
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

impl TokenKey {
    /// Derives the key from `JWT_SECRET`.
    #[must_use]
    pub fn derive(jwt_secret: &str) -> Self {
        let mut mac = match Hmac::<Sha256>::new_from_slice(jwt_secret.as_bytes()) {
            Ok(mac) => mac,
            Err(_invalid_length) => unreachable!("HMAC takes keys of any length"),
        };
        mac.update(b"imago service token v1");
        let key = mac.finalize().into_bytes();
        Self { encoding: EncodingKey::from_secret(&key), decoding: DecodingKey::from_secret(&key) }
    }

    /// A token for one call of `service`.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON.
    pub fn sign(&self, service: &str, on_behalf_of: Option<&Principal>) -> Result<String, jsonwebtoken::errors::Error> {
        let now = Utc::now().timestamp();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(KEY_ID.to_owned());
        let claims = Claims {
            iss: service.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now,
            exp: now + LIFETIME_S,
            act: on_behalf_of.cloned(),
        };
        jsonwebtoken::encode(&header, &claims, &self.encoding)
    }

    /// # Errors
    /// When the token is not ours, not for us, or past its time.
    pub fn verify(&self, token: &str) -> Result<ServiceCall, jsonwebtoken::errors::Error> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 5;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)?.claims;
        Ok(ServiceCall { service: claims.iss, on_behalf_of: claims.act })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};

    use super::{Claims, TokenKey};

    #[test]
    fn a_token_names_its_service() {
        let key = TokenKey::derive("secret");
        let token = key.sign("agent-builder", None).unwrap();
        assert_eq!(key.verify(&token).unwrap().service, "agent-builder");
    }

    #[test]
    fn a_token_signed_with_the_jwt_secret_itself_is_refused() {
        let claims = Claims {
            iss: "agent-builder".into(),
            aud: super::AUDIENCE.into(),
            iat: 0,
            exp: i64::from(u32::MAX),
            act: None,
        };
        let forged = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"secret"));
        assert!(TokenKey::derive("secret").verify(&forged.unwrap()).is_err());
    }
}
