//! Keeps the node's time: asks the clocks of store and broker, and does what `nowrong_core::clock`
//! decides.
//!
//! The node's time is the store's; the machine's clock is only compared. A start beyond the bound is
//! refused ([`Timekeeper::start`]); later the node says what is off, and stands aside beyond the
//! bound ([`Timekeeper::must_leave`]). Nothing is swept by a time that was not confirmed at that
//! moment ([`Timekeeper::horizon`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use nowrong_base::{clock::Clock, lock::lock};
use nowrong_core::{
    clock::{
        Beginning, Bounds, Leave, Look, Offset, Reading, StoreTime, Verdict, Watch, difference,
    },
    node::NodeId,
    record::UnixMs,
};
use nowrong_store::{Anchor, Store, StoreError, StoreId};
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;

mod words;

pub use words::StoodAside;

/// How often the clocks are compared: a wrong one is known after two looks.
pub const LOOK_TICK: Duration = Duration::from_secs(2);

/// How often the identity of the store is read again.
pub const IDENTITY_TICK: Duration = Duration::from_secs(30);

/// So many readings at the start; the one with the shortest round trip counts. The first one may
/// include a new connection.
const START_READINGS: usize = 5;

/// Keeps the time of a node.
pub struct Timekeeper {
    env: Environment,
    bounds: Bounds,
    has_store_clock: bool,
    watch: Mutex<Watch>,
    may_sweep: AtomicBool,
    slept_ms: AtomicU64,
    leave: OnceLock<StoodAside>,
    has_left: CancellationToken,
    identity: Option<StoreId>,
    is_replaced: AtomicBool,
    /// The nodes whose time differs, as was said.
    apart: Mutex<BTreeSet<NodeId>>,
}

/// What a start has found out about time.
pub struct Start {
    bounds: Bounds,
    has_store_clock: bool,
    is_doubtful: bool,
}

impl Start {
    /// Learns the time of the store, before anything is judged by it.
    ///
    /// # Errors
    /// [`StoodAside`] when the machine's clock is off by more than the bound; a sentence when the
    /// store does not reply.
    pub async fn learn(store: &dyn Store, clock: &Clock, bounds: Bounds) -> anyhow::Result<Self> {
        let mut readings = Vec::with_capacity(START_READINGS);
        for _ in 0..START_READINGS {
            let reading = read(clock, Anchor::time(store)).await;
            readings.extend(reading.map_err(|error| anyhow::anyhow!("`store`: {error}"))?);
        }
        let Some(offset) = Offset::estimate(&readings) else {
            return Self::alone(store, clock, bounds).await;
        };
        let ahead_ms = offset.certain_ms().saturating_neg();
        if ahead_ms.unsigned_abs() > bounds.off_max_ms {
            return Err(StoodAside::at_start(ahead_ms, bounds).into());
        }
        clock.begin_at(clock.now().saturating_add_signed(offset.ahead_ms));
        Ok(Self {
            bounds,
            has_store_clock: true,
            is_doubtful: false,
        })
    }

    /// The store has no clock: the machine's counts, but not before the data.
    async fn alone(store: &dyn Store, clock: &Clock, bounds: Bounds) -> anyhow::Result<Self> {
        let beginning = Beginning::of(clock.machine(), store.swept_at().await?);
        clock.begin_at(beginning.now);
        words::say_beginning(&beginning, bounds);
        Ok(Self {
            bounds,
            has_store_clock: false,
            is_doubtful: beginning.is_doubtful,
        })
    }
}

impl Timekeeper {
    /// Compares all clocks for the first time.
    pub async fn start(start: Start, env: Environment, identity: Option<StoreId>) -> Arc<Self> {
        let Start {
            bounds,
            has_store_clock,
            is_doubtful,
        } = start;
        let keeper = Arc::new(Self {
            watch: Mutex::new(Watch::new(bounds, env.clock.elapsed_ms(), is_doubtful)),
            env,
            bounds,
            has_store_clock,
            may_sweep: AtomicBool::new(false),
            slept_ms: AtomicU64::new(0),
            leave: OnceLock::new(),
            has_left: CancellationToken::new(),
            identity,
            is_replaced: AtomicBool::new(false),
            apart: Mutex::default(),
        });
        keeper.look().await;
        keeper
    }

    /// Looks at all clocks and does what follows. Call it each [`LOOK_TICK`].
    pub async fn look(&self) {
        let look = self.compare().await;
        let verdict = lock(&self.watch).judge(self.env.clock.elapsed_ms(), &look);
        let Verdict {
            course,
            may_sweep,
            notes,
            leave,
        } = verdict;
        self.env.clock.steer(course);
        self.may_sweep.store(may_sweep, Ordering::Relaxed);
        for note in notes {
            words::say(note, self.bounds, self.has_store_clock);
        }
        if let Some(broker) = look.broker {
            self.compare_nodes(broker.ahead_ms.saturating_neg());
        }
        if let Some(leave) = leave {
            self.stand_aside(leave);
        }
    }

    async fn compare(&self) -> Look {
        let Environment {
            store,
            broker,
            clock,
            ..
        } = &self.env;
        let store = match self.has_store_clock {
            false => StoreTime::None,
            true => match read(clock, Anchor::time(&**store)).await {
                Ok(Some(reading)) => {
                    Offset::estimate(&[reading]).map_or(StoreTime::Away, StoreTime::Said)
                }
                Ok(None) | Err(_) => StoreTime::Away,
            },
        };
        let broker = read(clock, broker.time()).await.ok().flatten();
        let slept_ms = clock.slept_ms();
        Look {
            machine_ms: clock.machine_ahead_ms(),
            slept_ms: slept_ms.saturating_sub(self.slept_ms.swap(slept_ms, Ordering::Relaxed)),
            store,
            broker: broker.and_then(|reading| Offset::estimate(&[reading])),
        }
    }

    /// Tells the others how far this node is ahead of the broker, and says once of each of them that
    /// its time differs.
    fn compare_nodes(&self, ahead_ms: i64) {
        let broker = &self.env.broker;
        broker.set_ahead(ahead_ms);
        let others = broker.aheads().into_iter();
        let others = others.map(|(node, other_ms)| (node, other_ms.saturating_sub(ahead_ms)));
        let is_apart = |(_, ms): &(NodeId, i64)| ms.unsigned_abs() > self.bounds.off_max_ms;
        let apart: BTreeMap<NodeId, i64> = others.filter(is_apart).collect();
        let known = std::mem::replace(&mut *lock(&self.apart), apart.keys().copied().collect());
        for (node, apart_ms) in apart.into_iter().filter(|(node, _)| !known.contains(node)) {
            words::say_node_apart(node, apart_ms);
        }
    }

    fn stand_aside(&self, leave: Leave) {
        let aside = StoodAside::now(leave, self.bounds);
        if self.leave.set(aside.clone()).is_ok() {
            tracing::error!(error = %aside, "this node leaves the cluster");
            self.has_left.cancel();
        }
    }

    /// Ends when the node must leave, with the reason.
    pub async fn must_leave(&self) -> StoodAside {
        loop {
            self.has_left.cancelled().await;
            if let Some(aside) = self.leave.get() {
                return aside.clone();
            }
        }
    }

    /// The time up to which records may be removed now; `None`: nothing may be. For a store with a
    /// clock it asks that clock once more: a node that was stopped for a while knows nothing of the
    /// time that passed.
    pub async fn horizon(&self) -> Option<UnixMs> {
        let is_sure = || self.may_sweep.load(Ordering::Relaxed) && self.leave.get().is_none();
        if !is_sure() {
            return None;
        }
        let clock = &self.env.clock;
        if !self.has_store_clock {
            return Some(clock.now());
        }
        let said = Anchor::time(&*self.env.store).await.ok().flatten()?;
        let now = clock.now();
        let is_near = difference(said, now).unsigned_abs() <= self.bounds.off_max_ms;
        (is_near && is_sure()).then_some(said.min(now))
    }

    /// Says when the data was replaced under the running node. Call it each [`IDENTITY_TICK`].
    pub async fn check_identity(&self) {
        let Some(known) = self.identity else { return };
        let found = match self.env.store.identity().await {
            Ok(found) => found,
            Err(StoreError::Corrupt(_)) => None,
            Err(_) => return,
        };
        let is_replaced = found != Some(known);
        if is_replaced && !self.is_replaced.swap(is_replaced, Ordering::Relaxed) {
            words::say_replaced(known, found);
        }
        self.is_replaced.store(is_replaced, Ordering::Relaxed);
    }
}

/// Asks a clock; `None` when there is none.
async fn read<E>(
    clock: &Clock,
    ask: impl Future<Output = Result<Option<UnixMs>, E>>,
) -> Result<Option<Reading>, E> {
    let asked_ms = clock.now();
    let said = ask.await?;
    let told_ms = clock.now();
    Ok(said.map(|said_ms| Reading {
        asked_ms,
        told_ms,
        said_ms,
    }))
}

#[cfg(test)]
mod tests;
