//! Recovery codes: with one, a person comes back to an account whose tokens are lost or stolen.
//!
//! A code is 128 random bits, so a fast hash of it is enough: nobody can try them all. The store knows
//! only the hash, and it goes with the account. How a code is written is [`nowrong_core::recovery`].

use aws_lc_rs::digest::{Context, SHA256};
use nowrong_base::{privacy::Redacted, random};
use nowrong_core::{
    record::{RefreshToken, TokenHash, UnixMs},
    recovery::to_text,
};
use nowrong_protocol::UserId;

use super::{AuthError, token::OpaqueToken};

/// A new code: its text for the owner, and the hash that is stored.
///
/// # Errors
/// [`AuthError::Randomness`].
pub fn new_code() -> Result<(Redacted<String>, TokenHash), AuthError> {
    let code = random::try_bytes()?;
    Ok((Redacted::new(to_text(code)), code_hash(&code)))
}

/// The hash under which a code is stored: never that of a token.
pub fn code_hash(code: &[u8; 16]) -> TokenHash {
    let mut context = Context::new(&SHA256);
    context.update(b"recovery code");
    context.update(code);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The first refresh token after a recovery, in a family of its own, for an account that is not known yet.
///
/// # Errors
/// [`AuthError::Randomness`].
pub fn first_after_recovery(
    expires_at: UnixMs,
) -> Result<(Redacted<String>, RefreshToken), AuthError> {
    let token = OpaqueToken::generate()?;
    let stored = RefreshToken {
        hash: token.hash,
        family: random::try_bytes()?,
        user: UserId::from_bytes([0; 16]),
        expires_at,
    };
    Ok((token.text, stored))
}
