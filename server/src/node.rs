//! The state that all connections of a node share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{chat::Chats, environment::Environment, hub::Hub, matching::Matching};

mod presence;

pub use presence::presence_interval;

/// One server process as its connections see it.
pub struct Node {
    env: Environment,
    hub: Arc<Hub>,
    chats: Arc<Chats>,
    matching: Arc<Matching>,
    connections_max: usize,
    connections: AtomicUsize,
    /// Whether the accounts of all connections are to be looked at.
    is_look_due: AtomicBool,
    links: TaskTracker,
    spread_ms: AtomicU32,
    drain: CancellationToken,
    halt: CancellationToken,
}

impl Node {
    /// A node without connections, which accepts at most this many.
    pub fn new(
        env: Environment,
        hub: Arc<Hub>,
        chats: Arc<Chats>,
        matching: Arc<Matching>,
        connections_max: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            env,
            hub,
            chats,
            matching,
            connections_max,
            connections: AtomicUsize::new(0),
            is_look_due: AtomicBool::new(false),
            links: TaskTracker::new(),
            spread_ms: AtomicU32::new(0),
            drain: CancellationToken::new(),
            halt: CancellationToken::new(),
        })
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

    /// The time over which the clients of a node that goes away are spread, in milliseconds.
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

    /// Counts a connection, unless the node is full.
    pub(crate) fn enter(&self) -> bool {
        let is_room = self.connections.fetch_add(1, Ordering::Relaxed) < self.connections_max;
        if !is_room {
            self.leave();
        }
        is_room
    }

    pub(crate) fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
