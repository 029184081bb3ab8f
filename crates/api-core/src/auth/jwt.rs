//! Users' tokens: HS256, checked here, without asking anybody.

use std::collections::BTreeSet;

use api_types::auth::{Principal, Role, Scope};
use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, errors::ErrorKind};
use serde::Deserialize;

use super::{expired_token, invalid_token};
use crate::{error::ApiError, secret::Secret};

/// Clocks may differ by so much.
const LEEWAY_S: u64 = 5;
/// A token issued further in the future than this is a forgery or a broken clock.
const ISSUED_AHEAD_MAX_S: i64 = 60;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iat: i64,
    #[serde(default)]
    roles: Vec<String>,
    role: Option<String>,
    #[serde(default)]
    permissions: Vec<String>,
    client_id: Option<String>,
}

pub(super) struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// The header, when the text is a JWT at all: two dots and a JSON header. Anything else is an API key.
pub(super) fn header_of(token: &str) -> Option<Header> {
    if token.matches('.').count() != 2 {
        return None;
    }
    match jsonwebtoken::decode_header(token) {
        Ok(header) => Some(header),
        // An algorithm that the library does not know (`none`) is a token all the same, and a bad one.
        Err(error) => match error.kind() {
            ErrorKind::Json(_) | ErrorKind::InvalidAlgorithmName | ErrorKind::InvalidAlgorithm => {
                Some(Header::new(Algorithm::HS512))
            }
            _ => None,
        },
    }
}

impl Verifier {
    pub(super) fn new(secret: &Secret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_S;
        validation.validate_aud = false;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self { key: DecodingKey::from_secret(secret.expose().as_bytes()), validation }
    }

    pub(super) fn verify(&self, token: &str) -> Result<Principal, ApiError> {
        let claims = match jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation) {
            Ok(data) => data.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => return Err(expired_token()),
            Err(error) => return Err(invalid_token().caused_by(error)),
        };
        if claims.iat > Utc::now().timestamp() + ISSUED_AHEAD_MAX_S || claims.sub.is_empty() {
            return Err(invalid_token());
        }
        let roles: BTreeSet<Role> =
            claims.roles.iter().chain(&claims.role).filter_map(|role| role.parse().ok()).collect();
        let permissions: Vec<Scope> = claims.permissions.iter().filter_map(|scope| scope.parse().ok()).collect();
        // Rights that were named but mean nothing here must not turn into the rights of no names at all.
        if permissions.is_empty() && !claims.permissions.is_empty() && roles.is_empty() {
            return Err(invalid_token());
        }
        let client_id = claims.client_id.unwrap_or_else(|| claims.sub.clone());
        Ok(Principal { id: claims.sub, client_id, roles, permissions })
    }
}

#[cfg(test)]
mod tests {
    use api_types::error::Code;
    use chrono::Utc;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::{Verifier, header_of};
    use crate::secret::Secret;

    fn sign(claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(b"s")).unwrap()
    }

    fn code(claims: &serde_json::Value) -> Code {
        Verifier::new(&Secret::new("s")).verify(&sign(claims)).unwrap_err().code()
    }

    #[test]
    fn a_good_token_names_subject_and_roles() {
        let now = Utc::now().timestamp();
        let token = sign(&json!({"sub": "u", "iat": now, "exp": now + 60, "role": "viewer"}));
        let principal = Verifier::new(&Secret::new("s")).verify(&token).unwrap();
        assert_eq!(principal.id, "u");
        assert!(principal.sees_only_own());
    }

    #[test]
    fn missing_claims_and_the_future_are_invalid_and_the_past_is_expired() {
        let now = Utc::now().timestamp();
        assert_eq!(code(&json!({"sub": "u", "iat": now})), Code::InvalidToken);
        assert_eq!(code(&json!({"iat": now, "exp": now + 60})), Code::InvalidToken);
        assert_eq!(code(&json!({"sub": "u", "exp": now + 60})), Code::InvalidToken);
        assert_eq!(code(&json!({"sub": "u", "iat": now + 90, "exp": now + 120})), Code::InvalidToken);
        assert_eq!(code(&json!({"sub": "u", "iat": now - 90, "exp": now - 30})), Code::ExpiredToken);
    }

    #[test]
    fn three_parts_without_a_json_header_are_a_key() {
        assert!(header_of("a.b.c").is_none());
        assert!(header_of("a.b").is_none());
    }

    #[test]
    fn the_algorithm_none_is_a_token_and_a_bad_one() {
        // {"alg":"none","typ":"JWT"}
        let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.";
        assert!(header_of(token).is_some());
        assert_eq!(Verifier::new(&Secret::new("s")).verify(token).unwrap_err().code(), Code::InvalidToken);
    }
}
