//! Who a client is: access, refresh and connect tokens.
//!
//! Access tokens are signed and checked without IO ([`access`], keys in [`keys`]). Refresh and
//! connect tokens are 32 random bytes; the store and the broker know only their SHA-256. No token is
//! ever in a log: they travel as [`Redacted`]. Expiry asks the server's clock, never the system's.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nowrong_base::privacy::Redacted;
use nowrong_broker::{Admission, BrokerError};
use nowrong_core::record::{RefreshToken, TokenHash, UnixMs, User};
use nowrong_protocol::{UserId, limits::CONNECT_TOKEN_LIFETIME};
use nowrong_store::{Rotation, Store, StoreError};

pub mod access;
pub mod keys;
#[cfg(test)]
mod tests;

pub use access::{ACCESS_LIFETIME, AccessTokens};

/// How long a refresh token that was just replaced may be used once more: its answer got lost.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// Why there is no token or no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token is not (or no longer) good. Nobody is told in which way.
    #[error("the token is refused")]
    Refused,
    /// A signing key cannot be read, written or used.
    #[error("cannot use the signing keys: {0}")]
    Keys(String),
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Randomness,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// A token that means nothing in itself: 32 random bytes as base64url.
#[derive(Debug)]
pub struct OpaqueToken {
    /// What its owner gets.
    pub text: Redacted<String>,
    /// What is stored.
    pub hash: TokenHash,
}

impl OpaqueToken {
    /// A new one.
    ///
    /// # Errors
    /// [`AuthError::Randomness`].
    pub fn generate() -> Result<Self, AuthError> {
        let text = URL_SAFE_NO_PAD.encode(random::<32>()?);
        Ok(Self {
            hash: token_hash(&text),
            text: Redacted::new(text),
        })
    }
}

/// SHA-256 of a token's text: under which it is stored.
pub fn token_hash(token: &str) -> TokenHash {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    out
}

/// Random bytes from the system.
///
/// # Errors
/// [`AuthError::Randomness`].
pub fn random<const N: usize>() -> Result<[u8; N], AuthError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthError::Randomness)?;
    Ok(bytes)
}

/// Begins a family of refresh tokens for an account and stores its first; it lives as long as the
/// account.
///
/// # Errors
/// [`AuthError::Store`] or [`AuthError::Randomness`].
pub async fn begin_refresh(store: &dyn Store, user: &User) -> Result<Redacted<String>, AuthError> {
    let token = OpaqueToken::generate()?;
    let stored = RefreshToken {
        hash: token.hash,
        family: random()?,
        user: user.id,
        expires_at: user.expires_at,
    };
    store.create_refresh(&stored).await?;
    Ok(token.text)
}

/// Replaces the refresh token `used` by a new one that lives until `expires_at`.
///
/// # Errors
/// [`AuthError::Refused`] when it is unknown, expired or revoked, or was used before (which revokes
/// its family, unless within [`REFRESH_GRACE`]).
pub async fn rotate_refresh(
    store: &dyn Store,
    used: &str,
    expires_at: UnixMs,
    now: UnixMs,
) -> Result<(UserId, Redacted<String>), AuthError> {
    let hash = token_hash(used);
    let known = store.refresh(&hash, now).await?;
    let token = OpaqueToken::generate()?;
    // Of a token that is past its grace the store tells nothing, but must hear of its use.
    let (user, family) = known.map_or((UserId::from_bytes([0; 16]), [0; 16]), |known| {
        (known.user, known.family)
    });
    let next = RefreshToken {
        hash: token.hash,
        family,
        user,
        expires_at,
    };
    let grace_ms = REFRESH_GRACE.as_millis() as u64;
    match store.rotate_refresh(&hash, &next, now, grace_ms).await? {
        Rotation::Rotated => Ok((user, token.text)),
        Rotation::Reused | Rotation::Unknown => Err(AuthError::Refused),
    }
}

/// Issues a connect token: good for one `Hello` at any node, within [`CONNECT_TOKEN_LIFETIME`].
///
/// # Errors
/// [`AuthError::Broker`] or [`AuthError::Randomness`].
pub async fn issue_connect<B: Admission + ?Sized>(
    broker: &B,
    user: UserId,
    now: UnixMs,
) -> Result<Redacted<String>, AuthError> {
    let token = OpaqueToken::generate()?;
    let expires_at = now + CONNECT_TOKEN_LIFETIME.as_millis() as u64;
    broker
        .put_connect_token(token.hash, user, expires_at)
        .await?;
    Ok(token.text)
}

/// Uses up the connect token of a `Hello` and answers whose it was; `None` when it is unknown, used
/// or expired.
///
/// # Errors
/// [`BrokerError`] when the broker cannot tell.
pub async fn redeem_connect<B: Admission + ?Sized>(
    broker: &B,
    token: &str,
    now: UnixMs,
) -> Result<Option<UserId>, BrokerError> {
    broker.take_connect_token(&token_hash(token), now).await
}
