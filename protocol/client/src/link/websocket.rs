//! WebSocket links (RFC 6455): each binary message holds whole frames.

use std::{collections::VecDeque, future::poll_fn, task::Poll};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use nowrong_protocol::{CloseCode, limits::WEBSOCKET_MESSAGE_BYTES_MAX};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::CapacityError,
        http::{HeaderValue, header::ORIGIN},
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode as WebSocketCode},
    },
};

use super::{LinkError, LinkOptions, Received};
use crate::Endpoint;

/// A client's end of a WebSocket.
pub(crate) struct WebSocketLink {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages that the socket has not taken yet.
    queued: VecDeque<Message>,
    /// Whether the socket holds bytes that are not written yet.
    is_unflushed: bool,
}

impl WebSocketLink {
    pub(super) async fn open(
        endpoint: &Endpoint,
        options: &LinkOptions,
    ) -> Result<Self, LinkError> {
        if endpoint.websocket.is_empty() {
            return Err(LinkError::new("the node has no WebSocket address"));
        }
        let request = endpoint.websocket.as_str().into_client_request();
        let mut request = request.map_err(LinkError::new)?;
        if let Some(origin) = &options.origin {
            let origin = HeaderValue::from_str(origin).map_err(LinkError::new)?;
            request.headers_mut().insert(ORIGIN, origin);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(WEBSOCKET_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(WEBSOCKET_MESSAGE_BYTES_MAX));
        // Small messages must not wait for each other: no Nagle.
        let opened = connect_async_with_config(request, Some(config), true).await;
        let (socket, _response) = opened.map_err(LinkError::new)?;
        Ok(Self {
            socket,
            queued: VecDeque::new(),
            is_unflushed: false,
        })
    }

    pub(super) fn queue(&mut self, frames: Bytes) {
        self.queued.push_back(Message::Binary(frames));
    }

    pub(super) fn queue_unless_behind(&mut self, frame: Bytes) {
        if self.queued.is_empty() && !self.is_unflushed {
            self.queue(frame);
        }
    }

    pub(super) async fn receive(&mut self) -> Result<Received, LinkError> {
        loop {
            let message = poll_fn(|context| {
                if let Err(error) = self.poll_write(context) {
                    return Poll::Ready(Some(Err(error)));
                }
                std::pin::Pin::new(&mut self.socket).poll_next(context)
            });
            match message.await {
                Some(Ok(Message::Binary(bytes))) => return Ok(Received::Message(bytes)),
                Some(Ok(Message::Text(_))) => return Ok(Received::Violation(CloseCode::BAD_FRAME)),
                Some(Ok(Message::Close(_))) | None => return Err(LinkError::new("closed")),
                // tungstenite replies to a ping by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    return Ok(Received::Violation(CloseCode::FRAME_TOO_LARGE));
                }
                Some(Err(error)) => return Err(LinkError::new(error)),
            }
        }
    }

    /// Writes as much as the socket accepts now; the task is woken when it accepts more.
    fn poll_write(&mut self, context: &mut std::task::Context<'_>) -> Result<(), Error> {
        let mut socket = std::pin::Pin::new(&mut self.socket);
        while !self.queued.is_empty() {
            match socket.as_mut().poll_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(()),
            }
            if let Some(message) = self.queued.pop_front() {
                socket.as_mut().start_send(message)?;
                self.is_unflushed = true;
            }
        }
        if self.is_unflushed
            && let Poll::Ready(flushed) = socket.as_mut().poll_flush(context)
        {
            self.is_unflushed = false;
            flushed?;
        }
        Ok(())
    }

    pub(super) async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame {
            code: WebSocketCode::from(code.0),
            reason: code.name().into(),
        };
        let closing = async {
            // A peer that has gone needs no goodbye.
            let _ = self.socket.close(Some(frame)).await;
        };
        let _ = tokio::time::timeout(nowrong_protocol::limits::CLOSE_DEADLINE, closing).await;
    }
}
