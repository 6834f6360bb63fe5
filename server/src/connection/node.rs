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
    broker::Broker, chat::Chats, clock::Clock, config::Addresses, hub::Hub, matching::Matching,
    store::Store, transport::door::Door,
};

/// What a [`Node`] is made of.
pub struct NodeParts {
    /// Users of the node.
    pub hub: Arc<Hub>,
    /// The durable truth.
    pub store: Arc<dyn Store>,
    /// Coordination.
    pub broker: Arc<dyn Broker>,
    /// Chats of the node.
    pub chats: Arc<Chats>,
    /// Tickets of the node.
    pub matching: Arc<Matching>,
    /// The time.
    pub clock: Clock,
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
    pub(super) hub: Arc<Hub>,
    pub(super) store: Arc<dyn Store>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) chats: Arc<Chats>,
    pub(super) matching: Arc<Matching>,
    pub(super) clock: Clock,
    addresses: Addresses,
    connections_max: usize,
    door: Arc<Door>,
    has_fast_path: bool,
    connections: AtomicUsize,
    links: TaskTracker,
    spread_ms: AtomicU32,
    drain: CancellationToken,
    halt: CancellationToken,
}

impl Node {
    /// A node without connections.
    pub fn new(parts: NodeParts) -> Arc<Self> {
        let NodeParts {
            hub,
            store,
            broker,
            chats,
            matching,
            clock,
            addresses,
            connections_max,
            door,
            has_fast_path,
        } = parts;
        Arc::new(Self {
            hub,
            store,
            broker,
            chats,
            matching,
            clock,
            addresses,
            connections_max,
            door,
            has_fast_path,
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
        self.addresses.allows(origin)
    }

    /// Who may come in.
    pub fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Whether links that lose packets get copies of their live lane.
    pub fn has_fast_path(&self) -> bool {
        self.has_fast_path
    }

    /// Coordination with the other nodes.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
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
        let own = self.broker.id();
        let nodes = self.broker.nodes();
        nodes
            .iter()
            .any(|node| node.id != own && node.takes_clients())
    }

    /// Over how many milliseconds the clients of a node that goes away are spread.
    pub(super) fn spread_ms(&self) -> u32 {
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

    pub(super) fn halting(&self) -> CancellationToken {
        self.halt.clone()
    }

    /// Counts a connection, unless there are as many as there may be.
    pub(super) fn enter(&self) -> bool {
        let is_room = self.connections.fetch_add(1, Ordering::Relaxed) < self.connections_max;
        if !is_room {
            self.leave();
        }
        is_room
    }

    pub(super) fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
