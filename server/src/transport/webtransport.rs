//! WebTransport links: HTTP/3 over QUIC, on quinn.
//!
//! The endpoint is ours, so that admission, Retry, windows, drain and certificates are, and so is the
//! one session of each connection ([`session`]). The client opens the lanes, the server none: the
//! first is the live lane, the second the bulk lane. Every step before the conversation has a
//! deadline. A foreign `Origin` is accepted and told so in-band.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use nowrong_certs::Identity;
use nowrong_http3::wrap_datagram;
use nowrong_protocol::{CloseCode, copies::Path, frame::Lane, limits::CLOSE_DEADLINE};
use nowrong_quic::{
    admission_queue::{AdmissionQueue, Place, Turn},
    key::QuicKey,
    runtime::EagerRuntime,
};
use quinn::{Incoming, SendStream, VarInt, crypto::rustls::QuicServerConfig};
use tokio::time::timeout;

use self::{
    asides::{Aside, Asides},
    session::{Farewell, Session, Stream},
};
use super::door::Pass;
use crate::{
    connection::{self, Link, LinkError, Received, Transport},
    node::Node,
};

mod asides;
mod session;

/// The path of the WebTransport endpoint.
pub const PATH: &str = "/v1/webtransport";

/// Time for the QUIC handshake, the HTTP/3 settings and the CONNECT request together.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Time from the accepted CONNECT to the live lane.
const LANE_DEADLINE: Duration = Duration::from_secs(5);

/// Receive buffer of the socket: what may come while the server is busy elsewhere. The usual default holds
/// some hundred packets, fewer than there are clients in a rush.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Clients, waiting or in their handshake, from which on an address has to prove itself with a Retry
/// (RFC 9000 §8.1.2).
const RETRY_FROM: usize = 256;

/// The same from which on new ones are ignored: no reply is built.
const IGNORE_FROM: usize = 16_384;

/// The transport parameters for chat: small windows, few streams. Windows bound what a peer can make
/// us hold (`WINDOW` for each connection); they are no allocations.
fn transport_config() -> quinn::TransportConfig {
    const WINDOW: u32 = 128 * 1024;
    const STREAM_WINDOW: u32 = 64 * 1024;
    const DATAGRAM_BUFFER: usize = 32 * 1024;
    let mut config = quinn::TransportConfig::default();
    config
        // Live and bulk lane, the CONNECT stream, and one to spare.
        .max_concurrent_bidi_streams(VarInt::from_u32(4))
        // HTTP/3 control and the two QPACK streams, and one to spare.
        .max_concurrent_uni_streams(VarInt::from_u32(4))
        .receive_window(VarInt::from_u32(WINDOW))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(VarInt::from_u32(60_000).into()))
        // Messages fit into one packet each, and a connection would keep a buffer for ten.
        .enable_segmentation_offload(false)
        // Messages are small: probing for larger packets costs memory and gains nothing.
        .mtu_discovery_config(None);
    config
}

/// Binds the UDP socket and makes the QUIC endpoint.
///
/// # Errors
/// One sentence that names the address, or the certificate.
pub fn bind(
    address: SocketAddr,
    identity: &Identity,
    key: &QuicKey,
) -> anyhow::Result<quinn::Endpoint> {
    use anyhow::Context as _;
    let tls = nowrong_certs::server_config(identity, &[b"h3"])?;
    let crypto = QuicServerConfig::try_from(tls).context("the TLS configuration lacks TLS 1.3")?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config()))
        .max_incoming(IGNORE_FROM)
        .incoming_buffer_size(64 * 1024)
        .incoming_buffer_size_total(32 * 1024 * 1024);
    let socket = std::net::UdpSocket::bind(address).with_context(|| {
        format!(
            "WebTransport cannot listen on UDP {address}: is the port taken? Set listen_quic to a free one"
        )
    })?;
    // Best effort: the system grants what it allows (on Linux `net.core.rmem_max`).
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    let runtime = Arc::new(EagerRuntime::default());
    let endpoint = quinn::Endpoint::new(key.endpoint_config(), Some(config), socket, runtime);
    endpoint.context("QUIC cannot use its socket")
}

/// Accepts clients until the endpoint is closed.
pub async fn serve(node: Arc<Node>, endpoint: quinn::Endpoint) {
    let queue = AdmissionQueue::new();
    while let Some(incoming) = endpoint.accept().await {
        if queue.count() >= IGNORE_FROM {
            incoming.ignore();
        } else if node.is_draining() {
            // Told so, the client asks for another node at once.
            incoming.refuse();
        } else if queue.count() >= RETRY_FROM && incoming.may_retry() {
            // Fails only for an address that has proved itself: `may_retry` says it has not.
            let _ = incoming.retry();
        } else {
            node.links()
                .spawn(accept(node.clone(), incoming, queue.join()));
        }
    }
}

/// Serves one client. Letting it in is boxed: what that takes would be room in the task as long as the
/// client stays.
fn accept(node: Arc<Node>, incoming: Incoming, place: Place) -> impl Future<Output = ()> + Send {
    let letting_in = Box::pin(let_in(node.clone(), incoming, place));
    async move {
        let Some((link, is_origin_allowed, pass)) = letting_in.await else {
            return;
        };
        connection::run(node, link, is_origin_allowed).await;
        drop(pass);
    }
}

/// The link of a client, unless it was turned away.
async fn let_in(
    node: Arc<Node>,
    incoming: Incoming,
    place: Place,
) -> Option<(WebTransportLink, bool, Pass)> {
    let Some(pass) = node.door().enter(incoming.remote_address().into()).await else {
        incoming.ignore();
        return None;
    };
    let Some(turn) = place.turn().await else {
        incoming.ignore();
        return None;
    };
    match timeout(CONNECT_DEADLINE, connect(&node, incoming, &turn)).await {
        Ok(Ok((link, is_origin_allowed))) => return Some((link, is_origin_allowed, pass)),
        Ok(Err(error)) => tracing::debug!(%error, "a WebTransport client was not let in"),
        Err(_) => tracing::debug!("a WebTransport client took too long to connect"),
    }
    None
}

async fn connect(
    node: &Node,
    incoming: Incoming,
    turn: &Turn,
) -> Result<(WebTransportLink, bool), LinkError> {
    let connecting = turn.begin(|| incoming.accept()).await;
    let requested = session::accept(connecting.map_err(LinkError::new)?).await?;
    if requested.path() != PATH {
        requested.refuse(404).await;
        return Err(LinkError::new("another path was asked for"));
    }
    let is_origin_allowed = node.is_origin_allowed(requested.origin());
    let Session {
        quic,
        mut lanes,
        mut watch,
        farewell,
    } = requested.accept().await?;
    let live = tokio::select! {
        lane = timeout(LANE_DEADLINE, lanes.next()) => lane,
        ended = watch.ended() => return Err(ended),
    };
    let live = live.map_err(|_| LinkError::new("no live lane"))??;
    let link = WebTransportLink {
        has_fast_path: node.has_fast_path(),
        asides: Asides::new(quic.clone(), lanes, watch),
        quic,
        live,
        bulk: None,
        farewell,
    };
    Ok((link, is_origin_allowed))
}

/// One client on a WebTransport session.
struct WebTransportLink {
    has_fast_path: bool,
    quic: quinn::Connection,
    live: Stream,
    /// Where the client wants bulk, once it has opened that lane.
    bulk: Option<SendStream>,
    asides: Asides,
    farewell: Farewell,
}

impl Link for WebTransportLink {
    fn transport(&self) -> Transport {
        Transport::WebTransport
    }

    async fn receive(&mut self) -> Result<Received, LinkError> {
        let aside = tokio::select! {
            bytes = self.live.receive.read() => return match bytes? {
                Some(bytes) => Ok(Received::Live(bytes)),
                None => Err(LinkError::new("the live lane was finished")),
            },
            aside = self.asides.next() => aside?,
        };
        Ok(match aside {
            Aside::BulkOpened(bulk) => {
                self.bulk = Some(bulk);
                Received::Bulk(Bytes::new())
            }
            Aside::Bulk(bytes) => Received::Bulk(bytes),
            Aside::BulkEnded => {
                self.bulk = None;
                Received::BulkEnded
            }
            Aside::Datagram(bytes) => Received::Datagram(bytes),
        })
    }

    async fn send(&mut self, lane: Lane, frames: Bytes) -> Result<(), LinkError> {
        let stream = match (lane, &mut self.bulk) {
            (Lane::Bulk, Some(bulk)) => bulk,
            _ => &mut self.live.send,
        };
        stream.write_chunk(frames).await.map_err(LinkError::new)
    }

    fn send_datagram(&mut self, datagram: Bytes) -> bool {
        // Without room, or without datagrams on this path, it is lost: all that goes here may be.
        let _ = self.quic.send_datagram(wrap_datagram(&datagram));
        true
    }

    fn path(&self) -> Option<Path> {
        let path = || {
            let path = self.quic.stats().path;
            Path {
                lost_packets: path.lost_packets,
                round_trip: path.rtt,
            }
        };
        self.has_fast_path.then(path)
    }

    /// Ends the session with the code, which is what a page gets to see, then the connection.
    async fn close(self, code: CloseCode) {
        let Self {
            quic,
            mut asides,
            farewell,
            ..
        } = self;
        let said = farewell.say(code, &quic, asides.ended());
        let _ = timeout(CLOSE_DEADLINE, said).await;
        let number = VarInt::from_u32(u32::from(code.0));
        quic.close(number, code.name().as_bytes());
    }
}
