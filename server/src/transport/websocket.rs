//! WebSocket links (RFC 6455) through axum, at `/v1/websocket`.
//!
//! Each binary message holds one or more whole frames. Nothing is compressed, and no message is longer
//! than a frame. A link ends with the closing handshake of the RFC. A client of a foreign `Origin` is let
//! in and refused in-band: a page cannot tell an HTTP refusal from a network without WebSocket. What is
//! refused before that is a problem document, as everywhere under `/v1`.

use std::time::Duration;

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::any,
};
use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use nowrong_protocol::{
    CloseCode, ErrorCode,
    copies::Path,
    frame::Lane,
    limits::{FRAME_BYTES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX},
};
use tokio::time::{sleep, timeout};

use super::Entrance;
use crate::{
    api::{problem::Problem, sole_origin},
    config::WEBSOCKET_PATH,
    connection::{self, Link, LinkError, Received, Transport},
    peer::Peer,
};

/// Bytes that may wait in a socket's write buffer before a write fails: twice what we write at once.
const WRITE_BUFFER_MAX: usize = 4 * FRAME_BYTES_MAX;

/// Bytes of a socket's read buffer: some messages of usual length. The library's default of 128 KiB would
/// be most of the memory of an idle connection. The buffer grows for a longer message.
const READ_BUFFER: usize = 1024;

/// Time for the closing handshake: our close frame, and the client's. A browser replies at once; what takes
/// longer reads nothing, or is gone.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(1);

/// How long a socket stays open whose bytes cannot be read any more: if it were closed at once, the kernel
/// would reset the connection for the unread bytes, and the client might lose our `Bye` and close frame.
const LINGER: Duration = Duration::from_millis(500);

/// The WebSocket route.
pub fn router(entrance: Entrance) -> Router {
    Router::new()
        .route(WEBSOCKET_PATH, any(upgrade))
        .with_state(entrance)
}

async fn upgrade(
    State(entrance): State<Entrance>,
    Peer(client): Peer,
    headers: HeaderMap,
    request: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request = match request {
        Ok(request) => request,
        Err(rejection) => return refuse(&rejection),
    };
    if !has_good_key(&headers) {
        return refuse_with(StatusCode::BAD_REQUEST, WRONG_KEY);
    }
    let pass = match entrance.enter(client).await {
        Ok(pass) => pass,
        Err(closed) => return Problem::rate_limited(closed.retry_after_ms).into_response(),
    };
    let is_origin_allowed = entrance.is_origin_allowed(sole_origin(&headers));
    request
        .max_message_size(WEBSOCKET_MESSAGE_BYTES_MAX)
        .max_frame_size(WEBSOCKET_MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .on_upgrade(move |socket| async move {
            let node = entrance.node;
            let links = node.links().clone();
            let link = WebSocketLink::new(socket);
            let run = connection::run(node, link, pass.texts(), is_origin_allowed);
            // This task belongs to hyper and ends here. The task of the link is tracked, so that a stop
            // waits for it.
            links.spawn(run.map(move |()| drop(pass)));
        })
}

/// What a request gets that does not begin a WebSocket. A plain request is told which protocol this is
/// (426), and another version than 13 which one is spoken (RFC 6455, section 4.4).
fn refuse(rejection: &WebSocketUpgradeRejection) -> Response {
    use WebSocketUpgradeRejection as Rejection;
    let (status, detail) = match rejection {
        Rejection::MethodNotGet(_) => {
            let problem = Problem::new(ErrorCode::METHOD_NOT_ALLOWED);
            return ([(header::ALLOW, "GET")], problem).into_response();
        }
        Rejection::InvalidConnectionHeader(_)
        | Rejection::InvalidUpgradeHeader(_)
        | Rejection::ConnectionNotUpgradable(_) => (
            StatusCode::UPGRADE_REQUIRED,
            "This is a WebSocket: the request must ask for an upgrade, and every proxy on the way must pass it on.",
        ),
        Rejection::InvalidWebSocketVersionHeader(_) => (
            StatusCode::UPGRADE_REQUIRED,
            "The header Sec-WebSocket-Version must be 13.",
        ),
        _ => (StatusCode::BAD_REQUEST, WRONG_KEY),
    };
    refuse_with(status, detail)
}

const WRONG_KEY: &str = "The header Sec-WebSocket-Key is missing or wrong.";

/// Whether there is one key, of 16 bytes in base64 (RFC 6455, section 4.2.1). Its last bits may be set, as in
/// an example of the RFC.
fn has_good_key(headers: &HeaderMap) -> bool {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let key = keys.next().map(|key| BASE64.decode(key));
    keys.next().is_none() && matches!(key, Some(Ok(key)) if key.len() == 16)
}

fn refuse_with(status: StatusCode, detail: &'static str) -> Response {
    let problem = Problem::new(ErrorCode::INVALID)
        .status(status)
        .detail(detail);
    let mut response = problem.into_response();
    if status == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
    }
    response
}

/// One client on a WebSocket.
struct WebSocketLink {
    socket: WebSocket,
    reading: Reading,
}

/// How far the client can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The client's close frame has come, and was not replied to yet.
    Closed,
    /// Bytes came that are not WebSocket frames, or one that is too long: nothing after them makes sense.
    Broken,
}

impl WebSocketLink {
    fn new(socket: WebSocket) -> Self {
        let reading = Reading::Open;
        Self { socket, reading }
    }

    /// Sends our close frame, unless the client's came first; then reads until the library has replied to the
    /// client's, or has it.
    async fn shake_hands(&mut self, code: Option<CloseCode>) {
        if self.reading != Reading::Closed {
            let frame = code.map(|code| CloseFrame {
                code: code.0,
                reason: code.name().into(),
            });
            // It fails where the connection is lost, and then there is nobody to read from either.
            let _ = self.socket.send(Message::Close(frame)).await;
        }
        while let Some(Ok(_)) = self.socket.recv().await {}
    }
}

impl Link for WebSocketLink {
    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    async fn receive(&mut self) -> Result<Received, LinkError> {
        match self.socket.recv().await {
            Some(Ok(Message::Binary(bytes))) => Ok(Received::Message(bytes)),
            Some(Ok(Message::Text(_))) => Ok(Received::Violation(CloseCode::BAD_FRAME)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Received::Control),
            Some(Ok(Message::Close(_))) => {
                self.reading = Reading::Closed;
                Err(LinkError::new("closed"))
            }
            None => Err(LinkError::new("closed")),
            Some(Err(error)) => {
                let code = violation(&error).ok_or_else(|| LinkError::new(error))?;
                self.reading = Reading::Broken;
                Ok(Received::Violation(code))
            }
        }
    }

    async fn send(&mut self, _lane: Lane, frames: Bytes) -> Result<(), LinkError> {
        self.socket
            .send(Message::Binary(frames))
            .await
            .map_err(LinkError::new)
    }

    fn send_datagram(&mut self, _datagram: Bytes) -> bool {
        false
    }

    fn path(&self) -> Option<Path> {
        None
    }

    async fn close(mut self, code: Option<CloseCode>) {
        // A client that reads nothing must not hold the socket.
        let _ = timeout(HANDSHAKE_DEADLINE, self.shake_hands(code)).await;
        if self.reading == Reading::Broken {
            sleep(LINGER).await;
        }
    }
}

/// What the bytes cost that the library could not read; `None` when there were none: the link is lost.
fn violation(error: &axum::Error) -> Option<CloseCode> {
    use tokio_tungstenite::tungstenite::{
        Error,
        error::{CapacityError, ProtocolError},
    };
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    match source? {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(CloseCode::FRAME_TOO_LARGE),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) | Error::Utf8(_) => Some(CloseCode::BAD_FRAME),
        _ => None,
    }
}
