//! The client's end of a connection: a WebSocket, or one bidirectional stream of a WebTransport session.
//!
//! Leaner than `nowrong-client`, and the same for every target, so that the generator costs the
//! same whatever it measures: no reconnecting, no outbox, and many WebTransport connections share a
//! UDP socket (each socket holds about 3 MB of receive buffers). Only the fast path
//! ([`Wire::with_copies`]) is specific to NoWrong.

use std::{
    cell::RefCell,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use nowrong_protocol::{
    codec,
    copies::{CopyReader, CopyWriter, Path},
    envelope::{decode_datagram, encode_datagram},
    frame::{Frame as _, LaneCopy},
    limits::DATAGRAM_BYTES_MAX,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};
use wtransport::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt,
    endpoint::endpoint_side::Client, tls::Sha256Digest,
};

/// Connections that share one UDP socket: its receive buffer has to hold the input of all of them
/// while the generator is busy elsewhere.
const CONNECTIONS_PER_SOCKET: u32 = 64;

/// Most bytes read from a stream at once.
const READ_MAX: usize = 16 * 1024;

/// Keeps a silent QUIC connection open, as browsers do.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Silence after which a QUIC connection counts as lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// An open connection.
pub enum Wire {
    /// A WebSocket.
    WebSocket {
        /// The socket.
        socket: Box<WebSocketStream<TcpStream>>,
        /// Whether messages travel as text.
        is_text: bool,
    },
    /// A stream of a WebTransport session.
    Stream {
        /// The session, which lives as long as this value.
        connection: Connection,
        /// Our direction.
        send: SendStream,
        /// Theirs.
        receive: RecvStream,
        /// The copies that both sides send.
        copies: Option<Box<Copies>>,
    },
}

/// The copies of a lane, in both directions.
#[derive(Default)]
pub struct Copies {
    writer: CopyWriter,
    reader: CopyReader,
}

impl Wire {
    /// Opens a WebSocket.
    ///
    /// # Errors
    /// When the target does not let it in.
    pub async fn websocket(url: &str, is_text: bool) -> anyhow::Result<Self> {
        let address = url
            .split("//")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let address: SocketAddr = address.context("a URL without an address")?.parse()?;
        let stream = TcpStream::connect(address).await?;
        // Small messages must not wait for each other.
        stream.set_nodelay(true)?;
        let (socket, _response) =
            client_async_with_config(url, stream, Some(websocket_config())).await?;
        let socket = Box::new(socket);
        Ok(Self::WebSocket { socket, is_text })
    }

    /// The same, but it sends the stream's bytes once more in datagrams while the link loses
    /// packets, and accepts such copies; a WebSocket has none.
    pub fn with_copies(mut self) -> Self {
        if let Self::Stream { copies, .. } = &mut self {
            *copies = Some(Box::default());
        }
        self
    }

    /// Queues bytes; [`Self::flush`] sends what is not sent yet.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn feed(&mut self, bytes: Bytes) -> anyhow::Result<()> {
        match self {
            Self::WebSocket { socket, is_text } => {
                let message = if *is_text {
                    Message::Text(Utf8Bytes::try_from(bytes)?)
                } else {
                    Message::Binary(bytes)
                };
                socket.feed(message).await?;
            }
            Self::Stream {
                connection,
                send,
                copies,
                ..
            } => {
                send.write_all(&bytes).await?;
                if let Some(copies) = copies {
                    copies.note_written(connection, &bytes);
                }
            }
        }
        Ok(())
    }

    /// Sends what was fed.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        if let Self::WebSocket { socket, .. } = self {
            socket.flush().await?;
        }
        Ok(())
    }

    /// Sends bytes at once.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, bytes: Bytes) -> anyhow::Result<()> {
        self.feed(bytes).await?;
        self.flush().await
    }

    /// The next input: a message of a WebSocket, or some bytes of a stream.
    ///
    /// # Errors
    /// When the connection is gone.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn receive(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::WebSocket { socket, .. } => loop {
                match socket.next().await.context("the WebSocket was closed")?? {
                    Message::Binary(bytes) => return Ok(bytes),
                    Message::Text(text) => return Ok(text.into()),
                    Message::Close(frame) => bail!("the WebSocket was closed: {frame:?}"),
                    // tungstenite replies to a ping by itself.
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            },
            Self::Stream {
                connection,
                receive,
                copies,
                ..
            } => match copies {
                None => read(receive).await,
                Some(copies) => copies.receive(connection, receive).await,
            },
        }
    }

    /// Ends it at once, without a goodbye of the protocol.
    pub fn drop_hard(self) {
        if let Self::Stream { connection, .. } = self {
            connection.close(VarInt::from_u32(0), b"");
        }
    }
}

impl Copies {
    fn note_written(&mut self, connection: &Connection, bytes: &[u8]) {
        let now = Instant::now();
        if self.writer.wants_path(now) {
            let path = connection.quic_connection().stats().path;
            let path = Path {
                lost_packets: path.lost_packets,
                round_trip: path.rtt,
            };
            self.writer.observe(path, now);
        }
        self.writer.wrote(bytes, now);
    }

    /// Returns new bytes from the stream and from copies; sends the copies of our own bytes when
    /// they are due.
    async fn receive(
        &mut self,
        connection: &Connection,
        receive: &mut RecvStream,
    ) -> anyhow::Result<Bytes> {
        loop {
            let due = self.writer.poll_timeout();
            let fresh = tokio::select! {
                bytes = read(receive) => {
                    let bytes = bytes?;
                    let known = bytes.len() - self.reader.stream(&bytes).len();
                    bytes.slice(known..)
                }
                datagram = connection.receive_datagram() => {
                    let payload = datagram?.payload();
                    let copy = decode_datagram(&payload, DATAGRAM_BYTES_MAX)
                        .ok()
                        .filter(|raw| raw.kind == LaneCopy::KIND)
                        .and_then(|raw| codec::decode::<LaneCopy>(raw.body).ok());
                    let fresh = copy.as_ref().and_then(|copy| self.reader.copy(copy.offset, &copy.bytes));
                    fresh.map(Bytes::copy_from_slice).unwrap_or_default()
                }
                () = sleep_until(due) => {
                    if let Some(copy) = self.writer.take(Instant::now()) {
                        // Without room the copy is lost, as it may also be on the way.
                        let _ = connection.send_datagram(encode_datagram(&copy));
                    }
                    Bytes::new()
                }
            };
            if !fresh.is_empty() {
                return Ok(fresh);
            }
        }
    }
}

async fn read(receive: &mut RecvStream) -> anyhow::Result<Bytes> {
    let chunk = receive.quic_stream_mut().read_chunk(READ_MAX, true).await?;
    Ok(chunk.context("the stream was finished")?.bytes)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Small messages need no large buffers: tungstenite would hold 128 KB for each connection.
pub fn websocket_config() -> WebSocketConfig {
    const BUFFER_BYTES: usize = 4 * 1024;
    WebSocketConfig::default().read_buffer_size(BUFFER_BYTES)
}

/// The UDP sockets of WebTransport connections.
#[derive(Clone, Default)]
pub struct Sockets(Rc<RefCell<Open>>);

#[derive(Default)]
struct Open {
    newest: Option<Rc<Endpoint<Client>>>,
    used: u32,
    all: Vec<Rc<Endpoint<Client>>>,
}

impl Sockets {
    /// Opens a WebTransport session and its first bidirectional stream.
    ///
    /// # Errors
    /// When the target does not let it in.
    pub async fn webtransport(&self, url: &str, hash: [u8; 32]) -> anyhow::Result<Wire> {
        // A loopback address for a loopback target; otherwise the system chooses.
        let is_loopback = url.contains("//127.0.0.1:");
        let local = if is_loopback {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        let endpoint = self.endpoint(local, hash)?;
        let connection = endpoint.connect(url).await?;
        let (send, receive) = connection.open_bi().await?.await?;
        Ok(Wire::Stream {
            connection,
            send,
            receive,
            copies: None,
        })
    }

    fn endpoint(&self, local: Ipv4Addr, hash: [u8; 32]) -> anyhow::Result<Rc<Endpoint<Client>>> {
        let mut open = self.0.borrow_mut();
        open.used += 1;
        if let Some(endpoint) = &open.newest
            && open.used <= CONNECTIONS_PER_SOCKET
        {
            return Ok(endpoint.clone());
        }
        let config = ClientConfig::builder()
            .with_bind_address(SocketAddr::from((local, 0)))
            .with_server_certificate_hashes([Sha256Digest::new(hash)])
            .max_idle_timeout(Some(IDLE_TIMEOUT))?
            .keep_alive_interval(Some(KEEP_ALIVE))
            .build();
        let endpoint = Rc::new(Endpoint::client(config)?);
        open.used = 1;
        open.newest = Some(endpoint.clone());
        // Kept: a connection may outlive the task that opened it.
        open.all.push(endpoint.clone());
        Ok(endpoint)
    }
}
