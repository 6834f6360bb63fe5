//! Connect tokens: one key for each, which expires with the token.

use nowrong_broker::BrokerError;
use nowrong_core::record::{TokenHash, UnixMs};
use nowrong_protocol::{UserId, limits::CONNECT_TOKEN_LIFETIME};

use super::{Parts, hex, unexpected};

/// How long Redis keeps a token: longer than it is valid, because clocks differ. Its own expiry
/// time decides whether it is still valid.
const KEPT_MS: u64 = 2 * CONNECT_TOKEN_LIFETIME.as_millis() as u64;

pub(super) async fn put(
    parts: &Parts,
    hash: &TokenHash,
    user: UserId,
    expires_at: UnixMs,
) -> Result<(), BrokerError> {
    let mut value = user.as_bytes().to_vec();
    value.extend_from_slice(&expires_at.to_be_bytes());
    let mut command = redis::cmd("SET");
    command.arg(key(parts, hash)).arg(value);
    command.arg("PX").arg(KEPT_MS);
    Ok(parts
        .connection
        .query("put_connect_token", &command)
        .await?)
}

pub(super) async fn take(
    parts: &Parts,
    hash: &TokenHash,
    now: UnixMs,
) -> Result<Option<UserId>, BrokerError> {
    let mut command = redis::cmd("GETDEL");
    command.arg(key(parts, hash));
    let value: Option<Vec<u8>> = parts
        .connection
        .query("take_connect_token", &command)
        .await?;
    let Some(value) = value else { return Ok(None) };
    let (user, expires_at) = value.split_at_checked(16).ok_or_else(bad)?;
    let user: [u8; 16] = user.try_into().map_err(|_| bad())?;
    let expires_at: [u8; 8] = expires_at.try_into().map_err(|_| bad())?;
    let is_good = now < u64::from_be_bytes(expires_at);
    Ok(is_good.then(|| UserId::from_bytes(user)))
}

fn bad() -> BrokerError {
    unexpected("connect token")
}

fn key(parts: &Parts, hash: &TokenHash) -> String {
    parts.keys.single("token", &hex(hash))
}
