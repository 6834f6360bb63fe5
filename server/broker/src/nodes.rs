//! What nodes know of each other and tell each other.
//!
//! A notice makes things quick, never right: it may come twice, late, or not at all, and each receiver
//! finds out by itself (a look at the log, at the seat, at the queue) what it has missed. The notices
//! of one sender to one receiver come in the order in which they were told.

use async_trait::async_trait;
use nowrong_core::{
    node::{NodeId, NodeStatus, NodeView},
    record::Notice,
};
use nowrong_protocol::UserId;

use super::BrokerError;

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
