//! What nodes know of each other, and the notices between them.
//!
//! A notice makes things fast, but correctness never depends on it: it may come twice, late, or not
//! at all, and each receiver finds out by itself (from the log, the seat, the queue) what it has
//! missed. The notices of one sender to one receiver arrive in the order in which they were sent.

use async_trait::async_trait;
use nowrong_core::{
    node::{NodeId, NodeStatus, NodeView},
    record::{Notice, UnixMs},
};
use nowrong_protocol::UserId;

use super::BrokerError;

/// News for this node.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbox {
    /// Notices with their senders, in each sender's order.
    Notices(Vec<(NodeId, Notice)>),
    /// Notices may have been lost: the broker restarted or failed over, too many came, or this node
    /// was away. Check everything.
    Lost,
}

/// The nodes of a cluster and their inboxes.
#[async_trait]
pub trait Nodes: Send + Sync + 'static {
    /// This node.
    fn id(&self) -> NodeId;

    /// Sets the status that other nodes get with the next renewal of this node's lease.
    fn set_status(&self, status: NodeStatus);

    /// The live nodes, including this one, as of the last renewal: at most a second old. No IO.
    fn nodes(&self) -> Vec<NodeView>;

    /// Puts the notice into a bounded queue for each of these nodes and returns at once. A task
    /// writes it into their inboxes, and retries for as long as a lease lasts. A notice for which
    /// there is no room is dropped and counted.
    fn tell(&self, nodes: &[NodeId], notice: Notice);

    /// The broker's own clock; `None`: it has none.
    async fn time(&self) -> Result<Option<UnixMs>, BrokerError> {
        Ok(None)
    }

    /// Sets how far this node's time is ahead of the broker's clock, in milliseconds: other nodes get
    /// it with the next renewal of the lease.
    fn set_ahead(&self, ahead_ms: i64) {
        let _ = ahead_ms;
    }

    /// How far each of the other live nodes is ahead of the broker's clock by its own account, as of
    /// the last renewal. No IO.
    fn aheads(&self) -> Vec<(NodeId, i64)> {
        Vec::new()
    }

    /// Waits for news for this node. There is one caller.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped: the next call brings it.
    async fn receive(&self) -> Inbox;

    /// Notes that the user is connected to this node from now on; returns the user's previous node,
    /// if that is another live node.
    async fn take_place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError>;

    /// The live node to which the user is connected.
    async fn place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError>;

    /// Notes that the user left this node, unless another node has the place by now.
    async fn leave_place(&self, user: UserId) -> Result<(), BrokerError>;
}
