//! Connect tokens: issued by REST, used once, in the first frame of a connection.

use nowrong_base::privacy::Redacted;
use nowrong_broker::{Admission, BrokerError};
use nowrong_core::record::UnixMs;
use nowrong_protocol::{UserId, limits::CONNECT_TOKEN_LIFETIME};

use super::{
    AuthError,
    token::{OpaqueToken, token_hash},
};

/// Issues a connect token, valid for one `Hello` at any node, within [`CONNECT_TOKEN_LIFETIME`].
///
/// # Errors
/// [`AuthError::Broker`] or [`AuthError::Randomness`].
pub async fn issue_connect<B: Admission + ?Sized>(
    broker: &B,
    user: UserId,
    now: UnixMs,
) -> Result<Redacted<String>, AuthError> {
    let token = OpaqueToken::generate()?;
    broker
        .put_connect_token(token.hash, user, CONNECT_TOKEN_LIFETIME, now)
        .await?;
    Ok(token.text)
}

/// Uses up the connect token of a `Hello` and returns its user; `None` when it is unknown, used or
/// expired.
///
/// # Errors
/// [`BrokerError`] when the broker fails.
pub async fn redeem_connect<B: Admission + ?Sized>(
    broker: &B,
    token: &str,
    now: UnixMs,
) -> Result<Option<UserId>, BrokerError> {
    broker.take_connect_token(&token_hash(token), now).await
}
