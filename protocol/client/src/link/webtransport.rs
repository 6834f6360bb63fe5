//! WebTransport links (HTTP/3 over QUIC): the live lane at once, the bulk lane when it is first used.
//! While the link loses packets, everything written to the live lane is sent once more in
//! datagrams.

use std::{collections::VecDeque, future::Future, pin::Pin, time::Instant};

use bytes::Bytes;
use nowrong_protocol::{
    CloseCode,
    copies::{CopyWriter, Path},
    envelope::encode_datagram,
    frame::Lane,
    limits::CLOSE_DEADLINE,
};
use wtransport::{
    ClientConfig, Connection, RecvStream, SendStream, VarInt,
    endpoint::{ConnectOptions, endpoint_side::Client},
    tls::Sha256Digest,
};

use super::{LinkError, LinkOptions, Received};
use crate::Endpoint;

/// Most bytes read from a stream at once.
const READ_MAX: usize = 16 * 1024;

/// A client's end of a WebTransport session.
pub(crate) struct WebTransportLink {
    endpoint: wtransport::Endpoint<Client>,
    connection: Connection,
    live: Stream,
    bulk: Bulk,
}

/// The bulk lane.
enum Bulk {
    Unused,
    Opening(Opening, VecDeque<Bytes>),
    Open(Stream),
}

type Opening = Pin<Box<dyn Future<Output = Result<Stream, LinkError>> + Send>>;

/// One bidirectional stream, and the bytes that wait to go out on it.
struct Stream {
    send: SendStream,
    receive: RecvStream,
    queued: VecDeque<Bytes>,
    /// For the live lane.
    copier: Option<Box<Copier>>,
}

/// Sends copies of the bytes that a stream has written.
struct Copier {
    connection: Connection,
    writer: CopyWriter,
}

impl WebTransportLink {
    pub(super) async fn open(at: &Endpoint, options: &LinkOptions) -> Result<Self, LinkError> {
        if at.webtransport.is_empty() {
            return Err(LinkError::new("the node has no WebTransport address"));
        }
        let endpoint =
            wtransport::Endpoint::client(config(at, options)?).map_err(LinkError::new)?;
        let mut request = ConnectOptions::builder(at.webtransport.as_str());
        if let Some(origin) = &options.origin {
            request = request.add_header("origin", origin);
        }
        let connection = endpoint
            .connect(request.build())
            .await
            .map_err(LinkError::new)?;
        let mut live = open_stream(&connection).await?;
        live.copier = Some(Box::new(Copier {
            connection: connection.clone(),
            writer: CopyWriter::new(),
        }));
        Ok(Self {
            endpoint,
            connection,
            live,
            bulk: Bulk::Unused,
        })
    }

    pub(super) fn queue(&mut self, lane: Lane, frames: Bytes) {
        if lane != Lane::Bulk {
            return self.live.queued.push_back(frames);
        }
        match &mut self.bulk {
            Bulk::Open(stream) => stream.queued.push_back(frames),
            Bulk::Opening(_, queued) => queued.push_back(frames),
            Bulk::Unused => {
                let connection = self.connection.clone();
                let opening = Box::pin(async move { open_stream(&connection).await });
                self.bulk = Bulk::Opening(opening, VecDeque::from([frames]));
            }
        }
    }

    pub(super) fn send_datagram(&self, datagram: Bytes) {
        // Without room, or without datagrams on this path, the signal is lost, which is allowed.
        let _ = self.connection.send_datagram(datagram);
    }

    pub(super) async fn receive(&mut self) -> Result<Received, LinkError> {
        loop {
            let Self {
                connection,
                live,
                bulk,
                ..
            } = self;
            tokio::select! {
                bytes = live.drive() => return bytes.map(Received::Live),
                step = bulk.drive() => if let Some(bytes) = step? {
                    return Ok(Received::Bulk(bytes));
                },
                datagram = connection.receive_datagram() => {
                    return Ok(Received::Datagram(datagram.map_err(LinkError::new)?.payload()));
                }
            }
        }
    }

    pub(super) async fn close(self, code: CloseCode) {
        self.connection
            .close(VarInt::from_u32(code.0.into()), code.name().as_bytes());
        let Self {
            endpoint,
            connection,
            live,
            bulk,
        } = self;
        drop((connection, live, bulk));
        // The close is delivered only while the endpoint lives.
        let _ = tokio::time::timeout(CLOSE_DEADLINE, endpoint.wait_idle()).await;
    }
}

impl Bulk {
    /// Opens the lane when bytes wait for it, then drives it; `None` when it was just opened.
    async fn drive(&mut self) -> Result<Option<Bytes>, LinkError> {
        match self {
            Self::Unused => std::future::pending().await,
            Self::Open(stream) => stream.drive().await.map(Some),
            Self::Opening(opening, queued) => {
                let mut stream = opening.await?;
                stream.queued = std::mem::take(queued);
                *self = Self::Open(stream);
                Ok(None)
            }
        }
    }
}

impl Stream {
    /// Writes the queued bytes and returns the next bytes that come in.
    async fn drive(&mut self) -> Result<Bytes, LinkError> {
        let Self {
            send,
            receive,
            queued,
            copier,
        } = self;
        loop {
            tokio::select! {
                chunk = receive.quic_stream_mut().read_chunk(READ_MAX, true) => {
                    let chunk = chunk.map_err(LinkError::new)?;
                    let chunk = chunk.ok_or_else(|| LinkError::new("the server finished a lane"))?;
                    return Ok(chunk.bytes);
                }
                written = write_front(send, queued) => {
                    let written = written?;
                    if let Some(copier) = copier {
                        copier.note_written(&written);
                    }
                }
                copier = due(copier) => copier.send(),
            }
        }
    }
}

impl Copier {
    fn note_written(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        if self.writer.wants_path(now) {
            let path = self.connection.quic_connection().stats().path;
            let path = Path {
                lost_packets: path.lost_packets,
                round_trip: path.rtt,
            };
            self.writer.observe(path, now);
        }
        self.writer.wrote(bytes, now);
    }

    fn send(&mut self) {
        if let Some(copy) = self.writer.take(Instant::now()) {
            // Without room the copy is lost, as it may also be on the way.
            let _ = self.connection.send_datagram(encode_datagram(&copy));
        }
    }
}

/// Waits until a copy is due.
async fn due(copier: &mut Option<Box<Copier>>) -> &mut Copier {
    let due = copier.as_ref().and_then(|one| one.writer.poll_timeout());
    match (due, copier) {
        (Some(at), Some(copier)) => {
            tokio::time::sleep_until(at.into()).await;
            copier
        }
        _ => std::future::pending().await,
    }
}

/// Writes some of the first queued bytes and returns them. They leave the queue only when the write
/// is done, so that a dropped future has written nothing.
async fn write_front(
    send: &mut SendStream,
    queued: &mut VecDeque<Bytes>,
) -> Result<Bytes, LinkError> {
    let Some(front) = queued.front_mut() else {
        return std::future::pending().await;
    };
    let written = send
        .quic_stream_mut()
        .write(front)
        .await
        .map_err(LinkError::new)?;
    let bytes = front.split_to(written);
    if front.is_empty() {
        queued.pop_front();
    }
    Ok(bytes)
}

async fn open_stream(connection: &Connection) -> Result<Stream, LinkError> {
    let opening = connection.open_bi().await.map_err(LinkError::new)?;
    let (send, receive) = opening.await.map_err(LinkError::new)?;
    Ok(Stream {
        send,
        receive,
        queued: VecDeque::new(),
        copier: None,
    })
}

fn config(at: &Endpoint, options: &LinkOptions) -> Result<ClientConfig, LinkError> {
    let unbound = ClientConfig::builder().with_bind_default();
    let config = match at.certificate_hash {
        Some(hash) => unbound.with_server_certificate_hashes([Sha256Digest::new(hash)]),
        None => unbound.with_native_certs(),
    };
    let config = config
        .max_idle_timeout(Some(options.silence_timeout))
        .map_err(|_| LinkError::new("the silence timeout is too long for QUIC"))?;
    Ok(config
        .keep_alive_interval(Some(options.silence_timeout / 3))
        .build())
}
