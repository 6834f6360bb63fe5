//! Opaque tokens: only their hash is stored.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nowrong_base::{privacy::Redacted, random};
use nowrong_core::record::TokenHash;

use super::AuthError;

/// An opaque token: 32 random bytes as base64url.
#[derive(Debug)]
pub struct OpaqueToken {
    /// The text for its owner.
    pub text: Redacted<String>,
    /// The hash that is stored.
    pub hash: TokenHash,
}

impl OpaqueToken {
    /// A new one.
    ///
    /// # Errors
    /// [`AuthError::Randomness`].
    pub fn generate() -> Result<Self, AuthError> {
        Ok(Self::of(&random::try_bytes::<32>()?))
    }

    /// The successor of the token with this text: always the same. Only who knows both the token and
    /// `secret`, 16 random bytes that no client learns, can tell it (RFC 2104 with SHA-256).
    pub fn successor(text: &str, secret: &[u8; 16]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self::of(hmac::sign(&key, text.as_bytes()).as_ref())
    }

    fn of(bytes: &[u8]) -> Self {
        let text = URL_SAFE_NO_PAD.encode(bytes);
        Self {
            hash: token_hash(&text),
            text: Redacted::new(text),
        }
    }
}

/// SHA-256 of a token's text, the key under which it is stored.
pub fn token_hash(token: &str) -> TokenHash {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    out
}
