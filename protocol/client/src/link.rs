//! A transport link: frames out in order, bytes in, and nothing else. It does not know what a frame
//! means.
//!
//! Sending never waits: [`Link::queue`] buffers, and [`Link::receive`] writes what is buffered while it
//! reads, so that a peer that does not read cannot keep us from reading. The senders bound what is
//! buffered: requests that wait for a reply, and at most
//! [`UNACKED_SENDS_MAX`](nowrong_protocol::limits::UNACKED_SENDS_MAX) messages for each chat.

use std::time::Duration;

use bytes::Bytes;
use nowrong_protocol::{CloseCode, frame::Lane};

use crate::Endpoint;

mod websocket;
mod webtransport;

use websocket::WebSocketLink;
use webtransport::WebTransportLink;

/// How much earlier WebTransport starts than WebSocket when either is allowed.
const HEAD_START: Duration = Duration::from_millis(300);

/// Time to open a link, from the first packet until frames can be sent.
pub(crate) const OPEN_DEADLINE: Duration = Duration::from_secs(5);

/// Which transport to connect over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// WebTransport, with a head start over WebSocket; the first that opens is used.
    #[default]
    Auto,
    /// Only WebTransport (HTTP/3 over QUIC).
    WebTransport,
    /// Only WebSocket.
    WebSocket,
}

/// How a link is opened.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// Which transport.
    pub transport: Transport,
    /// The `Origin` header to send; browsers send one, native clients none.
    pub origin: Option<String>,
    /// How long a WebTransport link may be silent before it counts as lost; a packet goes out every
    /// third of it to keep the link alive. WebSocket links leave that to TCP and to the pings of the
    /// protocol.
    pub silence_timeout: Duration,
}

impl Default for LinkOptions {
    /// Any transport, no origin, 20 s of silence: a lost Wi-Fi is noticed soon, and a short gap is
    /// not mistaken for one.
    fn default() -> Self {
        Self {
            transport: Transport::Auto,
            origin: None,
            silence_timeout: Duration::from_secs(20),
        }
    }
}

/// Why a link could not be opened, or ended. For a log, not for a person.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(String);

impl LinkError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Input from a link.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// Bytes of the live lane of a WebTransport link.
    Live(Bytes),
    /// Bytes of the bulk lane of a WebTransport link.
    Bulk(Bytes),
    /// One datagram of a WebTransport link.
    Datagram(Bytes),
    /// One binary message of a WebSocket.
    Message(Bytes),
    /// Input that the transport allows and the protocol does not, with the close code it costs.
    Violation(CloseCode),
}

/// An open link of either kind.
pub(crate) enum Link {
    WebTransport(Box<WebTransportLink>),
    WebSocket(Box<WebSocketLink>),
}

impl Link {
    /// Opens a link to `endpoint`.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        options: &LinkOptions,
    ) -> Result<Self, LinkError> {
        let opened = async {
            match options.transport {
                Transport::WebTransport => Self::open_webtransport(endpoint, options).await,
                Transport::WebSocket => Self::open_websocket(endpoint, options).await,
                Transport::Auto => Self::open_first(endpoint, options).await,
            }
        };
        let opened = tokio::time::timeout(OPEN_DEADLINE, opened).await;
        opened.map_err(|_| LinkError::new("the link took too long to open"))?
    }

    async fn open_webtransport(
        endpoint: &Endpoint,
        options: &LinkOptions,
    ) -> Result<Self, LinkError> {
        let link = WebTransportLink::open(endpoint, options).await?;
        Ok(Self::WebTransport(Box::new(link)))
    }

    async fn open_websocket(endpoint: &Endpoint, options: &LinkOptions) -> Result<Self, LinkError> {
        let link = WebSocketLink::open(endpoint, options).await?;
        Ok(Self::WebSocket(Box::new(link)))
    }

    /// The first link that opens; the other attempt is given up. When both fail, the error is that
    /// of WebSocket, which has fewer reasons to fail.
    async fn open_first(endpoint: &Endpoint, options: &LinkOptions) -> Result<Self, LinkError> {
        let webtransport = Self::open_webtransport(endpoint, options);
        tokio::pin!(webtransport);
        let head_start = tokio::time::timeout(HEAD_START, &mut webtransport).await;
        if let Ok(Ok(link)) = head_start {
            return Ok(link);
        }
        let websocket = Self::open_websocket(endpoint, options);
        if head_start.is_ok() {
            return websocket.await;
        }
        tokio::pin!(websocket);
        tokio::select! {
            link = &mut webtransport => match link {
                Ok(link) => Ok(link),
                Err(_) => websocket.await,
            },
            link = &mut websocket => match link {
                Ok(link) => Ok(link),
                Err(_) => webtransport.await,
            },
        }
    }

    /// Which transport it is; never [`Transport::Auto`].
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::WebTransport(_) => Transport::WebTransport,
            Self::WebSocket(_) => Transport::WebSocket,
        }
    }

    /// Queues the bytes of whole frames behind those that already wait.
    pub(crate) fn queue(&mut self, lane: Lane, frames: Bytes) {
        match self {
            Self::WebTransport(link) => link.queue(lane, frames),
            Self::WebSocket(link) => link.queue(frames),
        }
    }

    /// Sends a signal, unless the link is behind: signals may be lost, and are never queued.
    /// `datagram` and `frame` are its two envelopes.
    pub(crate) fn signal(&mut self, datagram: Bytes, frame: Bytes) {
        match self {
            Self::WebTransport(link) => link.send_datagram(datagram),
            Self::WebSocket(link) => link.queue_unless_behind(frame),
        }
    }

    /// Waits for the next input, and meanwhile writes the queued bytes.
    ///
    /// # Errors
    /// When the link is lost.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn receive(&mut self) -> Result<Received, LinkError> {
        match self {
            Self::WebTransport(link) => link.receive().await,
            Self::WebSocket(link) => link.receive().await,
        }
    }

    /// Ends the link and waits, for a bounded time, until the peer can know.
    pub(crate) async fn close(self, code: CloseCode) {
        match self {
            Self::WebTransport(link) => link.close(code).await,
            Self::WebSocket(link) => link.close(code).await,
        }
    }
}
