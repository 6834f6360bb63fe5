//! Limits shared by all nodes: one number per key, which expires when the burst of the key is fully
//! restored. Redis's clock counts, not that of the node that asks.

use nowrong_broker::{BrokerError, LimitRule};
use nowrong_core::limiter::Grant;

use super::{
    Parts, hex,
    script::{Script, script},
};

static TAKE: Script = script!("take": "limits.lua");

const US_PER_MS: u64 = 1_000;

pub(super) async fn take(
    parts: &Parts,
    rule: LimitRule,
    key: &[u8; 16],
) -> Result<Grant, BrokerError> {
    let LimitRule { name, rate } = rule;
    if rate.burst == 0 {
        return Ok(Grant::RetryAfter(rate.period_ms.max(1)));
    }
    // Rounded up, so that never more is granted than allowed.
    let unit_us = (rate.period_ms * US_PER_MS).div_ceil(u64::from(rate.burst));
    let key = format!("{}:{}", name, hex(key));
    let call = TAKE
        .call()
        .key(parts.keys.single("limit", &key))
        .arg(unit_us)
        .arg(unit_us * u64::from(rate.burst));
    let wait_us: u64 = call.run(&parts.connection).await?;
    Ok(match wait_us {
        0 => Grant::Granted,
        wait_us => Grant::RetryAfter(wait_us.div_ceil(US_PER_MS)),
    })
}
