//! The floor of WebTransport: wtransport with its defaults and nothing else.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use tokio::task::spawn_local;
use wtransport::{Endpoint, Identity, SendStream, ServerConfig, endpoint::IncomingSession};

use super::Members;
use crate::dialect::relay::{Cutter, HELLO, body};

/// Most bytes read from a stream at once.
const READ_MAX: usize = 16 * 1024;

/// The same as in NoWrong's server.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn serve(address: SocketAddr, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let identity = Identity::self_signed(["localhost", "127.0.0.1"])?;
    let chain = identity.certificate_chain();
    let hash = chain.as_slice().first().context("no certificate")?.hash();
    let config = ServerConfig::builder()
        .with_bind_address(address)
        .with_identity(identity)
        .max_idle_timeout(Some(IDLE_TIMEOUT))?
        .build();
    let endpoint = Endpoint::server(config)?;
    let (address, hash) = (endpoint.local_addr()?, STANDARD.encode(hash.as_ref()));
    announce(&format!("ready url=https://{address}/ hash={hash}"));
    let members = Members::default();
    loop {
        let incoming = endpoint.accept().await;
        let members = members.clone();
        // A client that breaks off does not matter.
        spawn_local(async move { client(incoming, members).await.ok() });
    }
}

async fn client(incoming: IncomingSession, members: Members) -> anyhow::Result<()> {
    let connection = incoming.await?.accept().await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut cutter = Cutter::default();
    let mut entered = None;
    loop {
        let outbox = async {
            match &mut entered {
                Some((_, outbox)) => next_batch(outbox).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            batch = outbox => send.write_all(&batch.context("a newer connection")?).await?,
            chunk = receive.quic_stream_mut().read_chunk(READ_MAX, true) => {
                cutter.push(&chunk?.context("finished")?.bytes);
                while let Some(body) = cutter.next_body() {
                    match &entered {
                        None => entered = Some(members.enter(&body)?),
                        Some((member, _)) => forward(&members, *member, &body, &mut send).await?,
                    }
                }
            }
        }
    }
}

async fn forward(
    members: &Members,
    member: u32,
    message: &[u8],
    send: &mut SendStream,
) -> anyhow::Result<()> {
    let (kind, text) = message.split_first().context("an empty body")?;
    anyhow::ensure!(*kind != HELLO, "a second hello");
    let bytes = body(*kind, text, true);
    let ack = members.forward(member, message, bytes, true).await?;
    Ok(send.write_all(&ack).await?)
}

/// All waiting bytes, as one write.
async fn next_batch(outbox: &mut tokio::sync::mpsc::Receiver<Bytes>) -> Option<Bytes> {
    let first = outbox.recv().await?;
    let Ok(second) = outbox.try_recv() else {
        return Some(first);
    };
    let mut batch = BytesMut::from(first);
    batch.extend_from_slice(&second);
    while let Ok(next) = outbox.try_recv() {
        batch.extend_from_slice(&next);
    }
    Some(batch.freeze())
}
