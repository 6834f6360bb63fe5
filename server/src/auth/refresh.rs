//! Refresh tokens: another one at each use; a family is revoked when a token comes whose successor was
//! used. The rule is [`nowrong_core::refresh`].
//!
//! The successor of a token follows from the token and a secret of its family, so a token that is
//! exchanged again has the same one, although the store knows only hashes.

use nowrong_base::{privacy::Redacted, random};
use nowrong_core::record::{RefreshToken, UnixMs, User};
use nowrong_protocol::UserId;
use nowrong_store::{Rotation, Store};

use super::{
    AuthError,
    token::{OpaqueToken, token_hash},
};

/// The first refresh token of an account, in a family of its own, which lives as long as the
/// account: its text for the owner, and the record to store together with the account.
///
/// # Errors
/// [`AuthError::Randomness`].
pub fn first_refresh(user: &User) -> Result<(Redacted<String>, RefreshToken), AuthError> {
    let token = OpaqueToken::generate()?;
    let stored = RefreshToken {
        hash: token.hash,
        family: random::try_bytes()?,
        user: user.id,
        expires_at: user.expires_at,
    };
    Ok((token.text, stored))
}

/// What came of a refresh token that somebody has brought.
pub enum Brought {
    /// Its account, read before it was exchanged, and its successor. A revocation at the same moment is
    /// either seen by the exchange, or raises the generation above that of this account.
    Exchanged(User, Redacted<String>),
    /// A successor of it was used before: the tokens of this account are revoked now.
    Stolen(UserId),
}

/// Exchanges the refresh token `used` for its successor, which lives until `expires_at` at least.
///
/// # Errors
/// [`AuthError::Refused`] when it is unknown, expired or revoked; [`AuthError::TooOften`] when the
/// family renews itself too often.
pub async fn rotate_refresh(
    store: &dyn Store,
    used: &str,
    expires_at: UnixMs,
    now: UnixMs,
) -> Result<Brought, AuthError> {
    let hash = token_hash(used);
    let known = store.refresh(&hash, now).await?.ok_or(AuthError::Refused)?;
    let user = store.user(known.user, now).await?;
    let user = user.ok_or(AuthError::Refused)?;
    let token = OpaqueToken::successor(used, &known.family);
    let next = RefreshToken {
        hash: token.hash,
        expires_at,
        ..known
    };
    match store.rotate_refresh(&hash, &next, now).await? {
        Rotation::Rotated => Ok(Brought::Exchanged(user, token.text)),
        Rotation::Reused => Ok(Brought::Stolen(next.user)),
        Rotation::Unknown => Err(AuthError::Refused),
        Rotation::TooMany { retry_after_ms } => Err(AuthError::TooOften { retry_after_ms }),
    }
}
