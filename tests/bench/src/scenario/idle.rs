//! `idle`: the cost of a connection that does nothing.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;

use super::{Case, Round, Scale};
use crate::{
    counters,
    drive::{Parked, Peer, Snapshot},
    metric::{self, Sample},
    target::{NoWrong, Running, Storage, Target},
};

/// Connections that are being opened at one time.
const CONNECTING_MAX: usize = 32;

/// Many connections that do nothing.
pub(super) struct Idle {
    connections: u32,
    /// How long to wait until allocators and timers have settled.
    rest: Duration,
    watched: Duration,
}

impl Idle {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            connections: scale.of(10_000, 40),
            rest: scale.of(Duration::from_secs(3), Duration::from_millis(200)),
            watched: scale.of(Duration::from_secs(20), Duration::from_millis(500)),
        }
    }
}

#[async_trait(?Send)]
impl Case for Idle {
    fn scenario(&self) -> &'static str {
        "idle"
    }

    fn title(&self) -> String {
        format!("{} idle connections", self.connections)
    }

    fn takes(&self, target: &dyn Target) -> bool {
        // The cost of idle connections does not depend on where messages are kept.
        let storage = target.as_nowrong().map(NoWrong::storage);
        target.is_default() && storage != Some(Storage::Memory)
    }

    fn rounds_max(&self) -> u32 {
        // Memory is the same in each round, except for a few percent.
        1
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let running = target.start(&round.place).await?;
        sleep(self.rest).await;
        let kernel_before = counters::kernel_bytes()?;
        let before = Snapshot::take(running.as_ref(), 0)?;
        let idlers = self.open_all(running.as_ref()).await?;
        let connected = Snapshot::take(running.as_ref(), 0)?;
        sleep(self.rest).await;
        let rested = Snapshot::take(running.as_ref(), 0)?;
        let kernel = counters::kernel_bytes()?.saturating_sub(kernel_before);
        sleep(self.watched).await;
        let watched = Snapshot::take(running.as_ref(), 0)?.since(&rested);

        let count = f64::from(self.connections);
        let opened = connected.since(&before);
        let grown = rested
            .resident_bytes()
            .saturating_sub(before.resident_bytes());
        let mut sample = Sample::default();
        sample.push(&metric::RESIDENT_PER_CONNECTION, grown as f64 / count / 1e3);
        sample.push(&metric::KERNEL_PER_CONNECTION, kernel as f64 / count / 1e3);
        sample.push(&metric::CPU_IDLE, watched.target_share() * 100.0);
        sample.push(
            &metric::CPU_PER_CONNECTION,
            opened.target.as_secs_f64() * 1e6 / count,
        );
        sample.push(&metric::CONNECTS, count / opened.time.as_secs_f64());
        sample.note(watched.complaint());
        sample.note(broken(&idlers));
        drop(idlers);
        running.stop().await?;
        Ok(sample)
    }
}

impl Idle {
    async fn open_all(&self, running: &dyn Running) -> anyhow::Result<Vec<Parked<Peer>>> {
        let opening = stream::iter(0..self.connections).map(|user| async move {
            let peer = running.open(user).await?;
            anyhow::Ok(Parked::new(peer))
        });
        opening.buffer_unordered(CONNECTING_MAX).try_collect().await
    }
}

/// A complaint if connections broke.
fn broken(idlers: &[Parked<Peer>]) -> Option<String> {
    let count = idlers.iter().filter(|idler| idler.is_broken()).count();
    (count > 0).then(|| format!("{count} connections broke"))
}
