//! What all connections of a node share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    chat::Chats, config::Addresses, environment::Environment, hub::Hub, matching::Matching,
    transport::door::Door,
};

/// What a node allows its clients.
pub struct NodeRules {
    /// What clients are told, and which web origins may connect.
    pub addresses: Addresses,
    /// Most connections at once.
    pub connections_max: usize,
    /// Who may come in.
    pub door: Arc<Door>,
    /// Whether links that lose packets get copies.
    pub has_fast_path: bool,
}

/// One server process as its connections see it.
pub struct Node {
    env: Environment,
    hub: Arc<Hub>,
    chats: Arc<Chats>,
    matching: Arc<Matching>,
    rules: NodeRules,
    connections: AtomicUsize,
    links: TaskTracker,
    spread_ms: AtomicU32,
    drain: CancellationToken,
    halt: CancellationToken,
}

impl Node {
    /// A node without connections.
    pub fn new(
        env: Environment,
        hub: Arc<Hub>,
        chats: Arc<Chats>,
        matching: Arc<Matching>,
        rules: NodeRules,
    ) -> Arc<Self> {
        Arc::new(Self {
            env,
            hub,
            chats,
            matching,
            rules,
            connections: AtomicUsize::new(0),
            links: TaskTracker::new(),
            spread_ms: AtomicU32::new(0),
            drain: CancellationToken::new(),
            halt: CancellationToken::new(),
        })
    }

    /// Whether a client of this web origin may connect. No origin means no browser: such a client
    /// proves itself by its connect token alone, as every client does.
    pub fn is_origin_allowed(&self, origin: Option<&str>) -> bool {
        self.rules.addresses.allows(origin)
    }

    /// Who may come in.
    pub fn door(&self) -> &Arc<Door> {
        &self.rules.door
    }

    /// Whether links that lose packets get copies of their live lane.
    pub fn has_fast_path(&self) -> bool {
        self.rules.has_fast_path
    }

    /// Store, broker, clock and metrics.
    pub fn env(&self) -> &Environment {
        &self.env
    }

    /// Users of the node.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Chats of the node.
    pub fn chats(&self) -> &Arc<Chats> {
        &self.chats
    }

    /// Tickets of the node.
    pub fn matching(&self) -> &Arc<Matching> {
        &self.matching
    }

    /// The tasks of all links, to spawn one more or to wait for them.
    pub fn links(&self) -> &TaskTracker {
        &self.links
    }

    /// How many users are connected.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Tells every client to go away, spread over this time, and admits no new one.
    pub fn drain(&self, spread: Duration) {
        let spread_ms = u32::try_from(spread.as_millis()).unwrap_or(u32::MAX);
        self.spread_ms.store(spread_ms, Ordering::Relaxed);
        self.drain.cancel();
    }

    /// Whether there is another node where clients can go.
    pub fn has_elsewhere(&self) -> bool {
        let own = self.env.broker.id();
        let nodes = self.env.broker.nodes();
        nodes
            .iter()
            .any(|node| node.id != own && node.takes_clients())
    }

    /// Over how many milliseconds the clients of a node that goes away are spread.
    pub(crate) fn spread_ms(&self) -> u32 {
        self.spread_ms.load(Ordering::Relaxed)
    }

    /// Whether the node is going away.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Ends every connection.
    pub fn halt(&self) {
        self.halt.cancel();
    }

    /// Cancelled when the node goes away.
    pub fn draining(&self) -> CancellationToken {
        self.drain.clone()
    }

    pub(crate) fn halting(&self) -> CancellationToken {
        self.halt.clone()
    }

    /// Counts a connection, unless there are as many as there may be.
    pub(crate) fn enter(&self) -> bool {
        let is_room = self.connections.fetch_add(1, Ordering::Relaxed) < self.rules.connections_max;
        if !is_room {
            self.leave();
        }
        is_room
    }

    pub(crate) fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
