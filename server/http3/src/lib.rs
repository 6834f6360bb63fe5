//! HTTP/3 (RFC 9114) as far as a server of one WebTransport session per connection needs it
//! (draft-ietf-webtrans-http3-02, which every browser speaks): bytes in, events out.
//!
//! Nothing here reads a clock or touches a socket: bytes come in as arguments, and the server sends what is
//! returned. [`Frames`] cuts frames out of a stream's bytes, however they arrive; [`Unidirectional`] watches
//! a stream that only the client writes to; [`Capsules`] waits for the end of the session. Unknown frames are
//! skipped, as the RFCs ask; a frame that is too big or out of place is an [`H3Error`], with which the
//! connection is to be closed.
//!
//! Of the promises of the whole system, G10 (every buffer is bounded) and G11 (hostile bytes never panic)
//! hang on this crate. A stream holds at most [`PAYLOAD_MAX`] bytes and what was fed at once; its capsules
//! hold as much again. Start reading at [`Frames::next`].

#![forbid(unsafe_code)]

use bytes::{Bytes, BytesMut};
use wtransport_proto::{frame::Frame as ProtoFrame, headers::Headers, session::SessionRequest};

mod capsule;
mod frame;
mod records;
mod section;
mod unidirectional;
mod varint;

pub use capsule::{Capsules, Closed, close_capsule};
pub use frame::{Frame, Frames, PAYLOAD_MAX};
pub use unidirectional::{Role, Unidirectional};
use varint::put_varint;

/// An error that ends an HTTP/3 connection: its number goes into the QUIC close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTP/3 error {0:#x}")]
pub struct H3Error(pub u32);

impl H3Error {
    /// `H3_NO_ERROR`: nothing went wrong, there is nothing more to send.
    pub const NO_ERROR: Self = Self(0x100);
    /// `H3_STREAM_CREATION_ERROR`: a stream of a kind that may not be opened (again).
    pub const STREAM_CREATION: Self = Self(0x103);
    /// `H3_CLOSED_CRITICAL_STREAM`: a stream that must stay open ended.
    pub const CLOSED_CRITICAL_STREAM: Self = Self(0x104);
    /// `H3_FRAME_UNEXPECTED`: a frame in a place where it is not allowed.
    pub const FRAME_UNEXPECTED: Self = Self(0x105);
    /// `H3_EXCESSIVE_LOAD`: a frame longer than [`PAYLOAD_MAX`].
    pub const EXCESSIVE_LOAD: Self = Self(0x107);
    /// `H3_ID_ERROR`: a lane of a session that does not exist.
    pub const ID: Self = Self(0x108);
    /// `H3_MISSING_SETTINGS`: a control stream that does not begin with settings.
    pub const MISSING_SETTINGS: Self = Self(0x10a);
    /// `H3_MESSAGE_ERROR`: a malformed request.
    pub const MESSAGE: Self = Self(0x10e);
}

/// The id of the one session: that of its CONNECT stream, the first that a client opens.
pub const SESSION_ID: u64 = 0;

/// The number in front of every datagram of the session (RFC 9297 §2.1).
const QUARTER_STREAM_ID: u64 = SESSION_ID / 4;

/// The beginning of the server's control stream: its type, and the settings.
pub fn control_preface() -> Bytes {
    const SETTINGS: [(u64, u64); 6] = [
        (0x01, 0),        // QPACK_MAX_TABLE_CAPACITY
        (0x07, 0),        // QPACK_BLOCKED_STREAMS
        (0x08, 1),        // ENABLE_CONNECT_PROTOCOL
        (0x33, 1),        // H3_DATAGRAM
        (0x2b60_3742, 1), // ENABLE_WEBTRANSPORT
        (0xc671_706a, 1), // WEBTRANSPORT_MAX_SESSIONS
    ];
    let mut settings = BytesMut::new();
    for (id, value) in SETTINGS {
        put_varint(&mut settings, id);
        put_varint(&mut settings, value);
    }
    let mut preface = BytesMut::new();
    put_varint(&mut preface, unidirectional::CONTROL);
    frame::put(&mut preface, frame::SETTINGS, &settings);
    preface.freeze()
}

/// The CONNECT request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, with the query.
    pub path: String,
    /// The web origin; `None` outside a browser.
    pub origin: Option<String>,
}

impl Request {
    /// Reads the header section of a request; `None` when it does not ask for a WebTransport session.
    ///
    /// # Errors
    /// [`H3Error::MESSAGE`] when it is not a header section.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, H3Error> {
        if !section::is_sound(payload) {
            return Err(H3Error::MESSAGE);
        }
        let frame = ProtoFrame::new_headers(payload.into());
        let headers = Headers::with_frame(&frame).map_err(|_| H3Error::MESSAGE)?;
        let Ok(request) = SessionRequest::try_from(headers) else {
            return Ok(None);
        };
        Ok(Some(Self {
            path: request.path().to_owned(),
            origin: request.origin().map(str::to_owned),
        }))
    }
}

/// The whole frame that replies to a request with this status.
pub fn response(status: u16) -> Bytes {
    let headers: Headers = [(":status", status.to_string())].into_iter().collect();
    let mut out = BytesMut::new();
    frame::put(&mut out, frame::HEADERS, headers.generate_frame().payload());
    out.freeze()
}

/// A datagram with the number in front of it.
pub fn wrap_datagram(payload: &[u8]) -> Bytes {
    let mut datagram = BytesMut::with_capacity(1 + payload.len());
    put_varint(&mut datagram, QUARTER_STREAM_ID);
    datagram.extend_from_slice(payload);
    datagram.freeze()
}

/// A datagram without the number; `None` when it is not of the session.
pub fn unwrap_datagram(mut datagram: Bytes) -> Option<Bytes> {
    let (id, length) = varint::read(&datagram)?;
    let payload = datagram.split_off(length);
    (id == QUARTER_STREAM_ID).then_some(payload)
}

#[cfg(test)]
mod tests;
