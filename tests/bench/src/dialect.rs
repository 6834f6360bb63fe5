//! The protocols of the targets: turns messages into their bytes, and their bytes into events.
//! Pure.
//!
//! All targets are driven by the same code (`drive.rs`) over the same wires (`wire.rs`); only this
//! differs. Each dialect does what a client of its target must do, and no more.

use bytes::Bytes;
use nowrong_protocol::frame::ServerFrame;

pub mod nats;
pub mod nowrong;
pub mod relay;
pub mod socketio;
pub mod sockudo;

/// An event from the target.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The partner's message of this number.
    Delivered(u32),
    /// Our message of this number was acked.
    Acked(u32),
    /// Our message of this number was refused.
    Refused(u32),
    /// These bytes have to be sent back.
    Reply(Bytes),
    /// The target ends the connection, for this reason.
    Ended(String),
    /// A frame of NoWrong that is not about a message: for opening and matching.
    Frame(Box<ServerFrame>),
}

/// One end of a connection to a target, without IO.
pub trait Dialect {
    /// The bytes that send message `number` with this text to the partner, and ask for an ack.
    fn message(&mut self, number: u32, text: &str) -> Bytes;

    /// Bytes to send after each message to get its ack, if [`Self::message`] alone cannot ask for
    /// it.
    fn ack_request(&mut self) -> Option<Bytes> {
        None
    }

    /// Takes in what the wire received: one message of a WebSocket, or some bytes of a stream.
    ///
    /// # Errors
    /// When the bytes are not of this dialect: then the run is worthless.
    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()>;

    /// Bytes that a silent client sends from time to time.
    fn keep_alive(&mut self) -> Option<Bytes> {
        None
    }
}
