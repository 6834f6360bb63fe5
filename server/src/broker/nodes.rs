//! What nodes know of each other and tell each other.
//!
//! A notice makes things quick, never right: it may come twice, late, or not at all, and each receiver
//! finds out by itself (a look at the log, at the seat, at the queue) what it has missed. The notices
//! of one sender to one receiver come in the order in which they were told.

use async_trait::async_trait;
use nowrong_protocol::{
    ChatId, CloseCode, ErrorCode, Position, TicketId, UserId,
    frame::{PresenceState, SeatState},
};
use serde::{Deserialize, Serialize};

use super::{BrokerError, NodeId};
use crate::store::{ChatEnd, StoredMessage, UnixMs};

/// What one node tells another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// A message has a position. Its body is sealed.
    Message(StoredMessage),
    /// All messages of the chat up to this position are durable.
    Durable {
        /// The chat.
        chat: ChatId,
        /// The newest of them.
        position: Position,
    },
    /// The teller follows the chat from now on.
    Follows {
        /// The chat.
        chat: ChatId,
    },
    /// A message was deleted.
    Deleted {
        /// The chat.
        chat: ChatId,
        /// Where it stands.
        position: Position,
    },
    /// The chat has ended.
    Ended {
        /// The chat.
        chat: ChatId,
        /// How.
        end: ChatEnd,
    },
    /// What a member does: the latest wins.
    Signal {
        /// The chat.
        chat: ChatId,
        /// Index of the member.
        member: u8,
        /// What.
        signal: Signal,
    },
    /// Two tickets have become a chat.
    Matched {
        /// The ticket of a user of the node that is told.
        ticket: TicketId,
        /// That user.
        user: UserId,
        /// The chat.
        chat: ChatId,
    },
    /// An offer failed: the ticket goes back, or ends.
    TicketBack {
        /// The ticket of a user of the node that is told.
        ticket: TicketId,
        /// That user.
        user: UserId,
        /// Why it ends; `None` when it waits on.
        end: Option<ErrorCode>,
    },
    /// Another connection speaks for the user now, or the account is gone.
    Kick {
        /// The user.
        user: UserId,
        /// What the connection that is closed is told.
        code: CloseCode,
    },
    /// The account is being erased: the user's ticket ends and the connection closes.
    Depart {
        /// The user.
        user: UserId,
    },
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// The member's seat.
    Seat {
        /// Taken, held or free.
        state: SeatState,
        /// Until when it is held.
        held_until: UnixMs,
    },
    /// How far the member has come.
    Cursors {
        /// The newest message that has reached the member.
        delivered: Position,
        /// The newest message that the member has read.
        read: Position,
    },
    /// Whether the member writes.
    Typing(bool),
    /// Whether the member looks at the chat.
    Presence(PresenceState),
}

/// Where clients reach a node: what `POST /v1/connect` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEndpoint {
    /// URL of its WebTransport, if it has one.
    pub webtransport: Option<String>,
    /// URL of its WebSocket; empty for a node that takes no clients.
    pub websocket: String,
    /// Hash of its development certificate.
    pub certificate_hash: Option<String>,
}

/// What a node tells of itself to those who place clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Where clients reach it.
    pub endpoint: NodeEndpoint,
    /// Most users that may be connected to it.
    pub capacity: u32,
    /// It is about to stop: no new clients.
    pub is_draining: bool,
}

/// A node as those who place clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The node.
    pub id: NodeId,
    /// Users that are connected to it.
    pub connected: u32,
    /// What it tells of itself.
    pub status: NodeStatus,
}

impl NodeView {
    /// Whether new clients may be sent to it.
    pub fn takes_clients(&self) -> bool {
        let status = &self.status;
        !status.is_draining
            && !status.endpoint.websocket.is_empty()
            && self.connected < status.capacity
    }
}

/// What has come for this node.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbox {
    /// Notices with their tellers, in the order in which each of them told.
    Notices(Vec<(NodeId, Notice)>),
    /// Notices may have been lost: the broker restarted or failed over, too many came, or this node
    /// was away. Look at everything.
    Lost,
}

/// The nodes of a cluster and their inboxes.
#[async_trait]
pub trait Nodes: Send + Sync + 'static {
    /// This node.
    fn id(&self) -> NodeId;

    /// What the others are told of this node with the next renewal of its lease.
    fn set_status(&self, status: NodeStatus);

    /// The live nodes, this one too, as of the last renewal: at most a second old. No IO.
    fn nodes(&self) -> Vec<NodeView>;

    /// Hands the notice to a bounded queue for each of these nodes, at once. A task writes it into
    /// their inboxes, and tries again for as long as a lease lasts. A notice for which there is no
    /// room is dropped and counted.
    fn tell(&self, nodes: &[NodeId], notice: Notice);

    /// Waits for what comes to this node. One caller.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped: the next call brings it.
    async fn receive(&self) -> Inbox;

    /// The user is connected to this node from now on; answers where the user was before, if that is
    /// another live node.
    async fn take_place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError>;

    /// The live node to which the user is connected.
    async fn place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError>;

    /// The user left this node, unless another node has the place by now.
    async fn leave_place(&self, user: UserId) -> Result<(), BrokerError>;
}
