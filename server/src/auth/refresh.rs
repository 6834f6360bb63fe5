//! Refresh tokens: rotated at each use; a family is revoked when one of its old tokens is used
//! again.

use std::time::Duration;

use nowrong_base::{privacy::Redacted, random};
use nowrong_core::record::{RefreshToken, UnixMs, User};
use nowrong_protocol::UserId;
use nowrong_store::{Rotation, Store};

use super::{
    AuthError,
    token::{OpaqueToken, token_hash},
};

/// How long a refresh token that was just replaced may be used once more, in case the response was
/// lost.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// Begins a family of refresh tokens for an account and stores the first token, which lives as long
/// as the account.
///
/// # Errors
/// [`AuthError::Store`] or [`AuthError::Randomness`].
pub async fn begin_refresh(store: &dyn Store, user: &User) -> Result<Redacted<String>, AuthError> {
    let token = OpaqueToken::generate()?;
    let stored = RefreshToken {
        hash: token.hash,
        family: random::try_bytes()?,
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
    // The store returns nothing about a token after its grace, but must learn of its use.
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
