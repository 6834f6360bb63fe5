//! What nodes leave for each other: one hash for each shelf, whose entries expire by Redis's clock.

use bytes::Bytes;
use nowrong_broker::{BrokerError, DEPOSITS_MAX, Deposit};

use super::{
    Parts,
    script::{Script, script},
};

static EXCHANGE: Script = script!("exchange": "deposits.lua");

pub(super) async fn exchange(
    parts: &Parts,
    shelf: &'static str,
    own: &[Deposit],
) -> Result<Vec<Bytes>, BrokerError> {
    let mut call = EXCHANGE
        .call()
        .key(parts.keys.single("shelf", shelf))
        .arg(DEPOSITS_MAX);
    for deposit in own {
        let lifetime_ms = u64::try_from(deposit.lifetime.as_millis()).unwrap_or(u64::MAX);
        call = call
            .arg(&deposit.name)
            .arg(lifetime_ms.max(1))
            .arg(&deposit.sealed[..]);
    }
    let found: Option<Vec<Vec<u8>>> = call.run(&parts.connection).await?;
    let found = found.ok_or(BrokerError::Full("deposits"))?;
    Ok(found.into_iter().map(Bytes::from).collect())
}
