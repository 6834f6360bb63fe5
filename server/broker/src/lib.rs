//! Coordination between nodes: connect tokens, limits, queues, presence counts, the chat log with
//! its sequencing, and notices between nodes.
//!
//! These traits belong to their consumers (`api`, `chat` and `matching` of the server);
//! adapters live below in `broker/` and pass the suite in `conformance`. The broker makes things
//! fast, the store is authoritative: a broker that forgets everything costs waiting people their
//! place and nothing else. Each method is one atomic step; dropping a future leaves its step done
//! or not done.

#![forbid(unsafe_code)]

use std::time::Duration;

use async_trait::async_trait;
use nowrong_base::privacy::Network;
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
mod deposits;
pub mod local;
mod nodes;

pub use counts::{COUNTED_CATEGORIES_MAX, Chatting};
pub use deposits::{DEPOSITS_MAX, Deposit, Deposits};
pub use nodes::{Inbox, Nodes};

/// Why a call to the broker failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Not reachable; the same call may succeed later.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// A named bound is reached; nothing was done.
    #[error("the broker is full: {0}")]
    Full(&'static str),
}

/// All traits of a broker.
pub trait Broker: Admission + Limits + Queue + Presence + Log + Nodes + Deposits {}
impl<T: Admission + Limits + Queue + Presence + Log + Nodes + Deposits> Broker for T {}

/// Identifies the memory of the broker: another memory may have forgotten everything. For a local
/// broker it is one process; for Redis it is the replication id of the master, which changes with
/// every restart and failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation(pub String);

/// Connect tokens: issued by one node's REST side, used once at any node.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Stores a token by its hash for `lifetime`, at least 1 ms. A broker with a clock of its own
    /// counts by that one, any other from `now`.
    async fn put_connect_token(
        &self,
        hash: TokenHash,
        user: UserId,
        lifetime: Duration,
        now: UnixMs,
    ) -> Result<(), BrokerError>;

    /// Whether the broker responds right now.
    async fn check(&self) -> Result<(), BrokerError>;

    /// Removes the token and returns its user, unless it is unknown, used or expired: by the clock by
    /// which it was stored.
    async fn take_connect_token(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<UserId>, BrokerError>;
}

/// A limit and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// Name for metrics, such as `register`.
    pub name: &'static str,
    /// How many units are allowed, at once and over time.
    pub rate: Rate,
}

impl LimitRule {
    /// The same for a network with this many shares.
    pub fn of_shares(self, share: u32) -> Self {
        let burst = self.rate.burst.saturating_mul(share);
        Self {
            rate: Rate { burst, ..self.rate },
            ..self
        }
    }
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

    /// Takes one unit of `rule` for each of these networks, the narrowest first, until one has none: what a network
    /// wants in vain is not taken from those around it.
    async fn take_of_all(
        &self,
        rule: LimitRule,
        networks: &[Network],
        now: UnixMs,
    ) -> Result<Grant, BrokerError> {
        for network in networks {
            let taken = self.take(rule.of_shares(network.share), &network.key, now);
            match taken.await? {
                Grant::Granted => {}
                refused => return Ok(refused),
            }
        }
        Ok(Grant::Granted)
    }
}

/// The queues of waiting people. The store's seats decide; the queue only proposes.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Tries the waiting tickets of the category: takes the best acceptable one out and offers it,
    /// or enters `ticket`. A user has at most one ticket: an older one is replaced.
    async fn join(&self, ticket: Ticket, now: UnixMs) -> Result<Joined, BrokerError>;

    /// Tries again for a waiting ticket, at the stage that it has reached by now; on an offer both
    /// tickets are out of the queue. `None` when it no longer waits (matched, cancelled, paused).
    async fn retry(&self, ticket: TicketId, now: UnixMs) -> Result<Option<Retried>, BrokerError>;

    /// Puts back a ticket whose offer failed, with its old time.
    async fn requeue(&self, ticket: Ticket) -> Result<(), BrokerError>;

    /// Takes a ticket out for good. `false` when it was not in the queue: a match came first.
    async fn cancel(&self, ticket: TicketId) -> Result<bool, BrokerError>;

    /// Takes out the ticket of a user who is on this node now, whichever node entered it. A broker
    /// of a single node may return none.
    async fn take_out(&self, user: UserId) -> Result<Option<Ticket>, BrokerError>;

    /// Takes a ticket out of matching while its user has no connection, or back in. `None` when it
    /// is not in the queue.
    async fn set_paused(
        &self,
        ticket: TicketId,
        is_paused: bool,
    ) -> Result<Option<Ticket>, BrokerError>;

    /// At most `limit` tickets of this node in the queue, ordered by id, after `after`. A broker
    /// inside the node never loses a reply, so no ticket can be left over: it returns none.
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

/// Counts of people.
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

/// The data that a log needs to continue from the store.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSeed {
    /// The epoch that begins now.
    pub epoch: Epoch,
    /// The client message ids of all surviving messages with their positions, to recognise
    /// repetitions: each position is the one that `locate` finds for its seq in the epochs of the
    /// chat.
    pub known: Vec<KnownMessage>,
    /// The memory that had no such log before the epoch began; `None` for the first epoch of a new
    /// chat.
    pub incarnation: Option<Incarnation>,
}

/// The outcome of [`Log::append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The message has this position.
    New(Position),
    /// The message was appended before, at this position and time.
    Again(Position, UnixMs),
    /// The chat has reached its maximum number of messages.
    Full,
    /// This memory has no log of this chat in this epoch.
    NoLog(Incarnation),
}

/// The result of an append, and the nodes that must learn of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What became of the message.
    pub outcome: AppendOutcome,
    /// The other live nodes that follow the chat.
    pub elsewhere: Vec<NodeId>,
}

/// Most messages that one read of a log returns.
pub const READ_MAX: usize = 256;

/// The outcome of [`Log::read_log`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// The messages after the requested seq.
    Messages {
        /// Ascending without a gap, at most [`READ_MAX`].
        messages: Vec<StoredMessage>,
        /// The newest seq that the log has assigned, or its base.
        head: u64,
        /// Whether the first of them is no longer held here; then `messages` is empty, and the
        /// store has it.
        is_trimmed: bool,
    },
    /// This memory has no log of this chat in this epoch.
    NoLog(Incarnation),
}

/// The result of reading a log, and the other nodes that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The messages, or that there is no log.
    pub outcome: LogRead,
    /// The other live nodes that follow the chat.
    pub elsewhere: Vec<NodeId>,
}

/// The log of each chat: assigns positions and recognises messages that are sent again. The
/// messages themselves are kept by their node and the store. A log belongs to the memory
/// ([`Incarnation`]) in which it was opened: in any other memory it counts as missing, whatever is
/// left of it.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Opens the log of a chat: action `Seed`. Only the node that began the epoch calls it.
    /// `false`: refused, because this memory is not the one that the seed names, or has a log of
    /// this or a newer epoch. Otherwise this node follows the chat from now on.
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<bool, BrokerError>;

    /// Appends one message at the next seq of `epoch`, unless it is known: action `Append`. Without
    /// `takes_new` a message that is not known is [`AppendOutcome::Full`]. This node follows the chat from now on.
    async fn append(
        &self,
        chat: ChatId,
        epoch: u32,
        draft: &Draft,
        takes_new: bool,
    ) -> Result<Placed, BrokerError>;

    /// Reads on after a seq: action `CheckLog`, for a node that missed a message. This node follows
    /// the chat from now on.
    async fn read_log(&self, chat: ChatId, epoch: u32, after: u64) -> Result<Reading, BrokerError>;

    /// This node no longer follows the chat.
    async fn unfollow(&self, chat: ChatId) -> Result<(), BrokerError>;

    /// Forgets the log of a chat.
    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError>;
}
