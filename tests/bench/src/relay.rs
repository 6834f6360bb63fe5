//! The floors: relays that forward each message to the partner and ack it, and do nothing else.
//!
//! No accounts, no positions, no storage, no limits: the least that a chat over this transport
//! costs with the crates that NoWrong uses. Single-threaded, because that is fastest on one core.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    dialect::relay::{HELLO, MESSAGE, ack},
    workload::partner,
};

mod websocket;
mod webtransport;

/// Messages that may wait for one client; when there are more, its partner waits.
const OUTBOX_MAX: usize = 256;

/// Which transport a relay speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// tokio-tungstenite.
    Websocket,
    /// wtransport, one bidirectional stream for each client.
    Webtransport,
}

/// Runs a relay on a free port of `address` until the process ends; `announce` gets the line with
/// its address.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(kind: Kind, address: IpAddr, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let address = SocketAddr::new(address, 0);
    match kind {
        Kind::Websocket => websocket::serve(address, announce).await,
        Kind::Webtransport => webtransport::serve(address, announce).await,
    }
}

/// All connected clients, by number.
#[derive(Clone, Default)]
struct Members(Rc<RefCell<HashMap<u32, mpsc::Sender<Bytes>>>>);

impl Members {
    /// Adds a client by the first body of its connection; the receiver yields what its partner
    /// sends.
    fn enter(&self, hello: &[u8]) -> anyhow::Result<(u32, mpsc::Receiver<Bytes>)> {
        let number = hello.strip_prefix(&[HELLO]).context("no hello")?;
        let member = u32::from_be_bytes(number.try_into()?);
        let (sender, outbox) = mpsc::channel(OUTBOX_MAX);
        self.0.borrow_mut().insert(member, sender);
        Ok((member, outbox))
    }

    /// Forwards the `bytes` of a body to the partner; returns the ack.
    async fn forward(
        &self,
        member: u32,
        body: &[u8],
        bytes: Bytes,
        is_stream: bool,
    ) -> anyhow::Result<Bytes> {
        let text = body.strip_prefix(&[MESSAGE]).context("no message")?;
        let ack = ack(text, is_stream).context("a message without a number")?;
        let sender = self.0.borrow().get(&partner(member)).cloned();
        if let Some(sender) = sender {
            // A partner that has gone misses it.
            let _ = sender.send(bytes).await;
        }
        Ok(ack)
    }
}
