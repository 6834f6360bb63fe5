//! The lease of this node: it tells the other nodes that this one is alive, with its counts and its
//! addresses for clients. A node that does not renew for [`LEASE`] is dead to the others: its
//! tickets are removed, its people are no longer counted, its inbox disappears.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
    time::Duration,
};

use nowrong_base::lock::lock;
use nowrong_broker::BrokerError;
use nowrong_core::{
    node::{NodeId, NodeStatus, NodeView},
    record::UnixMs,
};
use nowrong_protocol::limits::RETENTION_MAX;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    AHEAD_UNKNOWN, ConnectError, Parts, RedisUrl, queue,
    script::{Script, script},
    unexpected,
};

static RENEW: Script = script!("renew_lease": "memory.lua", "queue.lua", "lease.lua");
static TIME: Script = script!("time": "time.lua");

/// How long the other nodes consider a node alive after its last renewal: three missed renewals.
pub const LEASE: Duration = Duration::from_secs(3);

/// How often a lease is renewed. What is known of other nodes is at most this old.
const RENEWAL: Duration = Duration::from_secs(1);

/// Most tickets of dead nodes that one renewal removes, so that its script stays short.
const REMOVED_MAX: usize = 500;

/// How long the keys of the queue outlive the last node: no data may be kept for more than 24
/// hours.
const KEYS_LIFE_MS: u64 = RETENTION_MAX.as_millis() as u64;

/// Most nodes that are remembered as strangers. When there are more, they count as dead until they
/// are among the live ones.
const STRANGERS_MAX: usize = 1_024;

/// The data that a node publishes with its lease.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    connected: u32,
    status: NodeStatus,
    chatting: HashMap<String, u32>,
    /// How far its time is ahead of Redis's clock, once it knows.
    #[serde(default)]
    ahead_ms: Option<i64>,
}

/// Why a lease was not renewed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRenewed {
    /// Redis cannot be used now.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Live nodes with this store use the same keys.
    #[error(
        "nodes with another store ({theirs}; this one has {ours}) use the same keys in Redis: set `redis.prefix` of one installation to something else, or `store` of both to the same database"
    )]
    OtherStore {
        /// The identity of their store.
        theirs: String,
        /// The identity of this node's store.
        ours: String,
    },
}

/// How a node stands with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Member,
    Away,
    Refused,
}

impl Standing {
    fn after(renewed: &Result<(), NotRenewed>) -> Self {
        match renewed {
            Ok(()) => Self::Member,
            Err(NotRenewed::Broker(_)) => Self::Away,
            Err(NotRenewed::OtherStore { .. }) => Self::Refused,
        }
    }
}

impl NotRenewed {
    /// The same at a start.
    pub(super) fn at(self, url: &RedisUrl) -> ConnectError {
        match self {
            Self::Broker(error) => ConnectError::refused(error),
            Self::OtherStore { theirs, ours } => ConnectError::OtherStore {
                url: url.to_string(),
                theirs,
                ours,
            },
        }
    }
}

/// The other nodes, as far as this one knows.
#[derive(Debug, Default)]
pub(super) struct Others {
    live: BTreeMap<NodeId, NodeView>,
    chatting: HashMap<String, u32>,
    aheads: BTreeMap<NodeId, i64>,
    /// Nodes that are not among the live ones, and since when: they are dead, or so new that this
    /// node has not heard of them yet.
    strangers: HashMap<NodeId, Instant>,
}

impl Others {
    pub(super) fn chatting(&self, category: &str) -> u32 {
        self.chatting.get(category).copied().unwrap_or(0)
    }

    pub(super) fn connected(&self) -> u32 {
        let counts = self.live.values().map(|node| node.connected);
        counts.fold(0, u32::saturating_add)
    }

    pub(super) fn views(&self) -> impl Iterator<Item = &NodeView> {
        self.live.values()
    }

    /// How far the times of the others are ahead of Redis's clock, as far as they know.
    pub(super) fn aheads(&self) -> impl Iterator<Item = (NodeId, i64)> {
        self.aheads.iter().map(|(node, ahead)| (*node, *ahead))
    }

    /// Whether to send notices to the node: it is live, or may just have started. A node that is
    /// still a stranger after the lifetime of a lease is dead.
    pub(super) fn is_live(&mut self, node: NodeId, now: Instant) -> bool {
        if self.live.contains_key(&node) {
            return true;
        }
        if let Some(since) = self.strangers.get(&node) {
            return now - *since < LEASE;
        }
        let has_room = self.strangers.len() < STRANGERS_MAX;
        if has_room {
            self.strangers.insert(node, now);
        }
        has_room
    }

    /// Takes over the nodes that a renewal returned.
    fn replace(&mut self, told: impl IntoIterator<Item = (NodeId, Told)>) {
        (self.live, self.chatting, self.aheads) = Default::default();
        for (id, told) in told {
            self.strangers.remove(&id);
            self.aheads.extend(told.ahead_ms.map(|ahead| (id, ahead)));
            for (category, people) in told.chatting {
                let count = self.chatting.entry(category).or_default();
                *count = count.saturating_add(people);
            }
            let view = NodeView {
                id,
                connected: told.connected,
                status: told.status,
            };
            self.live.insert(id, view);
        }
    }
}

impl Parts {
    /// Renews until the task is dropped. Errors are only logged: while Redis is away, the other
    /// nodes cannot be reached anyway.
    pub(super) async fn hold_lease(&self) {
        let mut ticks = tokio::time::interval(RENEWAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before = Standing::Member;
        loop {
            ticks.tick().await;
            let renewed = self.renew().await;
            let standing = Standing::after(&renewed);
            match renewed {
                _ if standing == before => {}
                Ok(()) => tracing::info!("redis is back"),
                Err(error @ NotRenewed::OtherStore { .. }) => {
                    tracing::error!(%error, "this node is not a member of the cluster");
                }
                Err(error) => tracing::warn!(%error, "redis is away"),
            }
            before = standing;
            self.outbox
                .tidy(|node| lock(&self.others).live.contains_key(&node));
        }
    }

    /// Renews lease and inbox. They may be on different servers of a cluster: an unavailable inbox
    /// does not make this node dead.
    pub(super) async fn renew(&self) -> Result<(), NotRenewed> {
        let (inbox, lapsed) = tokio::join!(self.renew_inbox(), self.renew_lease());
        if lapsed? {
            // The others sent it no notices while they considered it dead.
            self.inbox.begin_anew();
            return Ok(self.renew_inbox().await?);
        }
        Ok(inbox?)
    }

    async fn renew_inbox(&self) -> Result<(), BrokerError> {
        let renewal = tokio::time::timeout(RENEWAL, self.inbox.renew(&self.connection)).await;
        let late = || BrokerError::Unavailable("the inbox was not renewed in time".to_owned());
        let renewed = renewal.unwrap_or_else(|_| Err(late()));
        if renewed.is_err() {
            // Notices sent meanwhile may be lost.
            self.inbox.begin_anew();
        }
        renewed
    }

    /// Tells the others that this node is alive, and learns of them. Returns whether its previous
    /// lease had expired.
    async fn renew_lease(&self) -> Result<bool, NotRenewed> {
        let told = serde_json::to_string(&self.told()).map_err(|_| unexpected("count"))?;
        let call = queue::keyed(&RENEW, self)
            .key(self.keys.queue("told"))
            .key(self.keys.queue("store"))
            .arg(self.id.to_string())
            .arg(LEASE.as_millis() as u64)
            .arg(told)
            .arg(REMOVED_MAX)
            .arg(KEYS_LIFE_MS)
            .arg(&self.store);
        let answer: Vec<String> = call.run(&self.connection).await?;
        let (lapsed, others) = answer.split_first().ok_or_else(|| unexpected("lease"))?;
        if lapsed == "other" {
            return Err(NotRenewed::OtherStore {
                theirs: others.concat(),
                ours: self.store.clone(),
            });
        }
        let told: Result<Vec<_>, _> = others.chunks_exact(2).map(read).collect();
        lock(&self.others).replace(told?);
        let had_one = self.had_lease.swap(true, Ordering::Relaxed);
        Ok(had_one && lapsed == "1")
    }

    /// The clock of the server that judges leases.
    pub(super) async fn time(&self) -> Result<UnixMs, BrokerError> {
        let call = TIME.call().key(self.keys.queue("nodes"));
        call.run(&self.connection).await
    }

    fn told(&self) -> Told {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        let counts = lock(&self.counts);
        let owned = |(category, people): (&str, u32)| (category.to_owned(), people);
        Told {
            connected: counts.connected(),
            status: lock(&self.status).clone(),
            chatting: counts.categories().map(owned).collect(),
            ahead_ms: (ahead_ms != AHEAD_UNKNOWN).then_some(ahead_ms),
        }
    }

    /// This node, as the others see it.
    pub(super) fn own_view(&self) -> NodeView {
        NodeView {
            id: self.id,
            connected: lock(&self.counts).connected(),
            status: lock(&self.status).clone(),
        }
    }

    /// Whether the node is another one, to which notices should be sent.
    pub(super) fn is_other_live(&self, node: NodeId) -> bool {
        node != self.id && lock(&self.others).is_live(node, Instant::now())
    }
}

fn read(pair: &[String]) -> Result<(NodeId, Told), BrokerError> {
    let id = pair[0].parse().map_err(|_| unexpected("node"))?;
    let told = serde_json::from_str(&pair[1]).map_err(|_| unexpected("count"))?;
    Ok((id, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_counts_as_live_until_a_lease_is_over() {
        let (mut others, now) = (Others::default(), Instant::now());
        let node = NodeId([1; 8]);
        assert!(others.is_live(node, now), "it may have just started");
        assert!(others.is_live(node, now + LEASE / 2));
        assert!(!others.is_live(node, now + LEASE), "nobody heard of it");
        others.replace([(node, Told::default())]);
        assert!(others.is_live(node, now + 2 * LEASE));
        others.replace([]);
        assert!(others.is_live(node, now + 2 * LEASE), "just gone");
        assert!(!others.is_live(node, now + 3 * LEASE));
    }

    #[test]
    fn g10_strangers_are_bounded() {
        let (mut others, now) = (Others::default(), Instant::now());
        let node = |n: usize| NodeId((n as u64).to_be_bytes());
        assert!((0..STRANGERS_MAX).all(|n| others.is_live(node(n), now)));
        assert!(!others.is_live(node(STRANGERS_MAX), now));
        assert_eq!(others.strangers.len(), STRANGERS_MAX);
    }
}
