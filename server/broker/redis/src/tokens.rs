//! Connect tokens: one key for each, which expires with the token. Redis's clock counts the lifetime,
//! so it does not matter which node has issued a token and which one takes it.

use std::time::Duration;

use nowrong_broker::BrokerError;
use nowrong_core::record::TokenHash;
use nowrong_protocol::UserId;

use super::{Parts, hex, unexpected};

pub(super) async fn put(
    parts: &Parts,
    hash: &TokenHash,
    user: UserId,
    lifetime: Duration,
) -> Result<(), BrokerError> {
    let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    let mut command = redis::cmd("SET");
    command.arg(key(parts, hash)).arg(user.as_bytes());
    command.arg("PX").arg(lifetime_ms.max(1));
    Ok(parts
        .connection
        .query("put_connect_token", &command)
        .await?)
}

pub(super) async fn take(parts: &Parts, hash: &TokenHash) -> Result<Option<UserId>, BrokerError> {
    let mut command = redis::cmd("GETDEL");
    command.arg(key(parts, hash));
    let value: Option<Vec<u8>> = parts
        .connection
        .query("take_connect_token", &command)
        .await?;
    // A node of an older version adds eight bytes: when the token expires by its own clock.
    let user = value.map(|value| value.first_chunk().copied().ok_or_else(bad));
    Ok(user.transpose()?.map(UserId::from_bytes))
}

fn bad() -> BrokerError {
    unexpected("connect token")
}

fn key(parts: &Parts, hash: &TokenHash) -> String {
    parts.keys.single("token", &hex(hash))
}
