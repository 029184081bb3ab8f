//! Service tokens: short-lived proof that one request comes from one of our own services.
//!
//! HS256 with a key derived from `JWT_SECRET`, so that no token signed with `JWT_SECRET` itself, which
//! operators hand to users, can pass for a service's. A token is good for the one request that it names: this service, method,
//! path, query and body, once. Whoever sees it on its way can do nothing else with it.

use api_types::auth::Principal;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How long a token is good for.
const LIFETIME_S: i64 = 30;
/// The longest life that is accepted; a token that claims more is none of ours.
const LIFETIME_MAX_S: i64 = 60;
/// By how much clocks of our machines may differ.
const SKEW_S: i64 = 5;
/// How long a token can be good for at the most, for whoever must remember the ones that were used.
pub const USABLE_S: u64 = 70;
/// Marks our tokens in the header, so that a reader knows which key to check with.
pub const KEY_ID: &str = "imago-service";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    /// Different for each request.
    jti: Uuid,
    /// Method, path with query, and the hex SHA-256 of the body.
    htm: String,
    htu: String,
    bod: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Principal>,
}

/// The request that a token is for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The service that is called.
    pub audience: &'a str,
    pub method: &'a str,
    /// Path and query, as they go over the wire.
    pub target: &'a str,
    pub body: &'a [u8],
}

/// A request as it came in, before its body was read.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The services that are served here.
    pub services: &'a [&'a str],
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
}

/// A call by one of our services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCall {
    /// The calling service's name.
    pub service: String,
    /// Whom it calls for.
    pub on_behalf_of: Option<Principal>,
    /// Different for each call: who has seen it before is shown a copy.
    pub nonce: Uuid,
    /// The hex SHA-256 of the body that belongs to the call.
    body_sha256: String,
}

impl ServiceCall {
    /// Whether this is the body that was signed.
    #[must_use]
    pub fn has_body(&self, body: &[u8]) -> bool {
        self.body_sha256 == hex_sha256(body)
    }
}

/// Why a service token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("not signed by one of our services: {0:?}")]
    Forged(ErrorKind),
    #[error("past its time")]
    Expired,
    #[error("from the future, or good for too long")]
    Times,
    #[error("for another service: {0}")]
    Audience(String),
    #[error("for another request")]
    OtherRequest,
    #[error("used before")]
    Replayed,
}

/// Signs and checks service tokens.
#[derive(Clone)]
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
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
        let mut validation = Validation::new(Algorithm::HS256);
        // Times and audience are checked below, where it is known what they are checked against.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims::<&str>(&[]);
        Self { encoding: EncodingKey::from_secret(&key), decoding: DecodingKey::from_secret(&key), validation }
    }

    /// A token for one request of `service`.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON.
    pub fn sign(
        &self,
        service: &str,
        on_behalf_of: Option<&Principal>,
        request: &Request<'_>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign_at(Utc::now(), service, on_behalf_of, request)
    }

    /// As [`TokenKey::sign`], by another clock.
    ///
    /// # Errors
    /// As [`TokenKey::sign`].
    pub fn sign_at(
        &self,
        now: DateTime<Utc>,
        service: &str,
        on_behalf_of: Option<&Principal>,
        request: &Request<'_>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now = now.timestamp();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(KEY_ID.to_owned());
        let claims = Claims {
            iss: service.to_owned(),
            aud: request.audience.to_owned(),
            iat: now,
            exp: now + LIFETIME_S,
            jti: Uuid::new_v4(),
            htm: request.method.to_owned(),
            htu: request.target.to_owned(),
            bod: hex_sha256(request.body),
            act: on_behalf_of.cloned(),
        };
        jsonwebtoken::encode(&header, &claims, &self.encoding)
    }

    /// Whether the token is for this request, as far as that shows without the body and without knowledge of other requests:
    /// the rest is for [`ServiceCall::has_body`], and for whoever remembers [`ServiceCall::nonce`] for [`USABLE_S`].
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn verify(&self, token: &str, request: &Received<'_>) -> Result<ServiceCall, Refused> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|error| Refused::Forged(error.into_kind()))?.claims;
        let now = Utc::now().timestamp();
        if claims.exp + SKEW_S <= now {
            return Err(Refused::Expired);
        }
        if claims.iat > now + SKEW_S || claims.exp - claims.iat > LIFETIME_MAX_S {
            return Err(Refused::Times);
        }
        if !request.services.contains(&claims.aud.as_str()) {
            return Err(Refused::Audience(claims.aud));
        }
        if claims.htm != request.method || claims.htu != request.target {
            return Err(Refused::OtherRequest);
        }
        Ok(ServiceCall { service: claims.iss, on_behalf_of: claims.act, nonce: claims.jti, body_sha256: claims.bod })
    }
}

fn hex_sha256(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header};

    use super::{Claims, KEY_ID, Received, Refused, Request, TokenKey};

    const REQUEST: Request<'_> =
        Request { audience: "control-plane", method: "POST", target: "/internal/v1/events?a=b", body: b"{}" };
    const RECEIVED: Received<'_> =
        Received { services: &["chat", "control-plane"], method: "POST", target: "/internal/v1/events?a=b" };

    fn token() -> String {
        TokenKey::derive("secret").sign("agent-builder", None, &REQUEST).unwrap()
    }

    fn refused(received: &Received<'_>) -> Refused {
        TokenKey::derive("secret").verify(&token(), received).unwrap_err()
    }

    /// A token by the holder of `secret`, with claims and algorithm as they like.
    fn signed(secret: &[u8], algorithm: Algorithm, change: impl FnOnce(&mut Claims)) -> String {
        let now = chrono::Utc::now().timestamp();
        let mut claims = Claims {
            iss: "agent-builder".into(),
            aud: "control-plane".into(),
            iat: now,
            exp: now + 30,
            jti: uuid::Uuid::new_v4(),
            htm: "POST".into(),
            htu: REQUEST.target.into(),
            bod: super::hex_sha256(REQUEST.body),
            act: None,
        };
        change(&mut claims);
        let mut header = Header::new(algorithm);
        header.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    fn derived() -> Vec<u8> {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(b"imago service token v1");
        mac.finalize().into_bytes().to_vec()
    }

    #[test]
    fn a_token_names_its_service_and_its_body() {
        let call = TokenKey::derive("secret").verify(&token(), &RECEIVED).unwrap();
        assert_eq!(call.service, "agent-builder");
        assert!(call.has_body(b"{}") && !call.has_body(b"{} ") && !call.has_body(b""));
    }

    #[test]
    fn a_token_is_good_for_one_request() {
        assert_eq!(refused(&Received { services: &["chat"], ..RECEIVED }), Refused::Audience("control-plane".into()));
        assert_eq!(refused(&Received { services: &[], ..RECEIVED }), Refused::Audience("control-plane".into()));
        for other in [
            Received { method: "GET", ..RECEIVED },
            Received { target: "/internal/v1/events", ..RECEIVED },
            Received { target: "/internal/v1/keys/lookup", ..RECEIVED },
        ] {
            assert_eq!(refused(&other), Refused::OtherRequest);
        }
        let key = TokenKey::derive("secret");
        let nonce = |token: &str| key.verify(token, &RECEIVED).unwrap().nonce;
        assert_ne!(nonce(&token()), nonce(&token()));
    }

    #[test]
    fn only_the_derived_key_signs() {
        let key = TokenKey::derive("secret");
        assert!(key.verify(&signed(&derived(), Algorithm::HS256, |_| {}), &RECEIVED).is_ok());
        let with_the_jwt_secret = signed(b"secret", Algorithm::HS256, |_| {});
        let with_another_algorithm = signed(&derived(), Algorithm::HS512, |_| {});
        let mut parts: Vec<String> = token().split('.').map(str::to_owned).collect();
        // {"alg":"none","kid":"imago-service"}
        let none = format!("eyJhbGciOiJub25lIiwia2lkIjoiaW1hZ28tc2VydmljZSJ9.{}.", parts[1]);
        let other = if parts[1].get(20..21) == Some("A") { "B" } else { "A" };
        parts[1].replace_range(20..21, other);
        let tampered = parts.join(".");
        for token in [&with_the_jwt_secret, &with_another_algorithm, &none, &tampered, "", "a.b.c"] {
            assert!(matches!(key.verify(token, &RECEIVED), Err(Refused::Forged(_))), "{token}");
        }
    }

    #[test]
    fn a_token_has_its_time() {
        let verify = |change: fn(&mut Claims)| {
            TokenKey::derive("secret").verify(&signed(&derived(), Algorithm::HS256, change), &RECEIVED).map(drop)
        };
        assert_eq!(verify(|claims| claims.exp -= 36), Err(Refused::Expired));
        // A clock that goes a little slow, and one that goes a little fast.
        assert_eq!(verify(|claims| claims.exp -= 33), Ok(()));
        assert_eq!(verify(|claims| claims.iat += 3), Ok(()));
        assert_eq!(verify(|claims| claims.iat += 20), Err(Refused::Times));
        assert_eq!(verify(|claims| claims.exp += 3600), Err(Refused::Times));
    }
}
