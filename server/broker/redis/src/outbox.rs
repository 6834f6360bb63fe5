//! What this node tells others: a bounded lane for each, and a task that writes what is in it into the
//! inbox, many notices in one pipeline. A lane waits for nobody else's inbox.
//!
//! A notice is one `XADD`. What cannot be written is tried again until [`LEASE`] is over, and may then
//! stand in the inbox twice; after that it is dropped and counted, as is what finds its lane full.

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
use tokio::{sync::mpsc, time::Instant};

use super::{connection::Connection, inbox::INBOX_MAX, lease::LEASE};

/// Most notices that wait for the way to one node: a second of a busy node's, some 8 MB when all of
/// them are long messages. What comes on top is dropped; the receiver's look at the log mends it.
pub const LANE_MAX: usize = 4_096;

/// Most nodes that are told things: what is for others is dropped.
const LANES_MAX: usize = 1_024;

/// Most notices in one pipeline.
const BATCH_MAX: usize = 256;

/// Pause after a pipeline that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A notice on its way.
struct Told {
    packed: Bytes,
    until: Instant,
}

/// The lanes to other nodes.
pub(super) struct Outbox {
    connection: Connection,
    lanes: Mutex<HashMap<NodeId, mpsc::Sender<Told>>>,
    dropped: Arc<AtomicU64>,
    /// How many of those a log line was written about.
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

    /// Hands a notice to the lane of a node, whose inbox is `key`.
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
        let is_taken = lanes
            .get(&node)
            .is_some_and(|lane| lane.try_send(told).is_ok());
        if !is_taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes the lanes to nodes that are no longer `live`, and says what was dropped.
    pub(super) fn tidy(&self, is_live: impl Fn(NodeId) -> bool) {
        // A lane that is still in use is opened again.
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

/// Writes what is in a lane until it is closed and empty.
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
