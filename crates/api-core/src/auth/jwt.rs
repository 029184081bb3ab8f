//! Users' tokens: HS256, made by the control plane, checked here, without asking anybody.

use std::{collections::BTreeSet, time::Duration};

use api_types::{
    auth::{Principal, Role, Scope},
    users::{SessionId, User},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{expired_token, invalid_token, malformed_token};
use crate::{error::ApiError, secret::Secret};

/// Clocks may differ by so much.
const LEEWAY_S: u64 = 5;
/// A token issued further in the future than this is a forgery or a broken clock.
const ISSUED_AHEAD_MAX_S: f64 = 60.0;
/// Of a subject or client: it is stored with, and looked up by, what its holder makes.
const NAME_BYTES_MAX: usize = 1024;

/// What a token may be used for; any other kind of token is no credential.
const ACCESS: &str = "access";

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// Seconds, which may have a fraction.
    iat: f64,
    roles: Option<Vec<String>>,
    role: Option<String>,
    permissions: Option<Vec<String>>,
    client_id: Option<String>,
    /// The session that the token descends from; those of other issuers have none.
    sid: Option<String>,
    r#type: Option<String>,
}

/// What a good token says.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) principal: Principal,
    pub(super) session: Option<SessionId>,
}

/// Makes access tokens.
pub struct Signer(EncodingKey);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[derive(Serialize)]
struct Issued<'a> {
    sub: &'a str,
    username: &'a str,
    role: &'a str,
    roles: [&'a str; 1],
    sid: &'a str,
    jti: Uuid,
    r#type: &'a str,
    iat: i64,
    exp: i64,
}

impl Signer {
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(EncodingKey::from_secret(secret.expose().as_bytes()))
    }

    /// A token of `user` in `session`, good for `lifetime_s` seconds from `now` on.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(
        &self,
        user: &User,
        session: &SessionId,
        lifetime_s: i64,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let (role, iat) = (user.role.as_str(), now.timestamp());
        let claims = Issued {
            sub: &user.id,
            username: &user.username,
            role,
            roles: [role],
            sid: session,
            jti: Uuid::new_v4(),
            r#type: ACCESS,
            iat,
            exp: iat + lifetime_s,
        };
        jsonwebtoken::encode(&jsonwebtoken::Header::new(Algorithm::HS256), &claims, &self.0)
    }
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

/// A JWT's header, as far as it says who is to check the token.
#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(default)]
    kid: Value,
}

impl Header {
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_str()
    }
}

/// The header, when the text is a JWT at all: two dots and a JSON header. Anything else is an API key.
pub(super) fn header_of(token: &str) -> Option<Header> {
    let (header, rest) = token.split_once('.')?;
    if rest.matches('.').count() != 1 {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
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

    pub(super) fn verify(&self, token: &str) -> Result<Verified, ApiError> {
        let claims = match jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation) {
            Ok(data) => data.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => return Err(expired_token()),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {
                return Err(invalid_token().caused_by(error));
            }
            Err(error) => return Err(malformed_token().caused_by(error)),
        };
        if claims.r#type.is_some_and(|kind| kind != ACCESS) {
            return Err(invalid_token());
        }
        let names = [Some(&claims.sub), claims.client_id.as_ref(), claims.sid.as_ref()];
        let is_name = |name: &&String| !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0');
        if claims.iat > seconds(Utc::now()) + ISSUED_AHEAD_MAX_S || !names.iter().flatten().all(is_name) {
            return Err(invalid_token());
        }
        let roles: BTreeSet<Role> =
            claims.roles.iter().flatten().chain(&claims.role).filter_map(|role| role.parse().ok()).collect();
        // Those that mean nothing here stay, and grant nothing: without them the roles would count.
        let permissions: Vec<Scope> = claims.permissions.into_iter().flatten().map(Scope::from).collect();
        let client_id = claims.client_id.unwrap_or_else(|| claims.sub.clone());
        let principal = Principal { id: claims.sub, client_id, roles, permissions };
        Ok(Verified { principal, session: claims.sid.map(SessionId::new) })
    }
}

fn seconds(time: DateTime<Utc>) -> f64 {
    Duration::from_millis(u64::try_from(time.timestamp_millis()).unwrap_or_default()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use api_types::{
        error::Code,
        users::{User, UserRole},
    };
    use chrono::Utc;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::{Signer, Verifier, header_of};
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
        let verified = Verifier::new(&Secret::new("s")).verify(&token).unwrap();
        assert_eq!((verified.principal.id.as_str(), verified.session), ("u", None));
        assert!(verified.principal.sees_only_own());
    }

    #[test]
    fn a_token_of_ours_names_its_session_and_lives_as_long_as_it_should() {
        let (now, secret) = (Utc::now(), Secret::new("s"));
        let user = User {
            id: "usr_1".into(),
            username: "ada".to_owned(),
            email: "ada@example.com".to_owned(),
            full_name: "Ada".to_owned(),
            role: UserRole::Developer,
            is_active: true,
            avatar_url: None,
            preferences: serde_json::Map::new(),
            created_by: "usr_1".to_owned(),
            created_at: now,
            updated_at: now,
            revision: 1,
            last_login: None,
            login_count: 0,
        };
        let sign = |now| Signer::new(&secret).sign(&user, &"ses_1".into(), 1800, now).unwrap();
        let verified = Verifier::new(&secret).verify(&sign(now)).unwrap();
        assert_eq!(verified.session, Some("ses_1".into()));
        assert_eq!(verified.principal.id, "usr_1");
        assert!(verified.principal.may("workflows:execute") && !verified.principal.may("users:manage"));
        assert_ne!(sign(now), sign(now), "each token has an id of its own");
        // Clocks may differ by five seconds; iat may be ahead by no more than sixty.
        let code = |offset: i64| {
            let token = sign(now + chrono::TimeDelta::seconds(offset));
            Verifier::new(&secret).verify(&token).map_err(|error| error.code()).map(drop)
        };
        assert_eq!(code(-1803), Ok(()));
        assert_eq!(code(-1807), Err(Code::ExpiredToken));
        assert_eq!(code(55), Ok(()));
        assert_eq!(code(65), Err(Code::InvalidToken));
    }

    #[test]
    fn only_a_token_for_access_is_a_credential() {
        let now = Utc::now().timestamp();
        let token = |kind: &str| sign(&json!({"sub": "u", "iat": now, "exp": now + 60, "sid": "s", "type": kind}));
        let verifier = Verifier::new(&Secret::new("s"));
        assert!(verifier.verify(&token("access")).is_ok());
        for kind in ["refresh", "", "Access"] {
            assert_eq!(verifier.verify(&token(kind)).unwrap_err().code(), Code::InvalidToken, "{kind}");
        }
        assert_eq!(code(&json!({"sub": "u", "iat": now, "exp": now + 60, "sid": ""})), Code::InvalidToken);
        assert_eq!(code(&json!({"sub": "u", "iat": now, "exp": now + 60, "sid": 3})), Code::InvalidToken);
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
        // The last begins with what is base64, but of no JSON.
        for key in ["a.b.c", "a.b", "admin-key-001.a.b", "k_00.a.b", "abcd.se.cret"] {
            assert!(header_of(key).is_none(), "{key}");
        }
    }

    #[test]
    fn a_fraction_of_a_second_is_a_time() {
        let now = Utc::now().timestamp();
        let token = sign(&json!({"sub": "u", "iat": f64::from(u32::try_from(now).unwrap()) + 0.5, "exp": now + 60}));
        assert!(Verifier::new(&Secret::new("s")).verify(&token).is_ok());
    }

    #[test]
    fn permissions_that_mean_nothing_here_do_not_become_those_of_the_roles() {
        let now = Utc::now().timestamp();
        let claims =
            json!({"sub": "u", "iat": now, "exp": now + 60, "roles": ["admin"], "permissions": ["ghosts:see"]});
        let principal = Verifier::new(&Secret::new("s")).verify(&sign(&claims)).unwrap().principal;
        assert!(!principal.may("agents:read") && !principal.may("keys:manage"));
    }

    #[test]
    fn the_algorithm_none_is_a_token_and_a_bad_one() {
        // {"alg":"none","typ":"JWT"}
        let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.";
        assert!(header_of(token).is_some());
        assert_eq!(Verifier::new(&Secret::new("s")).verify(token).unwrap_err().code(), Code::InvalidToken);
    }
}
