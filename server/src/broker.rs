//! Coordination between nodes: connect tokens, limits, queues, presence counts, and the chat log
//! with its sequencing.
//!
//! These traits belong to their consumers ([`crate::api`], [`crate::chat`], [`crate::matching`]);
//! adapters live below in `broker/` and pass the suite in `conformance`. The broker is speed, the store is
//! truth: a broker that forgot everything costs waiting people their place and nothing else.
//! Each method is one atomic step; dropping a future leaves its step done or not done.

use async_trait::async_trait;
use bytes::Bytes;
use nowrong_protocol::{ChatId, ClientMessageId, Position, TicketId, UserId};

pub use nowrong_core::{
    limiter::Grant,
    matching::{Joined, Offer, Retried, Ticket},
};

use crate::store::{Epoch, StoredMessage, TokenHash, UnixMs};

#[cfg(test)]
pub(crate) mod conformance;
mod counts;
pub mod local;
pub mod redis;

pub use counts::CATEGORIES_MAX;

/// Why the broker could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Not reachable; the same call may succeed later.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// A named bound is reached; what was asked was not done.
    #[error("the broker is full: {0}")]
    Full(&'static str),
}

/// All of it.
pub trait Broker: Admission + Limits + Queue + Presence + Log {}
impl<T: Admission + Limits + Queue + Presence + Log> Broker for T {}

/// Connect tokens: issued by one node's REST side, used once at any node.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Stores a token by its hash until `expires_at`.
    async fn put_connect_token(
        &self,
        hash: TokenHash,
        user: UserId,
        expires_at: UnixMs,
    ) -> Result<(), BrokerError>;

    /// Whether the broker answers right now.
    async fn check(&self) -> Result<(), BrokerError>;

    /// Removes the token and answers whose it was, unless it is unknown, used or expired.
    async fn take_connect_token(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<UserId>, BrokerError>;
}

/// How much of something is allowed: `burst` at once, then `burst` per `period_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// Name for metrics, such as `register`.
    pub name: &'static str,
    /// Units allowed in a period.
    pub burst: u32,
    /// Length of the period in milliseconds.
    pub period_ms: u64,
}

/// Limits shared by all nodes.
#[async_trait]
pub trait Limits: Send + Sync + 'static {
    /// Takes one unit of `rule` for `key` (a pseudonym, never an address). When the table of keys is
    /// full the unit is refused.
    async fn take(
        &self,
        rule: LimitRule,
        key: &[u8; 16],
        now: UnixMs,
    ) -> Result<Grant, BrokerError>;
}

/// The queues of people who wait. The store's seats decide; this only proposes.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Tries the waiting tickets of the category; takes the best acceptable one out and offers it,
    /// or enters `ticket`. A user has at most one ticket: an older one is replaced.
    async fn join(&self, ticket: Ticket, now: UnixMs) -> Result<Joined, BrokerError>;

    /// Tries again for a waiting ticket with the stage it has reached by now; on an offer both are
    /// out of the queue. `None` when it is no longer there (matched, cancelled, paused).
    async fn retry(&self, ticket: TicketId, now: UnixMs) -> Result<Option<Retried>, BrokerError>;

    /// Puts back a ticket whose offer failed, with its old time.
    async fn requeue(&self, ticket: Ticket) -> Result<(), BrokerError>;

    /// Takes a ticket out for good. `false` when it was not there: a match won.
    async fn cancel(&self, ticket: TicketId) -> Result<bool, BrokerError>;

    /// Takes a ticket out of matching while its user has no connection, or back in. `None` when it
    /// is not there.
    async fn set_paused(
        &self,
        ticket: TicketId,
        is_paused: bool,
    ) -> Result<Option<Ticket>, BrokerError>;

    /// How many tickets wait in a category.
    async fn waiting(&self, category: &str) -> Result<u32, BrokerError>;
}

/// People of one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting or in a chat of it.
    pub online: u32,
    /// Waiting.
    pub waiting: u32,
}

/// How many people are where.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Counts `people` more (or fewer) in chats of a category on this node.
    async fn count_chatting(&self, category: &str, people: i32) -> Result<(), BrokerError>;

    /// Counts one more (or fewer) connected user on this node.
    async fn count_connected(&self, users: i32) -> Result<(), BrokerError>;

    /// The counts of a category.
    async fn counts(&self, category: &str) -> Result<Counts, BrokerError>;

    /// Connected users of all nodes.
    async fn connected(&self) -> Result<u32, BrokerError>;
}

/// What a log needs to go on where the store stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSeed {
    /// The epoch that begins now.
    pub epoch: Epoch,
    /// The client message ids of all stored messages, with their positions, for dedupe.
    pub known: Vec<KnownMessage>,
}

/// A stored message that the log must recognise when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownMessage {
    /// Index of the sender.
    pub member: u8,
    /// The sender's id.
    pub client_message_id: ClientMessageId,
    /// Where it stands.
    pub position: Position,
    /// When the server took it.
    pub at: UnixMs,
}

/// A message on its way into a log: all of it but its position. Its body is sealed, so that no copy
/// that a broker makes outlives the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Index of the sender.
    pub member: u8,
    /// The sender's id of the message.
    pub client_message_id: ClientMessageId,
    /// When the server took it.
    pub at: UnixMs,
    /// The message it answers.
    pub reply_to: Option<Position>,
    /// The sealed body.
    pub sealed: Bytes,
    /// When it is erased.
    pub expires_at: UnixMs,
}

impl Draft {
    /// The message at its position.
    pub fn placed(self, chat: ChatId, position: Position) -> StoredMessage {
        let Self {
            member,
            client_message_id,
            at,
            reply_to,
            sealed,
            expires_at,
        } = self;
        StoredMessage {
            chat,
            position,
            member,
            client_message_id,
            at,
            reply_to,
            sealed,
            is_deleted: false,
            expires_at,
        }
    }
}

/// The outcome of [`Log::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It has this position.
    New(Position),
    /// It was appended before, at this position and time.
    Again(Position, UnixMs),
    /// The chat has as many messages as it may have.
    Full,
    /// There is no log of this chat in this epoch: open it from the store.
    NoLog,
}

/// Most messages that one look at a log brings.
pub const READ_MAX: usize = 256;

/// The log of each chat: gives out positions and recognises what is sent again. The messages
/// themselves are their node's and the store's.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Opens the log of a chat, unless one of the same or a newer epoch is open.
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<(), BrokerError>;

    /// Appends one message at the next seq of `epoch`, unless it is known.
    async fn append(
        &self,
        chat: ChatId,
        epoch: u32,
        draft: &Draft,
    ) -> Result<Appended, BrokerError>;

    /// The messages after a seq that the log still holds, ascending without a gap, at most
    /// [`READ_MAX`]; for who missed one. `None` when there is no log of this chat in this epoch. A
    /// broker of a single node may hold none: its node misses none.
    async fn read_log(
        &self,
        chat: ChatId,
        epoch: u32,
        after: u64,
    ) -> Result<Option<Vec<StoredMessage>>, BrokerError>;

    /// Forgets the log.
    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError>;
}
