//! Stopping: no new clients are admitted, the present ones are sent away, the last messages become
//! durable.

use std::time::Duration;

use nowrong_protocol::{CloseCode, limits::CLOSE_DEADLINE};
use tokio::time::timeout;

use super::Running;

/// Time until all nodes know that this one goes away: they learn it from the renewals of two
/// leases.
const NEWS_SPREAD: Duration = Duration::from_millis(2_200);

/// How long a single node waits for its clients to leave by themselves: it has nowhere to send
/// them, and they come back when it has restarted.
const SINGLE_NODE_DRAIN: Duration = Duration::from_secs(2);

/// Time over which the clients of a single node come back, so that they do not all come at once.
const SINGLE_NODE_SPREAD: Duration = Duration::from_secs(1);

/// How long the last writes may take after all connections have closed.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

impl Running {
    /// Stops: refuses new clients, sends the others away, and closes the store when every message is
    /// durable. Takes at most the configured `drain` and a few seconds ([`NEWS_SPREAD`] and the deadlines
    /// of the last closes and writes).
    pub async fn stop(self) {
        tracing::info!(connections = self.node.connections(), "stopping");
        let patience = self.send_away().await;
        self.node.links().close();
        if timeout(patience, self.node.links().wait()).await.is_err() {
            self.node.halt();
            let _ = timeout(CLOSE_DEADLINE * 2, self.node.links().wait()).await;
        }
        self.stop.cancel();
        if let Some(endpoint) = &self.endpoint {
            endpoint.close(u32::from(CloseCode::GOING_AWAY.0).into(), b"going away");
            let _ = timeout(CLOSE_DEADLINE, endpoint.wait_idle()).await;
        }
        let _ = timeout(FLUSH_DEADLINE, self.flush()).await;
        tracing::info!("stopped");
    }

    /// Asks the clients to leave; returns how long they may take. Other nodes, if any, are told
    /// first, so that no client is sent here and refused.
    async fn send_away(&self) -> Duration {
        self.announcer.leave();
        if self.addresses.has_peers {
            tokio::time::sleep(NEWS_SPREAD).await;
        }
        // Checked only now: meanwhile a node that has just started has become visible, and others
        // may be leaving too.
        if !self.node.has_elsewhere() {
            self.node.drain(SINGLE_NODE_SPREAD);
            return self.drain.min(SINGLE_NODE_DRAIN);
        }
        self.node.drain(self.drain / 2);
        self.drain
    }

    async fn flush(&self) {
        self.node.matching().settled().await;
        self.node.chats().tick().await;
        self.stop_persist.cancel();
        self.tasks.wait().await;
        self.node.env().store.close().await;
    }
}
