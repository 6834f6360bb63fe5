//! Connect tokens: issued by REST, used once, in the first frame of a connection.

use nowrong_base::privacy::Redacted;
use nowrong_broker::{Admission, BrokerError};
use nowrong_core::record::UnixMs;
use nowrong_protocol::limits::CONNECT_TOKEN_LIFETIME;

use super::{
    AuthError, Holder,
    token::{OpaqueToken, token_hash},
};

/// Between the random part of a connect token and the generation of its account. The whole text is what
/// the broker knows by its hash, so no client can change the generation.
const BEFORE_GENERATION: char = '.';

/// Issues a connect token, valid for one `Hello` at any node, within [`CONNECT_TOKEN_LIFETIME`].
///
/// # Errors
/// [`AuthError::Broker`] or [`AuthError::Randomness`].
pub async fn issue_connect<B: Admission + ?Sized>(
    broker: &B,
    holder: Holder,
    now: UnixMs,
) -> Result<Redacted<String>, AuthError> {
    let random = OpaqueToken::generate()?.text.into_exposed();
    let text = format!("{random}{BEFORE_GENERATION}{}", holder.generation);
    broker
        .put_connect_token(token_hash(&text), holder.user, CONNECT_TOKEN_LIFETIME, now)
        .await?;
    Ok(Redacted::new(text))
}

/// Uses up the connect token of a `Hello` and returns whom it speaks for; `None` when it is unknown,
/// used or expired.
///
/// # Errors
/// [`BrokerError`] when the broker fails.
pub async fn redeem_connect<B: Admission + ?Sized>(
    broker: &B,
    token: &str,
    now: UnixMs,
) -> Result<Option<Holder>, BrokerError> {
    let user = broker.take_connect_token(&token_hash(token), now).await?;
    // An older server names no generation.
    let named = token.rsplit_once(BEFORE_GENERATION);
    let generation = named.and_then(|(_, generation)| generation.parse().ok());
    let generation = generation.unwrap_or(0);
    Ok(user.map(|user| Holder { user, generation }))
}
