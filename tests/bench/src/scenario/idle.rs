//! `idle`: what a connection costs that does nothing.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{Case, Round, Scale};
use crate::{
    counters,
    dialect::Event,
    drive::{Peer, Snapshot},
    metric::{self, Sample},
    target::{NoWrong, Running, Storage, Target},
};

/// Connections that are being opened at one time.
const CONNECTING_MAX: usize = 32;

/// A client that has nothing to say says that this often, as the SDK does.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Many connections that do nothing.
pub(super) struct Idle {
    connections: u32,
    /// For allocators and timers to come to rest.
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
        // What idle connections cost does not depend on where messages are kept.
        let storage = target.as_nowrong().map(NoWrong::storage);
        target.is_default() && storage != Some(Storage::Memory)
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let running = target.start(&round.place).await?;
        sleep(self.rest).await;
        let sockets_before = counters::socket_bytes()?;
        let before = Snapshot::take(running.as_ref(), 0)?;
        let mut idlers = self.open_all(running.as_ref()).await?;
        let connected = Snapshot::take(running.as_ref(), 0)?;
        sleep(self.rest).await;
        let rested = Snapshot::take(running.as_ref(), 0)?;
        let sockets = counters::socket_bytes()?.saturating_sub(sockets_before);
        sleep(self.watched).await;
        let watched = Snapshot::take(running.as_ref(), 0)?.since(&rested);

        let count = f64::from(self.connections);
        let opened = connected.since(&before);
        let grown = rested
            .resident_bytes()
            .saturating_sub(before.resident_bytes());
        let mut sample = Sample::default();
        sample.push(&metric::RESIDENT_PER_CONNECTION, grown as f64 / count / 1e3);
        sample.push(&metric::KERNEL_PER_CONNECTION, sockets as f64 / count / 1e3);
        sample.push(&metric::CPU_IDLE, watched.target_share() * 100.0);
        sample.push(
            &metric::CPU_PER_CONNECTION,
            opened.target.as_secs_f64() * 1e6 / count,
        );
        sample.push(&metric::CONNECTS, count / opened.time.as_secs_f64());
        sample.note(watched.complaint());
        sample.note(gone(&mut idlers));
        idlers.shutdown().await;
        running.stop().await?;
        Ok(sample)
    }
}

impl Idle {
    async fn open_all(&self, running: &dyn Running) -> anyhow::Result<JoinSet<anyhow::Error>> {
        let mut idlers = JoinSet::new();
        let opening = stream::iter(0..self.connections).map(|user| running.open(user));
        let mut opening = std::pin::pin!(opening.buffer_unordered(CONNECTING_MAX));
        while let Some(peer) = opening.try_next().await? {
            idlers.spawn_local(stay(peer));
        }
        Ok(idlers)
    }
}

/// Keeps a connection open without a use for it; ends only with it.
async fn stay(mut peer: Peer) -> anyhow::Error {
    let mut next = Instant::now() + KEEP_ALIVE;
    let mut events = Vec::new();
    loop {
        let step = async {
            tokio::select! {
                bytes = peer.wire.receive() => {
                    peer.dialect.receive(&bytes?, &mut events)?;
                    for event in events.drain(..) {
                        match event {
                            Event::Reply(bytes) => peer.wire.send(bytes).await?,
                            Event::Ended(why) => anyhow::bail!(why),
                            _ => {}
                        }
                    }
                }
                () = sleep_until(next) => {
                    next += KEEP_ALIVE;
                    if let Some(bytes) = peer.dialect.keep_alive() {
                        peer.wire.send(bytes).await?;
                    }
                }
            }
            Ok(())
        };
        if let Err(error) = step.await {
            return error;
        }
    }
}

/// What to say when connections broke.
fn gone(idlers: &mut JoinSet<anyhow::Error>) -> Option<String> {
    let mut count = 0;
    let mut why = None;
    while let Some(ended) = idlers.try_join_next() {
        count += 1;
        why = ended.ok().or(why);
    }
    why.map(|why| format!("{count} connections broke: {why:#}"))
}
