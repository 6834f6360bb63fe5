//! A client: [`Incoming`] until it is let in, [`Connecting`] in its handshake, then a [`Connection`].
//!
//! None of them can be printed: quinn would print the address of the client.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;

use crate::stream::{RecvStream, SendStream};

/// The number with which a connection is closed (RFC 9000 §20.2). Its meaning is that of the protocol above
/// QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationCode(pub u32);

impl ApplicationCode {
    pub(crate) fn to_varint(self) -> quinn::VarInt {
        quinn::VarInt::from_u32(self.0)
    }
}

impl From<u32> for ApplicationCode {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

/// A connection is over, or never came to be. The cause only matters when debugging.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ConnectionError(quinn::ConnectionError);

/// A client that has sent its first packet, and waits. Dropped, it is refused.
pub struct Incoming(quinn::Incoming);

impl Incoming {
    pub(crate) fn new(incoming: quinn::Incoming) -> Self {
        Self(incoming)
    }

    /// The source address of the packet. Nothing proves it before a Retry or the handshake.
    pub fn remote_address(&self) -> SocketAddr {
        self.0.remote_address()
    }

    /// Whether the client has proved its address: it came back after a Retry, or has a token of an earlier
    /// connection.
    pub fn is_proved(&self) -> bool {
        self.0.remote_address_validated()
    }

    /// Whether it was connected before: it has a token that an earlier connection gave it (RFC 9000 §8.1.3).
    pub fn was_here(&self) -> bool {
        self.0.remote_address_validated() && self.0.may_retry()
    }

    /// Asks the client to come again and to prove its address by it (RFC 9000 §8.1.2). One that did so
    /// already is refused instead.
    pub fn retry(self) {
        // The error holds the client, which is refused when it is dropped.
        let _ = self.0.retry();
    }

    /// Tells the client at once that it is not let in.
    pub fn refuse(self) {
        self.0.refuse();
    }

    /// Says nothing: the client will ask again some times. Costs no packet.
    pub fn ignore(self) {
        self.0.ignore();
    }

    /// Begins the handshake: the expensive step, a signature.
    ///
    /// # Errors
    /// [`ConnectionError`] when the packet turns out not to begin a connection.
    pub fn accept(self) -> Result<Connecting, ConnectionError> {
        self.0.accept().map(Connecting).map_err(ConnectionError)
    }
}

/// A handshake; resolves with the connection. Dropped, the connection is closed.
pub struct Connecting(quinn::Connecting);

impl Future for Connecting {
    type Output = Result<Connection, ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.0.poll_unpin(cx);
        polled.map(|connected| connected.map(Connection).map_err(ConnectionError))
    }
}

/// What is known of the path to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStats {
    /// Packets of ours that were lost so far.
    pub lost_packets: u64,
    /// The smoothed round trip time.
    pub round_trip: Duration,
}

/// A client whose handshake is done. A clone is the same connection; it is closed when the last clone
/// and the last stream are dropped.
#[derive(Clone)]
pub struct Connection(quinn::Connection);

impl Connection {
    /// Opens a stream in one direction; waits while the client allows no more.
    ///
    /// # Errors
    /// [`ConnectionError`] when the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub fn open_uni(&self) -> impl Future<Output = Result<SendStream, ConnectionError>> + Send {
        let opening = self.0.open_uni();
        opening.map(|opened| opened.map(SendStream::new).map_err(ConnectionError))
    }

    /// The next stream that the client opens in one direction.
    ///
    /// # Errors
    /// [`ConnectionError`] when the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub fn accept_uni(&self) -> impl Future<Output = Result<RecvStream, ConnectionError>> + Send {
        let accepting = self.0.accept_uni();
        accepting.map(|accepted| accepted.map(RecvStream::new).map_err(ConnectionError))
    }

    /// The next stream that the client opens in both directions.
    ///
    /// # Errors
    /// [`ConnectionError`] when the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub fn accept_bi(
        &self,
    ) -> impl Future<Output = Result<(SendStream, RecvStream), ConnectionError>> + Send {
        self.0.accept_bi().map(|accepted| match accepted {
            Ok((send, receive)) => Ok((SendStream::new(send), RecvStream::new(receive))),
            Err(error) => Err(ConnectionError(error)),
        })
    }

    /// The next datagram of the client.
    ///
    /// # Errors
    /// [`ConnectionError`] when the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub fn read_datagram(&self) -> impl Future<Output = Result<Bytes, ConnectionError>> + Send {
        let reading = self.0.read_datagram();
        reading.map(|read| read.map_err(ConnectionError))
    }

    /// Sends a datagram, or drops it: when it is longer than a packet, when the client takes no datagrams,
    /// or when the connection is over. Where too many wait, the oldest one makes room.
    #[inline]
    pub fn send_datagram(&self, datagram: Bytes) {
        let _ = self.0.send_datagram(datagram);
    }

    /// What is known of the path to the client.
    #[inline]
    pub fn path(&self) -> PathStats {
        let path = self.0.stats().path;
        PathStats {
            lost_packets: path.lost_packets,
            round_trip: path.rtt,
        }
    }

    /// Closes the connection at once, with a code and a reason of a few words. What was written and has
    /// not been sent yet is lost.
    pub fn close(&self, code: ApplicationCode, reason: &[u8]) {
        self.0.close(code.to_varint(), reason);
    }

    /// Resolves when the connection is over, whichever side ended it.
    pub fn closed(&self) -> impl Future<Output = ()> + Send {
        self.0.closed().map(drop)
    }
}
