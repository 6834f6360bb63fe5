//! The endpoint: one UDP socket, and the bounds of every connection on it.

use std::{error::Error, future::Future, io, net::SocketAddr, sync::Arc};

use futures_util::FutureExt as _;
use quinn::{VarInt, crypto::rustls::QuicServerConfig};

use crate::{
    admission_queue::INCOMING_MAX,
    connection::{ApplicationCode, Incoming},
    key::QuicKey,
    runtime::EagerRuntime,
};

/// Receive buffer of the socket: what may come while the server is busy elsewhere. The usual default holds
/// some hundred packets, fewer than there are clients in a rush.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Bytes kept of one client that has not been accepted yet: its first flight is a few packets.
const INCOMING_BUFFER: u64 = 64 * 1024;

/// Bytes kept of all of them.
const INCOMING_BUFFERS: u64 = 32 * 1024 * 1024;

/// Bytes that a peer can make us hold for one connection, in each direction: chat needs little.
const WINDOW: u32 = 128 * 1024;

/// The same for one stream.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes of datagrams that wait in each direction; the oldest ones make room for new ones.
const DATAGRAM_BUFFER: usize = 32 * 1024;

/// Streams in both directions that a client may have open: live and bulk lane, the CONNECT stream, and
/// one to spare.
const BIDIRECTIONAL_MAX: u32 = 4;

/// Streams in one direction that a client may have open: HTTP/3 control and the two QPACK streams, and one
/// to spare.
const UNIDIRECTIONAL_MAX: u32 = 4;

/// Milliseconds without a packet after which a connection is given up.
const IDLE_TIMEOUT_MS: u32 = 60_000;

/// Why [`Endpoint::bind`] failed: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// QUIC stands on TLS 1.3 and seals its first packets with AES-128 (RFC 9001 §5.2).
    #[error("the TLS configuration lacks TLS 1.3")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The address cannot be used.
    #[error(
        "WebTransport cannot listen on UDP {address}: is the port taken? Set listen_quic to a free one"
    )]
    Listen {
        /// Where the server was to listen.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The socket is bound, but lacks what QUIC asks of it.
    #[error("QUIC cannot use its socket")]
    Socket(#[source] io::Error),
}

/// A UDP socket with its connections. A clone is the same endpoint.
#[derive(Clone)]
pub struct Endpoint(quinn::Endpoint);

impl Endpoint {
    /// Binds the UDP socket and begins to read it, on the tokio runtime of the caller. `tls` names the
    /// protocols above QUIC (ALPN).
    ///
    /// # Errors
    /// [`BindError`]: one sentence that names the address.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(
        address: SocketAddr,
        tls: rustls::ServerConfig,
        key: &QuicKey,
    ) -> Result<Self, BindError> {
        let crypto = QuicServerConfig::try_from(tls);
        let crypto = crypto.map_err(|error| BindError::Tls(error.into()))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(Arc::new(transport_config()))
            .token_key(key.token_key())
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFERS);
        let socket = std::net::UdpSocket::bind(address)
            .map_err(|source| BindError::Listen { address, source })?;
        // Best effort: the system grants what it allows (on Linux `net.core.rmem_max`).
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        let runtime = Arc::new(EagerRuntime::default());
        let endpoint = quinn::Endpoint::new(key.endpoint_config(), Some(config), socket, runtime);
        endpoint.map(Self).map_err(BindError::Socket)
    }

    /// The next client; `None` once the endpoint is closed.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub fn accept(&self) -> impl Future<Output = Option<Incoming>> + Send {
        self.0.accept().map(|incoming| incoming.map(Incoming::new))
    }

    /// Where the endpoint listens.
    ///
    /// # Errors
    /// When the system does not say it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Closes all connections with a code and a reason of a few words, and accepts no more clients.
    pub fn close(&self, code: ApplicationCode, reason: &[u8]) {
        self.0.close(code.to_varint(), reason);
    }

    /// Resolves when no connection is left and every client has been told.
    pub fn wait_idle(&self) -> impl Future<Output = ()> + Send {
        self.0.wait_idle()
    }
}

/// The transport parameters for chat: small windows, few streams. Windows bound what a peer can make us
/// hold; these are limits, not allocations.
fn transport_config() -> quinn::TransportConfig {
    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDIRECTIONAL_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(UNIDIRECTIONAL_MAX))
        .receive_window(VarInt::from_u32(WINDOW))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        // Messages fit into one packet each, and a connection would keep a buffer for ten.
        .enable_segmentation_offload(false)
        // Messages are small: probing for larger packets costs memory and gains nothing.
        .mtu_discovery_config(None);
    config
}
