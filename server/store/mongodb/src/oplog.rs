//! How far the log of MongoDB itself reaches back: what was removed from the collections stays there,
//! ids and times in clear and the rest wrapped (`vault`), until the server cuts it off.

use std::{sync::atomic::Ordering, time::Duration};

use mongodb::bson::{Document, Timestamp, doc};
use nowrong_core::record::UnixMs;
use nowrong_store::Advice;

use super::{
    Shared,
    fault::{Fault, UNAUTHORIZED, code},
    open::is_router,
    record::unix_ms,
};

/// Longest reach that needs no warning: what people leave behind lives for a day in the collections, too.
const REACH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is said once when the user may not read the oplog.
const CLOSED: &str = "how far MongoDB's oplog reaches back is not known, because the user of `store` may not read it: grant the right `find` on local.oplog.rs to be warned when it keeps more than a day";

impl Shared {
    /// What is to be said about the oplog, if anything.
    pub(super) async fn look_at_oplog(&self) -> Result<Option<Advice>, Fault> {
        match self.oplog_reach().await {
            Ok(reach) => Ok(reach.and_then(advice)),
            Err(Fault::Server(error)) if code(&error) == Some(UNAUTHORIZED) => {
                let is_told = self.is_oplog_closed.swap(true, Ordering::Relaxed);
                Ok((!is_told).then(|| Advice::Note(CLOSED.to_owned())))
            }
            Err(fault) => Err(fault),
        }
    }

    /// The age of the oldest entry, by the server's clock. `None`: the server is a router, which has no
    /// oplog.
    async fn oplog_reach(&self) -> Result<Option<Duration>, Fault> {
        let hello = doc! { "hello": 1 };
        let hello = self.client.database("admin").run_command(hello).await?;
        if is_router(&hello) {
            return Ok(None);
        }
        let now = hello.get_datetime("localTime").copied().map(unix_ms);
        let now = now.map_err(|_| Fault::Corrupt("the server does not tell its time"))?;
        let oldest = doc! {
            "find": "oplog.rs", "sort": { "$natural": 1 }, "projection": { "ts": 1 },
            "limit": 1, "singleBatch": true,
        };
        let oldest = self.client.database("local").run_command(oldest).await?;
        Ok(first_time(&oldest).map(|at| age(at, now)))
    }
}

fn first_time(answer: &Document) -> Option<Timestamp> {
    let batch = answer.get_document("cursor").ok()?.get_array("firstBatch");
    let entry = batch.ok()?.first()?.as_document()?;
    entry.get_timestamp("ts").ok()
}

fn age(at: Timestamp, now: UnixMs) -> Duration {
    let at = u64::from(at.time).saturating_mul(1_000);
    Duration::from_millis(now.saturating_sub(at))
}

fn advice(reach: Duration) -> Option<Advice> {
    (reach > REACH_MAX).then(|| {
        let hours = reach.as_secs() / 3_600;
        Advice::Warning(format!(
            "MongoDB's oplog reaches back {hours} hours, and ids, times and wrapped data that were erased can be found in it for that long: set `oplogMinRetentionHours` to 24 at most and a smaller size with `replSetResizeOplog` on each member"
        ))
    })
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// As the store looks, but with a server's clock that is ahead by `ahead`.
    pub(in super::super) async fn look_later(shared: &Shared, ahead: Duration) -> Option<Advice> {
        let reach = shared.oplog_reach().await.unwrap();
        reach.and_then(|reach| advice(reach + ahead))
    }
}
