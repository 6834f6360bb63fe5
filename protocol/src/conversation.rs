//! The conversation of two peers, without IO: which side may send which frame, when, and by which
//! deadline.
//!
//! [`ServerConversation`] and [`ClientConversation`] take the bytes of a link and the time, and
//! return what to do. They own the phases, every deadline of [`crate::limits`] that applies to a
//! connection, version negotiation, pings, and the verdict on hostile bytes. They never touch a
//! socket, a clock or a token: the shell that drives them does.
//!
//! Both have the same shape:
//!
//! ```text
//! handle_input(input, now)   bytes arrived, or the shell decided something
//! handle_timeout(now)        call at or after poll_timeout(); early calls do nothing
//! poll_output()              call until None after each of the two above
//! poll_timeout()             when to call handle_timeout; changes after any of the above
//! ```
//!
//! What the shell can count on:
//!
//! - Outputs come in order and are made while they are polled. As long as the shell polls until
//!   `None`, no more than one frame and one read per lane and a handful of outputs are held inside.
//! - A mistake of the peer, of any kind, costs it exactly one [`Bye`], handed out as a `Transmit`,
//!   and later one `Close` (server) or `Closed` (client). Later input is ignored.
//! - Inputs that do not fit the phase (an `Admit` after the client has left) are ignored. Ask
//!   `phase()` before acting on a slow verdict.
//! - After `LinkClosed` a server conversation has no more output; a client conversation has one
//!   last `Closed`.
//!
//! The server's phases, with what ends each:
//!
//! ```text
//! Hello ──Hello──► Verdict ──Admit──► Ready ──Drain──► Draining
//!   │ 5 s            │ 5 s, Refuse      │ 50 s idle      │ 50 s idle
//!   └────────────────┴──────── Bye ─────┴────────────────┘
//!                               ▼
//!                            Closing ──2 s, or the link closed──► Closed
//! ```
//!
//! A WebTransport shell passes in `LiveBytes`, `BulkBytes`, `BulkEnded` and `Datagram`; a WebSocket
//! shell passes in `Message`, once per binary message, and closes with `BAD_FRAME` on a text
//! message. The frames of a WebSocket message count as [`Lane::Live`](crate::frame::Lane::Live), on
//! which frames of all lanes may travel.

use std::time::Instant;

use crate::{CloseCode, envelope::EnvelopeError, frame::Bye};

pub mod client;
mod lane;
pub mod server;

pub use client::ClientConversation;
pub use server::ServerConversation;

/// How far a conversation has come. Phases follow each other in this order; any may be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// No `Hello` yet. A client is never in this phase: it begins with its `Hello` sent.
    Hello,
    /// The server's shell has the `Hello` and will admit or refuse it.
    Verdict,
    /// `Welcome` was sent.
    Ready,
    /// `GoAway` was sent: everything still works, but the connection will end soon.
    Draining,
    /// We sent `Bye` and wait for the other side to close.
    Closing,
    /// The conversation is over.
    Closed,
}

impl Phase {
    /// Whether requests, replies and pushes flow.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Draining)
    }

    const fn is_over(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }
}

/// A `Bye` with the standard text of `code` that names no time to wait.
pub fn bye(code: CloseCode) -> Bye {
    Bye {
        code,
        retry_after_ms: 0,
        reason: code.text().to_owned(),
    }
}

impl From<EnvelopeError> for CloseCode {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::TooLarge { .. } => Self::FRAME_TOO_LARGE,
            EnvelopeError::Malformed | EnvelopeError::Truncated => Self::BAD_FRAME,
        }
    }
}

fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
