//! `cross`: partners on different nodes write to each other at a steady rate.

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use nowrong_bench::{
    drive::{self, Outcome, Peer},
    process::Process,
    target::{Running, nowrong::bring_together},
    workload::Workload,
};
use tokio::sync::Semaphore;

use super::Say;
use crate::{
    cluster::{Cluster, Shape},
    crowd::Entrances,
    metrics,
};

/// Pairs that arrive at one time: how the servers handle a burst is the question of another
/// scenario (`match`).
const ENTERING_MAX: usize = 1;

/// The nodes' metric for the times of calls to the store.
const STORE_CALLS: &str = "nowrong_store_call_seconds";

/// Runs the workload on pairs whose members are on different nodes.
///
/// # Errors
/// When a message was lost or came twice, or the servers could not be used.
pub async fn run(shape: &Shape, workload: &Workload, say: Say) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(shape).await?;
    let across = Across {
        entrances: Entrances::of(&mut cluster)?,
        entering: Semaphore::new(ENTERING_MAX),
    };
    let outcome = drive::load(&across, workload).await?;
    let Workload { rate, users, .. } = workload;
    say(format!(
        "{users} people in pairs across {} nodes, {rate} messages/s",
        shape.nodes
    ));
    say(figures(&outcome));
    if let Some(complaint) = outcome.effort().complaint() {
        say(complaint);
    }
    for line in store_calls(&cluster).await? {
        say(line);
    }
    let faults: Vec<_> = outcome
        .faults
        .iter()
        .cloned()
        .chain(outcome.account.complaint())
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => bail!("faults: {}", faults.join("; ")),
    }
}

fn figures(outcome: &Outcome) -> String {
    let named = [
        ("delivery", &outcome.figures.delivery),
        ("ack", &outcome.figures.ack),
        ("lag of the generator", &outcome.figures.lag),
    ];
    let named = named.map(|(name, latencies)| {
        let [p50, p99] = [0.5, 0.99].map(|share| latencies.quantile_ms(share));
        format!(
            "{name} p50 {p50:.1} ms, p99 {p99:.1} ms, max {:.1} ms",
            latencies.max_ms()
        )
    });
    named.join(" · ")
}

/// One line for each kind of call to the store, from the metrics of all nodes.
async fn store_calls(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for port in cluster.metrics_ports() {
        texts.push(
            metrics::read(*port)
                .await
                .context("the metrics of a node")?,
        );
    }
    let calls = metrics::histograms(&texts, STORE_CALLS, "call");
    let line = |(call, buckets): (&String, &metrics::Buckets)| {
        let p99 = buckets.quantile(0.99) * 1_000.0;
        format!(
            "store {call:<20} {:>8} calls · p99 at most {p99} ms",
            buckets.count()
        )
    };
    Ok(calls.iter().map(line).collect())
}

/// The nodes, as something to put a load on.
struct Across {
    entrances: Entrances,
    /// How many may come in now.
    entering: Semaphore,
}

#[async_trait(?Send)]
impl Running for Across {
    fn processes(&self) -> Vec<&Process> {
        // Their resource use is not measured here.
        Vec::new()
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let _entering = self.entering.acquire().await?;
        Ok(self.entrances.enter(user as usize).await?.into())
    }

    async fn open_pair(&self, first: u32) -> anyhow::Result<[Peer; 2]> {
        let _entering = self.entering.acquire().await?;
        let mut one = self.entrances.enter(first as usize).await?;
        let mut two = self.entrances.enter(first as usize + 1).await?;
        bring_together(&mut one, &mut two, first).await?;
        Ok([one.into(), two.into()])
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}
