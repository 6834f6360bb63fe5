//! Coordination between nodes: connect tokens, limits, queues, presence counts, the chat log with its
//! sequencing, and what nodes tell each other.
//!
//! These traits belong to their consumers ([`crate::api`], [`crate::chat`], [`crate::matching`]);
//! adapters live below in `broker/` and pass the suite in `conformance`. The broker is speed, the store is
//! truth: a broker that forgot everything costs waiting people their place and nothing else.
//! Each method is one atomic step; dropping a future leaves its step done or not done.

#![forbid(unsafe_code)]

use async_trait::async_trait;
use nowrong_core::{
    limiter::{Grant, Rate},
    matching::{Joined, Retried, Ticket},
    node::NodeId,
    record::{Draft, Epoch, KnownMessage, StoredMessage, TokenHash, UnixMs},
};
use nowrong_protocol::{ChatId, Position, TicketId, UserId};

#[cfg(feature = "conformance")]
pub mod conformance;
mod counts;
pub mod local;
mod nodes;

pub use counts::{COUNTED_CATEGORIES_MAX, Chatting};
pub use nodes::{Inbox, Nodes};

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
pub trait Broker: Admission + Limits + Queue + Presence + Log + Nodes {}
impl<T: Admission + Limits + Queue + Presence + Log + Nodes> Broker for T {}

/// Which memory of the broker answered: another one may have forgotten what was there. One process of
/// a local broker; one replication id of a Redis master, which is another after every restart and
/// failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation(pub String);

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

/// How much of something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// Name for metrics, such as `register`.
    pub name: &'static str,
    /// So many units at once, and then.
    pub rate: Rate,
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

    /// Takes the ticket of a user out, whichever node has entered it: the user is on this node now. A
    /// broker of a single node may know none.
    async fn take_out(&self, user: UserId) -> Result<Option<Ticket>, BrokerError>;

    /// Takes a ticket out of matching while its user has no connection, or back in. `None` when it
    /// is not there.
    async fn set_paused(
        &self,
        ticket: TicketId,
        is_paused: bool,
    ) -> Result<Option<Ticket>, BrokerError>;

    /// At most `limit` tickets that stand in the queue in the name of this node, by id, from behind
    /// `after`. A broker inside the node loses no answers, so that none can be left over: it says none.
    async fn own_tickets(
        &self,
        after: Option<TicketId>,
        limit: usize,
    ) -> Result<Vec<TicketId>, BrokerError> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

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
    /// The client message ids of all messages that survive, with their positions, for dedupe: each
    /// stands where `locate` finds its seq in the epochs of the chat.
    pub known: Vec<KnownMessage>,
    /// The memory in which there was no such log before the epoch began; `None` for the first epoch
    /// of a new chat.
    pub incarnation: Option<Incarnation>,
}

/// The outcome of [`Log::append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It has this position.
    New(Position),
    /// It was appended before, at this position and time.
    Again(Position, UnixMs),
    /// The chat has as many messages as it may have.
    Full,
    /// There is no log of this chat in this epoch in this memory.
    NoLog(Incarnation),
}

/// What an append did, and who must hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What became of the message.
    pub outcome: AppendOutcome,
    /// The other live nodes that follow the chat.
    pub elsewhere: Vec<NodeId>,
}

/// Most messages that one look at a log brings.
pub const READ_MAX: usize = 256;

/// The outcome of [`Log::read_log`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// What stands after the seq that was asked for.
    Messages {
        /// Ascending without a gap, at most [`READ_MAX`].
        messages: Vec<StoredMessage>,
        /// The newest seq that the log has given out, or its base.
        head: u64,
        /// The first of them is no longer held here, and `messages` is empty: the store has it.
        is_trimmed: bool,
    },
    /// There is no log of this chat in this epoch in this memory.
    NoLog(Incarnation),
}

/// What a log holds, and who else follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What was read.
    pub outcome: LogRead,
    /// The other live nodes that follow the chat.
    pub elsewhere: Vec<NodeId>,
}

/// The log of each chat: gives out positions and recognises what is sent again. The messages
/// themselves are their node's and the store's. A log belongs to the memory ([`Incarnation`]) in which
/// it was opened: in any other there is none, whatever is left of it.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Opens the log of a chat: action `Seed`. Only who began the epoch calls it. `false`: refused,
    /// since this memory is not the one that the seed names, or has a log of this or a newer epoch. If
    /// not refused, this node follows the chat from now on.
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<bool, BrokerError>;

    /// Appends one message at the next seq of `epoch`, unless it is known: action `Append`. This node
    /// follows the chat from now on.
    async fn append(&self, chat: ChatId, epoch: u32, draft: &Draft) -> Result<Placed, BrokerError>;

    /// Reads on after a seq: action `CheckLog`, for who missed a message. This node follows the chat
    /// from now on.
    async fn read_log(&self, chat: ChatId, epoch: u32, after: u64) -> Result<Reading, BrokerError>;

    /// This node no longer follows the chat.
    async fn unfollow(&self, chat: ChatId) -> Result<(), BrokerError>;

    /// Forgets the log.
    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError>;
}
