//! Socket.IO as most people use it, at its best: WebSocket only, no compression, one ack per message.

use async_trait::async_trait;

use super::{Place, Running, Target};
use crate::{dialect, drive::Peer, process::Process, wire::Wire};

/// Socket.IO 4.8.4 on Node.js, one process, without TLS.
pub(super) struct SocketIo;

#[async_trait(?Send)]
impl Target for SocketIo {
    fn name(&self) -> &'static str {
        "socketio"
    }

    fn about(&self) -> &'static str {
        "Socket.IO 4.8.4 on Node.js: WebSocket only, no compression, no TLS, an ack per message"
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let script = place.socketio.join("server.mjs");
        let address = place.side.address.to_string();
        let command = vec!["node".into(), script.into(), address.into()];
        let process = Process::start(&place.program("socketio", command)).await?;
        let address = process.field("address")?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        Ok(Box::new(RunningSocketIo { process, url }))
    }
}

struct RunningSocketIo {
    process: Process,
    url: String,
}

#[async_trait(?Send)]
impl Running for RunningSocketIo {
    fn processes(&self) -> Vec<&Process> {
        vec![&self.process]
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let mut wire = Wire::websocket(&self.url, true).await?;
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

    async fn open_pair(&self, first: u32) -> anyhow::Result<[Peer; 2]> {
        Ok([self.open(first).await?, self.open(first + 1).await?])
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
