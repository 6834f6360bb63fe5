//! The auditor of retention: counts what should be erased by now, publishes it, and says so in the log.
//!
//! It asks the store for the records themselves, so that a fault of the sweeper is found by something else than the
//! sweeper.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nowrong_base::metrics::{Family, Gauge, Metrics};
use nowrong_core::record::UnixMs;
use nowrong_store::{Overdue, Store};

/// How often it looks: a bounded read of each table.
pub(super) const AUDIT_TICK: Duration = Duration::from_secs(600);

/// How long something may outlive its time, in milliseconds: the sweep comes every 5 s, MongoDB's own every minute,
/// and after a long stop, or an outage of the store, there is much to sweep. 10 minutes.
const MARGIN_MS: u64 = 10 * 60 * 1_000;

/// Most records of a kind that are looked at: some tens of milliseconds, on another thread. More need not be counted
/// to know that something is wrong.
const LOOKED_AT_MAX: usize = 10_000;

/// `kind="messages"`: those of [`Overdue::kinds`], so their number is bounded.
type Kind = [(&'static str, &'static str); 1];

/// Counts, and remembers what it has said.
pub(super) struct Auditor {
    overdue: Family<Kind, Gauge>,
    is_told: AtomicBool,
}

impl Auditor {
    /// An auditor that publishes `nowrong_retention_overdue`.
    pub(super) fn registered(metrics: &Metrics) -> Self {
        let auditor = Self {
            overdue: Family::default(),
            is_told: AtomicBool::new(false),
        };
        auditor.publish(&Overdue::default());
        metrics.register(|registry| {
            let text = "Records that should have been erased ten minutes ago and are still stored";
            registry.register("retention_overdue", text, auditor.overdue.clone());
        });
        auditor
    }

    /// Looks once; `now` is the time by which the sweeper judges.
    pub(super) async fn look(&self, store: &dyn Store, now: UnixMs) {
        let before = now.saturating_sub(MARGIN_MS);
        match store.overdue(before, LOOKED_AT_MAX).await {
            Ok(overdue) => {
                self.publish(&overdue);
                self.tell(&overdue);
            }
            Err(error) => tracing::warn!(%error, "what should be erased could not be counted"),
        }
    }

    fn publish(&self, overdue: &Overdue) {
        for (kind, count) in overdue.kinds() {
            let gauge = self.overdue.get_or_create(&[("kind", kind)]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Says it once, and once more when it is over.
    fn tell(&self, overdue: &Overdue) {
        let is_overdue = overdue.sum() > 0;
        match (self.is_told.swap(is_overdue, Ordering::Relaxed), is_overdue) {
            (false, true) => tracing::error!(
                accounts = overdue.accounts,
                chats = overdue.chats,
                messages = overdue.messages,
                keys = overdue.keys,
                tokens = overdue.tokens,
                names = overdue.names,
                others = overdue.others,
                "records that should be erased are still stored: nobody can read them, but the promise is that they are gone; look in the log for why they could not be removed"
            ),
            (true, false) => tracing::info!("all that should be erased is erased"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use nowrong_store::{
        MessageStore, UserStore,
        conformance::{DAY, NOW, user},
    };
    use nowrong_store_embedded::EmbeddedStore;

    use super::*;

    #[tokio::test]
    async fn what_is_overdue_is_a_metric_until_it_is_gone() {
        let metrics = Metrics::default();
        let auditor = Auditor::registered(&metrics);
        let store = EmbeddedStore::in_memory().unwrap();
        let says = |count: u64| {
            let line = format!("nowrong_retention_overdue{{kind=\"accounts\"}} {count}");
            let text = metrics.text();
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        };
        says(0);
        store.create_user(&user(1, "Ada")).await.unwrap();
        let over = NOW + 30 * DAY;
        auditor.look(&store, over + MARGIN_MS - 1).await;
        says(0);
        assert!(!auditor.is_told.load(Ordering::Relaxed));
        auditor.look(&store, over + MARGIN_MS).await;
        says(1);
        assert!(auditor.is_told.load(Ordering::Relaxed));
        while store.sweep(over, 100).await.unwrap() > 0 {}
        auditor.look(&store, over + MARGIN_MS).await;
        says(0);
        assert!(!auditor.is_told.load(Ordering::Relaxed));
    }
}
