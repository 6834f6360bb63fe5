//! [`Link`]: one client over one transport, as bytes of lanes.
//!
//! This is all that a connection sees of its transport: bytes of the live and the bulk lane, datagrams,
//! and the end. A link never decides what bytes mean. Each transport implements [`Link`] for its
//! own kind of connection; no type of a transport is in a signature here.

use std::future::Future;

use bytes::Bytes;
use nowrong_protocol::{CloseCode, copies::Path, frame::Lane};

/// The transport of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// QUIC streams and datagrams.
    WebTransport,
    /// Binary messages over TCP.
    WebSocket,
}

impl Transport {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
        }
    }
}

/// Input from a link.
#[derive(Debug)]
pub enum Received {
    /// Bytes of the live lane.
    Live(Bytes),
    /// Bytes of the bulk lane.
    Bulk(Bytes),
    /// The bulk lane ended; another one may be opened.
    BulkEnded,
    /// A datagram.
    Datagram(Bytes),
    /// A WebSocket message: whole frames.
    Message(Bytes),
    /// A ping or pong of the transport itself: it says nothing, and costs as much as a frame.
    Control,
    /// Input that no correct client sends; the conversation ends with this code.
    Violation(CloseCode),
}

/// The link is gone. The cause only matters when debugging.
#[derive(Debug, thiserror::Error)]
#[error("the link is gone: {0}")]
pub struct LinkError(pub String);

impl LinkError {
    pub(crate) fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// One client over one transport.
pub trait Link: Send + 'static {
    /// Its transport.
    fn transport(&self) -> Transport;

    /// The next bytes.
    ///
    /// # Errors
    /// [`LinkError`] when the link is closed or lost.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    fn receive(&mut self) -> impl Future<Output = Result<Received, LinkError>> + Send;

    /// Writes whole frames to a lane. Waits while the peer does not accept them; the caller bounds
    /// that time.
    ///
    /// # Errors
    /// [`LinkError`] when the link is closed or lost.
    ///
    /// # Cancel safety
    /// None: after a drop the lane may be in the middle of a frame. Close the link.
    fn send(
        &mut self,
        lane: Lane,
        frames: Bytes,
    ) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Sends a datagram, or drops it when there is no room. `false` when this link has no
    /// datagrams, so that the frame can only be sent with [`Self::send`].
    fn send_datagram(&mut self, datagram: Bytes) -> bool;

    /// The state of the path to the client; `None` when copies of the live lane are useless on this
    /// link.
    fn path(&self) -> Option<Path>;

    /// Closes the link, with the code where the transport has room for one, and waits for a bounded time
    /// until the client can have read it. `None` when nothing was decided: a client that closed first then
    /// gets its own code back, as its transport asks for.
    fn close(self, code: Option<CloseCode>) -> impl Future<Output = ()> + Send;
}
