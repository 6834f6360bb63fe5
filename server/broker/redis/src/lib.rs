//! The broker of many nodes: Redis 7, alone, behind sentinels, or as a Redis Cluster.
//!
//! Each method is one command, mostly a script, and a script is one atomic step. All keys of a script are
//! declared and share one hash tag, so that the same scripts run on a Redis Cluster: `{queue}` for the
//! tickets and the nodes, `{chat id}` for the log of a chat. Redis may forget: it makes things
//! fast, the store is authoritative. Data filled under another replication id of the master counts
//! as forgotten (`memory.lua`). Nothing in Redis stays readable for long: bodies arrive sealed, and
//! every key expires.
//!
//! | what | commands |
//! |---|---|
//! | a message | 1 `EVALSHA`, and 1 `XADD` for each other node that follows the chat |
//! | a match | 2 `EVALSHA` (two joins), 1 more to open the log |
//! | a user who comes or goes | 1 each |
//! | a node, each second | 2 `EVALSHA` (lease, inbox), 1 `XREAD` |
//! | a node that compares clocks, every 2 s | 1 `EVALSHA` |
//! | a node that shares day keys, every 5 s | 1 `EVALSHA` |
//!
//! Each node counts its own people, and publishes the counts with its lease ([`lease`]) once a
//! second. When a node dies, its lease expires; the others then remove its tickets and no longer
//! count its people. Bounds: [`IN_FLIGHT_MAX`] commands at once, [`LANE_MAX`] notices on the way to
//! a node, [`INBOX_MAX`] in its inbox, [`TICKETS_MAX`](nowrong_core::matching::TICKETS_MAX)
//! tickets; if Redis does not reply within [`ANSWER_DEADLINE`], the error is
//! [`BrokerError::Unavailable`].
//!
//! Start reading at [`RedisBroker::connect`]; the scripts are beside the files that call them.

#![forbid(unsafe_code)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use nowrong_base::{
    lock::lock,
    metrics::{CallMetrics, Metrics},
    random,
};
use nowrong_broker::{
    Admission, BrokerError, Chatting, Counts, Deposit, Deposits, Inbox, LimitRule, Limits, Log,
    LogSeed, Nodes, Placed, Presence, Queue, Reading,
};
use nowrong_core::{
    limiter::Grant,
    matching::{Joined, Retried, Ticket},
    node::{NodeId, NodeStatus, NodeView},
    record::{Draft, Notice, TokenHash, UnixMs},
};
use nowrong_protocol::{ChatId, TicketId, UserId};
use tokio_util::task::AbortOnDropHandle;

mod connection;
mod deposits;
mod inbox;
mod lease;
mod limits;
mod log;
mod outbox;
mod places;
mod prefix;
mod queue;
mod rights;
mod script;
mod task;
mod tls;
mod tokens;
mod url;
mod wire;

use connection::Connection;
pub use connection::{ANSWER_DEADLINE, ConnectError, IN_FLIGHT_MAX};
pub use inbox::INBOX_MAX;
pub use lease::LEASE;
use lease::Others;
pub use outbox::LANE_MAX;
pub use prefix::{KeyPrefix, NotAPrefix};
pub use tls::TlsFiles;
pub use url::RedisUrl;

/// The broker of many nodes.
pub struct RedisBroker {
    parts: Arc<Parts>,
    _lease: AbortOnDropHandle<()>,
}

/// Whose keys in Redis a broker uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Begins every key. Nodes with different prefixes share nothing.
    pub prefix: KeyPrefix,
    /// The identity of the store that the nodes share. Nodes with another store on the same prefix
    /// would send each other's people away, so the first one that comes keeps them out.
    pub store: String,
}

/// The state that the methods share with the task that renews the lease.
struct Parts {
    connection: Connection,
    keys: Keys,
    store: String,
    id: NodeId,
    /// See [`Nodes::set_ahead`]; [`AHEAD_UNKNOWN`] before that.
    ahead_ms: AtomicI64,
    status: Mutex<NodeStatus>,
    had_lease: AtomicBool,
    counts: Mutex<Chatting>,
    others: Mutex<Others>,
    inbox: inbox::Reader,
    outbox: outbox::Outbox,
}

/// No node has this difference.
const AHEAD_UNKNOWN: i64 = i64::MIN;

/// The names of the keys. Two brokers with different prefixes share nothing.
#[derive(Clone, Debug)]
struct Keys {
    prefix: KeyPrefix,
}

impl Keys {
    /// A key of matching and of the nodes: all in one slot.
    fn queue(&self, name: &str) -> String {
        format!("{}:{{queue}}:{name}", self.prefix)
    }

    /// A key of a chat: all of one chat in one slot.
    fn chat(&self, chat: ChatId, name: &str) -> String {
        format!("{}:{{{chat}}}:{name}", self.prefix)
    }

    /// A key in a slot of its own.
    fn single(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.prefix)
    }

    fn inbox(&self, node: NodeId) -> String {
        self.single("inbox", &node.to_string())
    }

    /// Two keys of one slot, for the check of rights.
    fn rights(&self, node: NodeId) -> [String; 2] {
        ["text", "none"].map(|name| self.single("rights", &format!("{{{node}}}:{name}")))
    }
}

impl RedisBroker {
    /// Connects and takes a lease. `metrics` measure how long each command takes.
    ///
    /// # Errors
    /// [`ConnectError`]: one sentence that says what is wrong with the setting or the server, or that
    /// nodes with another store use the same prefix.
    pub async fn connect(
        url: &RedisUrl,
        realm: &Realm,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, ConnectError> {
        let keys = Keys {
            prefix: realm.prefix.clone(),
        };
        let id = NodeId(random::bytes());
        let calls = CallMetrics::registered(metrics, "broker");
        let connection = Connection::open(url, ANSWER_DEADLINE, calls).await?;
        rights::check(&connection, url, keys.rights(id)).await?;
        let parts = Arc::new(Parts {
            inbox: inbox::Reader::open(url, keys.inbox(id)).await?,
            outbox: outbox::Outbox::new(connection.clone()),
            connection,
            keys,
            store: realm.store.clone(),
            id,
            ahead_ms: AtomicI64::new(AHEAD_UNKNOWN),
            status: Mutex::default(),
            had_lease: AtomicBool::new(false),
            counts: Mutex::default(),
            others: Mutex::default(),
        });
        parts.renew().await.map_err(|lost| lost.at(url))?;
        let holder = parts.clone();
        let task =
            tokio::spawn(
                async move { while !task::has_ended("lease", holder.hold_lease()).await {} },
            );
        Ok(Arc::new(Self {
            parts,
            _lease: AbortOnDropHandle::new(task),
        }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A reply of Redis that the scripts never give.
fn unexpected(what: &'static str) -> BrokerError {
    BrokerError::Unavailable(format!("redis answered with an unexpected {what}"))
}

#[async_trait]
impl Admission for RedisBroker {
    async fn put_connect_token(
        &self,
        hash: TokenHash,
        user: UserId,
        lifetime: Duration,
        _now: UnixMs,
    ) -> Result<(), BrokerError> {
        tokens::put(&self.parts, &hash, user, lifetime).await
    }

    /// Asks every master whether it is there, and one for a small write: a Redis whose memory is full
    /// refuses writes alone. Each node writes a key of its own.
    async fn check(&self) -> Result<(), BrokerError> {
        let key = self.parts.keys.single("check", &self.parts.id.to_string());
        let mut write = redis::cmd("SET");
        write
            .arg(key)
            .arg(1)
            .arg("PX")
            .arg(LEASE.as_millis() as u64);
        let connection = &self.parts.connection;
        let ping = redis::cmd("PING");
        let (there, written) = tokio::join!(
            connection.query_all("check", &ping),
            connection.query::<()>("check", &write),
        );
        there?;
        Ok(written?)
    }

    async fn take_connect_token(
        &self,
        hash: &TokenHash,
        _now: UnixMs,
    ) -> Result<Option<UserId>, BrokerError> {
        tokens::take(&self.parts, hash).await
    }
}

#[async_trait]
impl Limits for RedisBroker {
    async fn take(
        &self,
        rule: LimitRule,
        key: &[u8; 16],
        _now: UnixMs,
    ) -> Result<Grant, BrokerError> {
        limits::take(&self.parts, rule, key).await
    }
}

#[async_trait]
impl Queue for RedisBroker {
    async fn join(&self, ticket: Ticket, now: UnixMs) -> Result<Joined, BrokerError> {
        queue::join(&self.parts, &ticket, now).await
    }

    async fn retry(&self, ticket: TicketId, now: UnixMs) -> Result<Option<Retried>, BrokerError> {
        queue::retry(&self.parts, ticket, now).await
    }

    async fn requeue(&self, ticket: Ticket) -> Result<(), BrokerError> {
        queue::requeue(&self.parts, &ticket).await
    }

    async fn cancel(&self, ticket: TicketId) -> Result<bool, BrokerError> {
        queue::cancel(&self.parts, ticket).await
    }

    async fn take_out(&self, user: UserId) -> Result<Option<Ticket>, BrokerError> {
        queue::take_out(&self.parts, user).await
    }

    async fn set_paused(
        &self,
        ticket: TicketId,
        is_paused: bool,
    ) -> Result<Option<Ticket>, BrokerError> {
        queue::set_paused(&self.parts, ticket, is_paused).await
    }

    async fn own_tickets(
        &self,
        after: Option<TicketId>,
        limit: usize,
    ) -> Result<Vec<TicketId>, BrokerError> {
        queue::own_tickets(&self.parts, after, limit).await
    }

    async fn waiting(&self, category: &str) -> Result<u32, BrokerError> {
        queue::waiting(&self.parts, category).await
    }
}

#[async_trait]
impl Presence for RedisBroker {
    async fn count_chatting(&self, category: &str, people: i32) -> Result<(), BrokerError> {
        lock(&self.parts.counts).count_chatting(category, people)
    }

    async fn count_connected(&self, users: i32) -> Result<(), BrokerError> {
        lock(&self.parts.counts).count_connected(users);
        Ok(())
    }

    async fn counts(&self, category: &str) -> Result<Counts, BrokerError> {
        let waiting = queue::waiting(&self.parts, category).await?;
        let here = lock(&self.parts.counts).chatting(category);
        let there = lock(&self.parts.others).chatting(category);
        Ok(Counts {
            online: here.saturating_add(there).saturating_add(waiting),
            waiting,
        })
    }

    async fn connected(&self) -> Result<u32, BrokerError> {
        let here = lock(&self.parts.counts).connected();
        Ok(here.saturating_add(lock(&self.parts.others).connected()))
    }
}

#[async_trait]
impl Log for RedisBroker {
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<bool, BrokerError> {
        log::open(&self.parts, chat, &seed).await
    }

    async fn append(
        &self,
        chat: ChatId,
        epoch: u32,
        draft: &Draft,
        takes_new: bool,
    ) -> Result<Placed, BrokerError> {
        log::append(&self.parts, chat, epoch, draft, takes_new).await
    }

    async fn read_log(&self, chat: ChatId, epoch: u32, after: u64) -> Result<Reading, BrokerError> {
        log::read(&self.parts, chat, epoch, after).await
    }

    async fn unfollow(&self, chat: ChatId) -> Result<(), BrokerError> {
        log::unfollow(&self.parts, chat).await
    }

    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError> {
        log::close(&self.parts, chat).await
    }
}

#[async_trait]
impl Nodes for RedisBroker {
    fn id(&self) -> NodeId {
        self.parts.id
    }

    fn set_status(&self, status: NodeStatus) {
        *lock(&self.parts.status) = status;
    }

    fn nodes(&self) -> Vec<NodeView> {
        let mut nodes = vec![self.parts.own_view()];
        nodes.extend(lock(&self.parts.others).views().cloned());
        nodes
    }

    fn tell(&self, nodes: &[NodeId], notice: Notice) {
        let packed = Bytes::from(inbox::pack(self.parts.id, &notice));
        for node in nodes.iter().filter(|node| **node != self.parts.id) {
            let key = || self.parts.keys.inbox(*node);
            self.parts.outbox.tell(*node, key, packed.clone());
        }
    }

    async fn time(&self) -> Result<Option<UnixMs>, BrokerError> {
        self.parts.time().await.map(Some)
    }

    fn set_ahead(&self, ahead_ms: i64) {
        self.parts.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    fn aheads(&self) -> Vec<(NodeId, i64)> {
        lock(&self.parts.others).aheads().collect()
    }

    async fn receive(&self) -> Inbox {
        self.parts.inbox.receive().await
    }

    async fn take_place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError> {
        places::take(&self.parts, user).await
    }

    async fn place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError> {
        places::find(&self.parts, user).await
    }

    async fn leave_place(&self, user: UserId) -> Result<(), BrokerError> {
        places::leave(&self.parts, user).await
    }
}

#[async_trait]
impl Deposits for RedisBroker {
    async fn exchange(
        &self,
        shelf: &'static str,
        own: &[Deposit],
    ) -> Result<Vec<Bytes>, BrokerError> {
        deposits::exchange(&self.parts, shelf, own).await
    }
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
