//! The broker of many nodes: Redis 7, alone or as a Redis Cluster.
//!
//! Each method is one script, and a script is one atomic step. All keys of a script are declared and
//! share one hash tag, so that the same scripts run on a Redis Cluster: `{queue}` for the tickets and
//! the nodes, `{chat id}` for the log of a chat. Redis may forget: what it holds is speed, the store
//! is truth. Nothing in it is readable for long: bodies arrive sealed, and every key expires.
//!
//! Counts of people are this node's own, told to the others with its lease ([`lease`]) once a second.
//! A node that dies lets its lease lapse; the others then remove its tickets and no longer count its
//! people. Bounds: [`IN_FLIGHT_MAX`] commands at once,
//! [`TICKETS_MAX`](nowrong_core::matching::TICKETS_MAX) tickets; a Redis that does not answer within
//! [`ANSWER_DEADLINE`] is [`BrokerError::Unavailable`].
//!
//! Start reading at [`RedisBroker::connect`]; the scripts lie beside the files that call them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nowrong_protocol::{ChatId, TicketId, UserId};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Admission, Appended, BrokerError, Counts, Draft, Grant, Joined, LimitRule, Limits, Log,
    LogSeed, Presence, Queue, Retried, Ticket, counts::Chatting,
};
use crate::{
    random,
    store::{StoredMessage, TokenHash, UnixMs},
};

mod connection;
mod lease;
mod limits;
mod log;
mod queue;
mod script;
mod tokens;

use connection::Connection;
pub use connection::{ANSWER_DEADLINE, ConnectError, IN_FLIGHT_MAX, RedisUrl};
pub use lease::LEASE;
use lease::Others;

/// The broker of many nodes.
pub struct RedisBroker {
    parts: Arc<Parts>,
    _lease: AbortOnDropHandle<()>,
}

/// What the methods and the task that holds the lease share.
struct Parts {
    connection: Connection,
    keys: Keys,
    /// This run of this node: a restart is another node.
    node: String,
    counts: Mutex<Chatting>,
    others: Mutex<Others>,
}

/// The names of the keys. Two brokers with different namespaces share nothing.
#[derive(Clone, Debug)]
struct Keys {
    namespace: String,
}

impl Keys {
    /// A key of matching and of the nodes: all in one slot.
    fn queue(&self, name: &str) -> String {
        format!("{}:{{queue}}:{name}", self.namespace)
    }

    /// A key of a chat: all of one chat in one slot.
    fn chat(&self, chat: ChatId, name: &str) -> String {
        format!("{}:{{{chat}}}:{name}", self.namespace)
    }

    /// A key that stands alone.
    fn single(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.namespace)
    }
}

impl RedisBroker {
    /// Connects and takes a lease. `namespace` begins every key.
    ///
    /// # Errors
    /// [`ConnectError`]: one sentence that says what is wrong with the setting or the server.
    pub async fn connect(url: &RedisUrl, namespace: &str) -> Result<Arc<Self>, ConnectError> {
        let parts = Arc::new(Parts {
            connection: Connection::open(url).await?,
            keys: Keys {
                namespace: namespace.to_owned(),
            },
            node: hex(&random::bytes::<8>()),
            counts: Mutex::default(),
            others: Mutex::default(),
        });
        parts.renew().await.map_err(ConnectError::refused)?;
        let holder = parts.clone();
        let task = tokio::spawn(async move { holder.hold_lease().await });
        Ok(Arc::new(Self {
            parts,
            _lease: AbortOnDropHandle::new(task),
        }))
    }
}

/// Locks; the states behind are valid between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer of Redis that the scripts never give.
fn unexpected(what: &'static str) -> BrokerError {
    BrokerError::Unavailable(format!("redis answered with an unexpected {what}"))
}

#[async_trait]
impl Admission for RedisBroker {
    async fn put_connect_token(
        &self,
        hash: TokenHash,
        user: UserId,
        expires_at: UnixMs,
    ) -> Result<(), BrokerError> {
        tokens::put(&self.parts, &hash, user, expires_at).await
    }

    async fn check(&self) -> Result<(), BrokerError> {
        self.parts.renew().await
    }

    async fn take_connect_token(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<UserId>, BrokerError> {
        tokens::take(&self.parts, hash, now).await
    }
}

#[async_trait]
impl Limits for RedisBroker {
    async fn take(
        &self,
        rule: LimitRule,
        key: &[u8; 16],
        now: UnixMs,
    ) -> Result<Grant, BrokerError> {
        limits::take(&self.parts, rule, key, now).await
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

    async fn set_paused(
        &self,
        ticket: TicketId,
        is_paused: bool,
    ) -> Result<Option<Ticket>, BrokerError> {
        queue::set_paused(&self.parts, ticket, is_paused).await
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
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<(), BrokerError> {
        log::open(&self.parts, chat, &seed).await
    }

    async fn append(
        &self,
        chat: ChatId,
        epoch: u32,
        draft: &Draft,
    ) -> Result<Appended, BrokerError> {
        log::append(&self.parts, chat, epoch, draft).await
    }

    async fn read_log(
        &self,
        chat: ChatId,
        epoch: u32,
        after: u64,
    ) -> Result<Option<Vec<StoredMessage>>, BrokerError> {
        log::read(&self.parts, chat, epoch, after).await
    }

    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError> {
        log::close(&self.parts, chat).await
    }
}

#[cfg(test)]
mod tests;
