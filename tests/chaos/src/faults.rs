//! Carries out the schedule: breaks something, waits, repairs it, and continues when everything
//! works again.
//!
//! Runs on a thread of its own, since it waits for processes. When the time is over it repairs what
//! it broke and returns the cluster.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use services::process;
use tokio::{runtime::Handle, time::sleep};

use crate::{
    cluster::{Cluster, start_again},
    schedule::{Blow, Fault, Planned, Schedule, Victim, Wrong},
};

/// Time from a fault to the death of a node on top of it.
const SECOND_BLOW: Duration = Duration::from_millis(300);

/// The exit code of a node that stood aside because of a clock.
const STOOD_ASIDE: i32 = 75;

/// The faults that came, in order.
#[derive(Debug, Default)]
pub struct FaultLog(Mutex<Vec<Struck>>);

/// A fault that came.
#[derive(Clone, Copy, Debug)]
pub struct Struck {
    /// The fault.
    pub fault: Fault,
    /// When it began.
    pub begun: Instant,
    /// When everything worked again; `None` until then.
    pub healed: Option<Instant>,
}

impl FaultLog {
    fn add(&self, fault: Fault) {
        self.lock().push(Struck {
            fault,
            begun: Instant::now(),
            healed: None,
        });
    }

    /// Everything works again.
    fn heal(&self) {
        let now = Instant::now();
        for struck in self.lock().iter_mut() {
            struck.healed.get_or_insert(now);
        }
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<Struck> {
        self.lock().clone()
    }

    /// How often each kind came, by name.
    pub fn counts(&self) -> BTreeMap<&'static str, u32> {
        let mut counts = BTreeMap::new();
        for struck in self.lock().iter() {
            *counts.entry(struck.fault.name()).or_default() += 1;
        }
        counts
    }

    /// How many there were.
    pub fn total(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Struck>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Breaks and repairs until `end`, then returns the cluster with everything working.
///
/// # Errors
/// When something cannot be repaired.
pub async fn run(
    mut cluster: Cluster,
    schedule: Schedule,
    end: Instant,
    log: std::sync::Arc<FaultLog>,
) -> anyhow::Result<Cluster> {
    let handle = Handle::current();
    let working = tokio::task::spawn_blocking(move || {
        handle.block_on(async {
            for planned in schedule {
                if Instant::now() + planned.calm >= end {
                    break;
                }
                sleep(planned.calm).await;
                carry_out(&mut cluster, &planned, &log)
                    .await
                    .with_context(|| format!("{planned:?}"))?;
                cluster
                    .heal()
                    .with_context(|| format!("after {planned:?}"))?;
                log.heal();
            }
            Ok(cluster)
        })
    });
    working.await.context("the faults ended early")?
}

async fn carry_out(cluster: &mut Cluster, planned: &Planned, log: &FaultLog) -> anyhow::Result<()> {
    let Planned {
        fault,
        lasting,
        then_node,
        ..
    } = *planned;
    log.add(fault);
    let Some(number) = then_node else {
        return hit(cluster, fault, lasting).await;
    };
    let second = Fault {
        blow: Blow::Kill,
        victim: Victim::Node(number),
    };
    log.add(second);
    cluster.node(number).kill().await?;
    sleep(SECOND_BLOW).await;
    hit(cluster, fault, lasting).await?;
    start_again(cluster.node(number)).await
}

async fn hit(cluster: &mut Cluster, fault: Fault, lasting: Duration) -> anyhow::Result<()> {
    match (fault.blow, fault.victim) {
        (Blow::Kill, Victim::Node(number)) => {
            let node = cluster.node(number);
            node.kill().await?;
            sleep(lasting).await;
            start_again(node).await
        }
        (Blow::Stop, Victim::Node(number)) => {
            let node = cluster.node(number);
            node.signal("-STOP").await?;
            sleep(lasting).await;
            node.signal("-CONT").await
        }
        (Blow::Kill, Victim::Redis) => cluster.redis().empty(lasting).await,
        (Blow::Kill, Victim::RedisMaster(number)) => {
            let master = cluster.redis().master(number)?;
            master.kill()?;
            sleep(lasting).await;
            master.restart()
        }
        (Blow::Stop, Victim::Redis) => stop(cluster.redis().master(0)?.id(), lasting).await,
        (Blow::Stop, Victim::RedisMaster(number)) => {
            stop(cluster.redis().master(number)?.id(), lasting).await
        }
        (Blow::Kill, Victim::MongoPrimary) => {
            let primary = cluster.primary()?;
            primary.kill()?;
            sleep(lasting).await;
            primary.restart()
        }
        (Blow::Stop, Victim::MongoPrimary) => stop(cluster.primary()?.id(), lasting).await,
        (Blow::Clock(wrong), victim) => {
            let number = match victim {
                Victim::Node(number) => number,
                Victim::Redis | Victim::RedisMaster(_) | Victim::MongoPrimary => 0,
            };
            mislead(cluster, number, wrong, lasting).await
        }
    }
}

/// After this a node that has seen a wrong clock twice has said so: its looks are 2 s apart.
const SAID_WITHIN: Duration = Duration::from_secs(3);

/// Makes the clock of a node's machine wrong, then right again. A node that left for it must have said
/// so, and is started again, as a supervisor would.
async fn mislead(
    cluster: &mut Cluster,
    number: u32,
    wrong: Wrong,
    lasting: Duration,
) -> anyhow::Result<()> {
    cluster.set_clock(number, Some(wrong))?;
    sleep(lasting).await;
    cluster.set_clock(number, None)?;
    sleep(SAID_WITHIN).await;
    if !cluster.has_stood_aside(number) {
        let ended = cluster.node(number).has_ended()?;
        ensure!(ended.is_none(), "a node ended without a word: {ended:?}");
        return Ok(());
    }
    let status = cluster.node(number).ended().await?;
    ensure!(
        status.code() == Some(STOOD_ASIDE),
        "a node that stood aside ended with {status}"
    );
    start_again(cluster.node(number)).await
}

async fn stop(id: u32, lasting: Duration) -> anyhow::Result<()> {
    process::signal(id, "-STOP")?;
    sleep(lasting).await;
    process::signal(id, "-CONT")
}

/// How long everything is left alone between two restarts, and before the first.
const ROLLING_CALM: Duration = Duration::from_secs(5);

/// Stops each node as an operator would and starts it again, one after the other.
///
/// # Errors
/// When a node does not stop cleanly, or does not come back.
pub async fn roll(mut cluster: Cluster) -> anyhow::Result<Cluster> {
    for node in cluster.nodes() {
        sleep(ROLLING_CALM).await;
        let status = node.stop().await?;
        anyhow::ensure!(status.success(), "a node did not stop cleanly: {status}");
        start_again(node).await?;
    }
    sleep(ROLLING_CALM).await;
    Ok(cluster)
}
