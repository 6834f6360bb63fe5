//! Opening, keeping and closing a connection, and the general replies.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    CloseCode, ConnectionId, ErrorCode, Framed, Position, frame::ChatState, frame::TicketState,
    id::ChatId, version::VersionRange,
};

/// The first frame of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol versions that the client speaks.
    pub versions: VersionRange,
    /// From `POST /v1/connect`; single use, lives 30 s.
    pub connect_token: String,
    /// Name and version of the client library, for the operator's counters; at most 64 bytes.
    pub agent: String,
    /// The chats that the client wants to resume; at most 4.
    #[serde(deserialize_with = "crate::wire::list")]
    pub resume: Vec<Resume>,
}

/// A chat that a client resumes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Which chat.
    pub chat: ChatId,
    /// The newest position up to which the client holds the chat without a gap; `0.0` when it holds
    /// nothing.
    pub position: Position,
}

/// The server's answer to a good `Hello`. Messages after the resumed positions follow as `Message`
/// frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both speak from here on.
    pub version: u16,
    /// Names this connection in logs on both sides.
    pub connection: ConnectionId,
    /// The server's clock in milliseconds since the Unix epoch.
    pub server_time_ms: u64,
    /// The limits in force.
    pub limits: Framed<Limits>,
    /// The user's place in a queue, if there is one.
    pub ticket: Option<Framed<TicketState>>,
    /// The user's chat, if there is one.
    pub chat: Option<Framed<ChatState>>,
}

/// The limits that a server enforces on its clients. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest frame body in bytes.
    pub frame_bytes_max: u32,
    /// Longest text in bytes of UTF-8.
    pub text_bytes_max: u32,
    /// Longest text in graphemes.
    pub text_graphemes_max: u32,
    /// A client that has sent nothing for this long sends a `Ping`.
    pub ping_interval_ms: u32,
    /// The connection of a client that has been silent for this long is closed.
    pub idle_timeout_ms: u32,
    /// How long the seat of a member without a connection is held.
    pub seat_hold_ms: u32,
}

/// The last frame of a connection. Its sender closes the link once the other side has closed, or
/// after 2 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bye {
    /// Why the connection ends; the range of the code says whether to reconnect.
    pub code: CloseCode,
    /// Earliest time to reconnect, in milliseconds from now; 0 when it does not matter.
    pub retry_after_ms: u32,
    /// A text for a person; may be empty.
    pub reason: String,
}

/// The server will close soon: connect again after the given time, then close this connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoAway {
    /// When to reconnect, in milliseconds from now: the server uses it to spread its clients over
    /// time.
    pub retry_after_ms: u32,
    /// Where to connect, when the server knows; otherwise ask `POST /v1/connect`.
    pub endpoint: Option<Framed<Endpoint>>,
}

/// The addresses of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `https://host:port/path` for WebTransport; empty when it has none.
    pub webtransport: String,
    /// `ws://` or `wss://` URL; empty when it has none.
    pub websocket: String,
}

/// Asks for a `Pong` with the same nonce.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// Chosen by the sender.
    pub nonce: u32,
}

/// The reply to a `Ping`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pong {
    /// The nonce of the `Ping`.
    pub nonce: u32,
}

/// Reply: the request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The id of the request.
    pub request: u32,
}

/// Reply: the request failed and changed nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fail {
    /// The id of the request.
    pub request: u32,
    /// Why it failed; the range of the code says whether the same request may succeed later.
    pub code: ErrorCode,
    /// Earliest time to try again, in milliseconds from now; 0 when it does not matter.
    pub retry_after_ms: u32,
    /// A text for a developer, such as the field and the bound; may be empty.
    pub detail: String,
}

/// A copy of bytes of the live lane, in a datagram: over a link that loses packets it may arrive
/// before the stream's own bytes. The receiver skips bytes that it already has, both in a copy and
/// in the stream.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCopy {
    /// How many bytes the sender wrote to its live lane before these.
    pub offset: u64,
    /// The bytes of the lane from there on, cut at any place; at most 987 bytes.
    pub bytes: Bytes,
}

impl std::fmt::Debug for LaneCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { offset, bytes } = self;
        write!(f, "LaneCopy({offset}, <{} bytes>)", bytes.len())
    }
}
