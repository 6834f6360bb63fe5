//! Socket.IO as most people use it, at its best: WebSocket only, no compression, one ack per message.

use async_trait::async_trait;

use super::{Place, Running, Target, cluster};
use crate::{dialect, drive::Peer, process::Process, wire::Wire};

/// Socket.IO 4.8.4 on Node.js, without TLS.
pub(super) enum SocketIo {
    /// One process.
    Alone,
    /// Two nodes, connected by the Redis adapter and a Redis; partners are on different nodes.
    Redis,
}

/// How many nodes the target with Redis has.
const NODES: usize = 2;

#[async_trait(?Send)]
impl Target for SocketIo {
    fn name(&self) -> &'static str {
        match self {
            Self::Alone => "socketio",
            Self::Redis => "socketio-redis",
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::Alone => {
                "Socket.IO 4.8.4 on Node.js: WebSocket only, no compression, no TLS, an ack per message"
            }
            Self::Redis => {
                "the same on two nodes with its Redis adapter, partners on different nodes"
            }
        }
    }

    fn is_cluster(&self) -> bool {
        matches!(self, Self::Redis)
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let mut running = RunningSocketIo::default();
        let (nodes, redis) = match self {
            Self::Alone => (1, None),
            Self::Redis => (NODES, Some(running.start_redis(place).await?)),
        };
        for number in 0..nodes {
            running.start_node(place, number, redis.as_deref()).await?;
        }
        Ok(Box::new(running))
    }
}

#[derive(Default)]
struct RunningSocketIo {
    processes: Vec<Process>,
    urls: Vec<String>,
}

impl RunningSocketIo {
    /// Starts a Redis; returns its URL.
    async fn start_redis(&mut self, place: &Place) -> anyhow::Result<String> {
        let (process, url) = cluster::start_redis(place, "socketio-redis-server").await?;
        self.processes.push(process);
        Ok(url)
    }

    async fn start_node(
        &mut self,
        place: &Place,
        number: usize,
        redis: Option<&str>,
    ) -> anyhow::Result<()> {
        let script = place.socketio.join("server.mjs");
        let address = place.side.address.to_string();
        let mut command = vec!["node".into(), script.into(), address.into()];
        command.extend(redis.map(Into::into));
        let program = place.program(&format!("socketio-{number}"), command);
        let process = Process::start(&program).await?;
        let address = process.field("address")?;
        self.urls.push(format!(
            "ws://{address}/socket.io/?EIO=4&transport=websocket"
        ));
        self.processes.push(process);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Running for RunningSocketIo {
    fn processes(&self) -> Vec<&Process> {
        self.processes.iter().collect()
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let url = &self.urls[user as usize % self.urls.len()];
        let mut wire = Wire::websocket(url, true).await?;
        let open = wire.receive().await?;
        anyhow::ensure!(open.starts_with(b"0"), "no open packet: {open:?}");
        wire.send(dialect::socketio::SocketIo::connect(user))
            .await?;
        let answer = wire.receive().await?;
        let is_connected = dialect::socketio::SocketIo::is_connected(&answer);
        anyhow::ensure!(is_connected, "not connected: {answer:?}");
        Ok(Peer {
            wire,
            dialect: Box::new(dialect::socketio::SocketIo),
        })
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        // The last ones started end first: nodes before the Redis that they need.
        for process in self.processes.into_iter().rev() {
            process.stop().await?;
        }
        Ok(())
    }
}
