//! Access tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037). Pure but for the keys.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use nowrong_protocol::UserId;
use serde::{Deserialize, Serialize};

use super::{AuthError, keys::SigningKeys};
use crate::{privacy::Redacted, store::UnixMs};

/// Life of an access token. What a deleted account can still read is bound by it; writing asks the
/// store.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(10 * 60);

const ISSUER: &str = "nowrong";
const AUDIENCE: &str = "nowrong-api";

/// Longest access token that is looked at, in bytes; ours have about 300.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Issues and checks access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    keys: SigningKeys,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
}

impl AccessTokens {
    /// Tokens under these keys.
    pub fn new(keys: SigningKeys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library asks the system's clock; we ask ours, below.
        validation.validate_exp = false;
        Self { keys, validation }
    }

    /// A token for a user, good for [`ACCESS_LIFETIME`].
    ///
    /// # Errors
    /// [`AuthError::Keys`] when the key cannot sign.
    pub fn issue(&self, user: UserId, now: UnixMs) -> Result<Redacted<String>, AuthError> {
        let issued = now / 1_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.to_string(),
            iat: issued,
            exp: issued + ACCESS_LIFETIME.as_secs(),
        };
        let key = &self.keys.current;
        let header = Header {
            kid: Some(key.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let token = encode(&header, &claims, &key.encoding);
        token
            .map(Redacted::new)
            .map_err(|error| AuthError::Keys(error.to_string()))
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`AuthError::Refused`], whatever is wrong with it.
    pub fn verify(&self, token: &str, now: UnixMs) -> Result<UserId, AuthError> {
        self.claims(token, now).ok_or(AuthError::Refused)
    }

    fn claims(&self, token: &str, now: UnixMs) -> Option<UserId> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let kid = decode_header(token).ok()?.kid?;
        let key = self.keys.find(&kid, now)?;
        let claims = decode::<Claims>(token, &key.decoding, &self.validation)
            .ok()?
            .claims;
        let is_alive = now / 1_000 < claims.exp;
        is_alive.then_some(())?;
        claims.sub.parse().ok()
    }
}

/// The signing key itself, for tests that forge.
#[cfg(test)]
pub(super) fn tests_only_key(tokens: &AccessTokens) -> jsonwebtoken::EncodingKey {
    tokens.keys.current.encoding.clone()
}

/// The public key, for tests that confuse algorithms.
#[cfg(test)]
pub(super) fn tests_only_public(tokens: &AccessTokens) -> Vec<u8> {
    let decoding = &tokens.keys.current.decoding;
    decoding
        .try_get_as_bytes()
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}
