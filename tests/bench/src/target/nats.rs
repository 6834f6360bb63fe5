//! NATS: a broker that speaks WebSocket, without TLS and compression; it stores nothing.

use async_trait::async_trait;

use super::{Place, Running, Target, cluster::free_address};
use crate::{dialect, drive::Peer, process::Process, wire::Wire};

/// See the module.
pub(super) struct Nats;

#[async_trait(?Send)]
impl Target for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn about(&self) -> &'static str {
        "NATS 2.15.1 over WebSocket, without TLS: each person a subject, an ack per message, nothing is kept"
    }

    fn is_default(&self) -> bool {
        false
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let (plain, listen) = (free_address(place)?, free_address(place)?);
        let settings = place.scratch.join("nats.conf");
        let text = format!(
            "listen: \"{plain}\"\nwebsocket {{\n  listen: \"{listen}\"\n  no_tls: true\n}}\n"
        );
        std::fs::write(&settings, text)?;
        let command = vec![place.nats.clone().into(), "-c".into(), settings.into()];
        let process = Process::start_listening(&place.program("nats", command), listen).await?;
        Ok(Box::new(RunningNats {
            process,
            url: format!("ws://{listen}"),
        }))
    }
}

struct RunningNats {
    process: Process,
    url: String,
}

#[async_trait(?Send)]
impl Running for RunningNats {
    fn processes(&self) -> Vec<&Process> {
        vec![&self.process]
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let mut wire = Wire::websocket(&self.url, false).await?;
        wire.send(dialect::nats::Nats::hello(user)).await?;
        while !dialect::nats::Nats::is_connected(&wire.receive().await?) {}
        Ok(Peer {
            wire,
            dialect: Box::new(dialect::nats::Nats::new(user)),
        })
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
