//! What the targets speak: a message in their bytes, and their bytes as what happened. Pure.
//!
//! All targets are driven by the same code (`drive.rs`) over the same wires (`wire.rs`); only this
//! differs. Each dialect does what a client of that target has to do, and no more.

use bytes::Bytes;
use nowrong_protocol::frame::ServerFrame;

pub mod nats;
pub mod nowrong;
pub mod relay;
pub mod socketio;
pub mod sockudo;

/// What came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The partner's message of this number.
    Delivered(u32),
    /// Our message of this number has its ack.
    Acked(u32),
    /// Our message of this number was refused.
    Refused(u32),
    /// These bytes have to be sent back.
    Reply(Bytes),
    /// The target ends the connection, and says why.
    Ended(String),
    /// A frame of NoWrong that concerns no message: for opening and matching.
    Frame(Box<ServerFrame>),
}

/// One end of a connection to a target, without IO.
pub trait Dialect {
    /// The bytes that send message `number` with this text to the partner, and ask for an ack.
    fn message(&mut self, number: u32, text: &str) -> Bytes;

    /// What has to follow each message for its ack to come, where [`Self::message`] alone cannot ask for
    /// it.
    fn ack_request(&mut self) -> Option<Bytes> {
        None
    }

    /// Takes what the wire received: one message of a WebSocket, or some bytes of a stream.
    ///
    /// # Errors
    /// When the bytes are not of this dialect: the run is worth nothing.
    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()>;

    /// What a client that has nothing to say sends now and then.
    fn keep_alive(&mut self) -> Option<Bytes> {
        None
    }
}
