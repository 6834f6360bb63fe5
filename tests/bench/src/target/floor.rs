//! The bare relays as targets.

use std::ffi::OsString;

use anyhow::Context as _;
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Place, Running, Target};
use crate::{
    dialect::relay::Relay,
    drive::Peer,
    process::Process,
    wire::{Sockets, Wire},
};

/// A bare relay.
pub(super) struct Floor {
    name: &'static str,
    about: &'static str,
    kind: &'static str,
}

impl Floor {
    pub(super) const WEBTRANSPORT: Self = Self {
        name: "relay-webtransport",
        about: "a bare relay on wtransport: the floor of WebTransport",
        kind: "webtransport",
    };
    pub(super) const WEBSOCKET: Self = Self {
        name: "relay-websocket",
        about: "a bare relay on tokio-tungstenite, without TLS: the floor of WebSocket",
        kind: "websocket",
    };
}

#[async_trait(?Send)]
impl Target for Floor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let address = place.side.address.to_string();
        let words = ["relay", self.kind, &address].map(OsString::from);
        let command = [place.bench.clone().into()]
            .into_iter()
            .chain(words)
            .collect();
        let process = Process::start(&place.program(self.name, command)).await?;
        let url = process.field("url")?.to_owned();
        let hash = process.field("hash").ok().map(hash).transpose()?;
        Ok(Box::new(RunningFloor {
            process,
            url,
            hash,
            sockets: Sockets::default(),
        }))
    }
}

fn hash(text: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = STANDARD.decode(text)?;
    bytes.try_into().ok().context("a hash has 32 bytes")
}

struct RunningFloor {
    process: Process,
    url: String,
    /// Hash of the certificate; only WebTransport has one.
    hash: Option<[u8; 32]>,
    sockets: Sockets,
}

#[async_trait(?Send)]
impl Running for RunningFloor {
    fn processes(&self) -> Vec<&Process> {
        vec![&self.process]
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let mut wire = match self.hash {
            Some(hash) => self.sockets.webtransport(&self.url, hash).await?,
            None => Wire::websocket(&self.url, false).await?,
        };
        let dialect = Box::new(Relay::new(self.hash.is_some()));
        wire.send(dialect.hello(user)).await?;
        Ok(Peer { wire, dialect })
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
