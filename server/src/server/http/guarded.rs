//! A socket of an HTTP connection that does not wait forever: neither for a head that has begun, nor for
//! a peer that takes nothing.
//!
//! hyper has one deadline for silence and head together; here the head has its own, shorter one. While a
//! request runs, its own deadline holds; after an upgrade, that of the WebSocket.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{body::Body, http::StatusCode, response::Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::{Deadlines, room::Slot};

/// The requests of a connection, as far as its socket must know of them.
#[derive(Default)]
pub(super) struct Requests {
    begun: AtomicU32,
    is_running: AtomicBool,
}

impl Requests {
    /// The head of a request has arrived.
    pub(super) fn begin(&self) {
        self.is_running.store(true, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.is_running.store(false, Ordering::Relaxed);
    }
}

/// The body of a response. The request ends with it, and the next head may come.
pub(super) struct Outgoing {
    body: Body,
    /// `None` for the response of an upgrade: the connection is not HTTP any longer.
    requests: Option<Arc<Requests>>,
}

impl Outgoing {
    /// The body of this response, as the last part of its request.
    pub(super) fn of(response: Response, requests: Arc<Requests>) -> http::Response<Self> {
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let requests = (!is_upgrade).then_some(requests);
        response.map(|body| Self { body, requests })
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(requests) = &self.requests {
            requests.end();
        }
    }
}

/// The socket. It holds its place in the room until it is closed, whatever it is used for by then.
pub(super) struct Guarded {
    stream: TcpStream,
    requests: Arc<Requests>,
    deadlines: Deadlines,
    /// How many requests had begun when `head` was set.
    seen: u32,
    /// The deadline of the head that is coming.
    head: Option<Pin<Box<Sleep>>>,
    /// The deadline of a write that waits for the peer.
    stall: Option<Pin<Box<Sleep>>>,
    _slot: Option<Slot>,
}

impl Guarded {
    /// Guards a new connection, whose first head is due from now on.
    pub(super) fn new(
        stream: TcpStream,
        requests: Arc<Requests>,
        deadlines: Deadlines,
        slot: Option<Slot>,
    ) -> Self {
        Self {
            stream,
            requests,
            deadlines,
            seen: 0,
            head: Some(Box::pin(sleep(deadlines.head))),
            stall: None,
            _slot: slot,
        }
    }

    /// Drops the deadline of a head that has arrived.
    fn look_at_requests(&mut self) {
        let begun = self.requests.begun.load(Ordering::Relaxed);
        if begun != self.seen {
            self.seen = begun;
            self.head = None;
        }
    }

    fn hold_stall<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let deadline = self.deadlines.stall;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(deadline)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.look_at_requests();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if this.requests.is_running.load(Ordering::Relaxed) {
            return read;
        }
        if read.is_ready() {
            if buffer.filled().len() > before && this.head.is_none() {
                this.head = Some(Box::pin(sleep(this.deadlines.head)));
            }
            return read;
        }
        match &mut this.head {
            Some(head) => {
                ready!(head.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.hold_stall(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.hold_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
