//! The Ed25519 keys that sign access tokens.
//!
//! A replaced key still verifies the tokens that it signed, until the last of them has expired. A
//! single node keeps its keys in the data folder (`file`); nodes that share a store keep them
//! there, so that each node accepts the tokens of the others ([`shared`]).

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use nowrong_core::record::UnixMs;

use super::{ACCESS_LIFETIME, AuthError, token::token_hash};

mod file;
pub mod shared;

/// The keys in use.
pub struct SigningKeys {
    newest: SigningKey,
    /// The others, from the newest to the oldest.
    older: Vec<SigningKey>,
    /// Grows with each change of shared keys; 0 for keys of one node.
    pub(super) revision: u64,
}

/// One key.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    seed: [u8; 32],
    /// The time from which it signs.
    signs_at: UnixMs,
}

impl SigningKeys {
    /// A new key that never leaves this process.
    ///
    /// # Errors
    /// [`AuthError`] when there is no randomness.
    pub fn in_memory(now: UnixMs) -> Result<Self, AuthError> {
        Ok(Self {
            newest: SigningKey::generate(now)?,
            older: Vec::new(),
            revision: 0,
        })
    }

    fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// The key that signs: the newest one whose time has come.
    pub(super) fn current(&self, now: UnixMs) -> &SigningKey {
        let oldest = self.older.last().unwrap_or(&self.newest);
        self.iter()
            .find(|key| key.signs_at <= now)
            .unwrap_or(oldest)
    }

    /// The key that a token names, if it may verify tokens. This includes a key that does not sign
    /// yet, since the clock of another node may be ahead.
    pub(super) fn find(&self, kid: &str, now: UnixMs) -> Option<&SigningKey> {
        let next = std::iter::once(None).chain(self.iter().map(Some));
        let (key, next) = self.iter().zip(next).find(|(key, _)| key.kid == kid)?;
        let is_lapsed = next.is_some_and(|next| now >= lapses_at(next.signs_at));
        (!is_lapsed).then_some(key)
    }
}

/// When the last token that was signed before a key took over has expired.
fn lapses_at(taken_over_at: UnixMs) -> UnixMs {
    taken_over_at.saturating_add(millis(ACCESS_LIFETIME))
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kids = self.iter().map(|key| &key.kid);
        f.debug_list().entries(kids).finish()
    }
}

impl SigningKey {
    fn generate(now: UnixMs) -> Result<Self, AuthError> {
        Self::from_seed(nowrong_base::random::try_bytes()?, now).map_err(AuthError::Keys)
    }

    fn from_seed(seed: [u8; 32], signs_at: UnixMs) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| error.to_string())?;
        let public = pair.public_key().as_ref();
        let private = pair.to_pkcs8().map_err(|error| error.to_string())?;
        Ok(Self {
            kid: URL_SAFE_NO_PAD.encode(&token_hash(&URL_SAFE_NO_PAD.encode(public))[..9]),
            encoding: EncodingKey::from_ed_der(private.as_ref()),
            decoding: DecodingKey::from_ed_der(public),
            seed,
            signs_at,
        })
    }
}

/// Whether `kid` can be the name of a key: 9 bytes as base64url.
pub(super) fn is_kid(kid: &str) -> bool {
    kid.len() == 12
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
