//! The notices to other nodes: a bounded lane for each node, and a task that writes its notices
//! into that node's inbox, many in one pipeline. Lanes do not wait for each other.
//!
//! A notice is one `XADD`. A notice that cannot be written is retried until [`LEASE`] is over, and
//! may then be in the inbox twice; after that it is dropped and counted, like a notice for a full
//! lane.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use nowrong_base::lock::lock;
use nowrong_core::node::NodeId;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

use super::{connection::Connection, inbox::INBOX_MAX, lease::LEASE};

/// Most notices that wait to be sent to one node: those of a second on a busy node, about 8 MB if
/// all of them are long messages. Further ones are dropped; the receiver makes up for them when it
/// looks at the log.
pub const LANE_MAX: usize = 4_096;

/// Most nodes that get notices: notices for further nodes are dropped.
const LANES_MAX: usize = 1_024;

/// Most notices in one pipeline.
const BATCH_MAX: usize = 256;

/// Pause after a failed pipeline.
const PAUSE: Duration = Duration::from_millis(100);

/// A notice under way.
struct Told {
    packed: Bytes,
    until: Instant,
}

/// The lanes to other nodes.
pub(super) struct Outbox {
    connection: Connection,
    lanes: Mutex<HashMap<NodeId, mpsc::Sender<Told>>>,
    dropped: Arc<AtomicU64>,
    /// How many of those have been reported in the log.
    said: AtomicU64,
}

impl Outbox {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            lanes: Mutex::default(),
            dropped: Arc::default(),
            said: AtomicU64::new(0),
        }
    }

    /// Puts a notice into the lane of a node, whose inbox is `key`.
    pub(super) fn tell(&self, node: NodeId, key: impl FnOnce() -> String, packed: Bytes) {
        let told = Told {
            packed,
            until: Instant::now() + LEASE,
        };
        let mut lanes = lock(&self.lanes);
        if !lanes.contains_key(&node) && lanes.len() < LANES_MAX {
            let (lane, notices) = mpsc::channel(LANE_MAX);
            let (connection, dropped) = (self.connection.clone(), self.dropped.clone());
            tokio::spawn(write_all(connection, key(), notices, dropped));
            lanes.insert(node, lane);
        }
        let sent = lanes.get(&node).map(|lane| lane.try_send(told));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(sent, Some(Err(TrySendError::Closed(_)))) {
            // Its task panicked: the next notice opens a new one.
            lanes.remove(&node);
        }
    }

    /// Closes the lanes to nodes that are no longer live, and logs how many notices were dropped.
    pub(super) fn tidy(&self, is_live: impl Fn(NodeId) -> bool) {
        // A lane that is still in use will be opened again.
        lock(&self.lanes).retain(|node, lane| is_live(*node) || lane.capacity() < LANE_MAX);
        let dropped = self.dropped();
        let before = self.said.swap(dropped, Ordering::Relaxed);
        if dropped > before {
            let count = dropped - before;
            tracing::warn!(count, "notices to other nodes were dropped");
        }
    }

    /// How many notices were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Writes the notices of a lane until it is closed and empty.
async fn write_all(
    connection: Connection,
    key: String,
    mut notices: mpsc::Receiver<Told>,
    dropped: Arc<AtomicU64>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while notices.recv_many(&mut batch, BATCH_MAX).await > 0 {
        loop {
            match connection.query_many("tell", &pipeline(&key, &batch)).await {
                Ok(_) => break,
                Err(error) => tracing::debug!(%error, "notices wait for redis"),
            }
            let (now, held) = (Instant::now(), batch.len());
            batch.retain(|told| told.until > now);
            dropped.fetch_add((held - batch.len()) as u64, Ordering::Relaxed);
            if batch.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        batch.clear();
    }
}

fn pipeline(key: &str, batch: &[Told]) -> redis::Pipeline {
    let mut pipeline = redis::pipe();
    for told in batch {
        let add = pipeline.cmd("XADD").arg(key).arg("NOMKSTREAM");
        let add = add.arg("MAXLEN").arg("~").arg(INBOX_MAX).arg("1-*");
        add.arg("m").arg(&told.packed[..]);
    }
    pipeline
}
