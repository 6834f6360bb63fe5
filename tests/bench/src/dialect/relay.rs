//! The smallest protocol for a chat: a greeting, a message, an ack. For both ends: [`crate::relay`]
//! uses it too.
//!
//! A body is one byte of kind and the rest; on a stream it is preceded by two bytes of length.

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Dialect, Event};
use crate::workload::{BODY_BYTES_MIN, number_of};

/// Kind of a body: a message, followed by its text.
pub const MESSAGE: u8 = 0;
/// Kind of a body: an ack, followed by the beginning of the text that it acks.
pub const ACK: u8 = 1;
/// Kind of a body: the first one of a client, followed by its number in four bytes.
pub const HELLO: u8 = 2;

/// Cuts a stream into bodies.
#[derive(Debug, Default)]
pub struct Cutter(BytesMut);

impl Cutter {
    /// Takes in bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole body.
    pub fn next_body(&mut self) -> Option<Bytes> {
        let length = usize::from(u16::from_be_bytes(self.0.get(..2)?.try_into().ok()?));
        if self.0.len() < 2 + length {
            return None;
        }
        let mut body = self.0.split_to(2 + length);
        Some(body.split_off(2).freeze())
    }
}

/// A body of this kind, with its length in front if it is for a stream.
pub fn body(kind: u8, rest: &[u8], is_stream: bool) -> Bytes {
    let mut bytes = BytesMut::with_capacity(3 + rest.len());
    if is_stream {
        bytes.put_u16((1 + rest.len()) as u16);
    }
    bytes.put_u8(kind);
    bytes.put_slice(rest);
    bytes.freeze()
}

/// The ack of a message with this text.
pub fn ack(text: &[u8], is_stream: bool) -> Option<Bytes> {
    Some(body(ACK, text.get(..BODY_BYTES_MIN)?, is_stream))
}

/// A client of the bare relays.
pub struct Relay {
    /// The incomplete body of a stream; `None` over a WebSocket.
    cutter: Option<Cutter>,
}

impl Relay {
    /// A client over a stream, or over a WebSocket.
    pub fn new(is_stream: bool) -> Self {
        Self {
            cutter: is_stream.then(Cutter::default),
        }
    }

    /// The first bytes of user `user`.
    pub fn hello(&self, user: u32) -> Bytes {
        body(HELLO, &user.to_be_bytes(), self.cutter.is_some())
    }
}

impl Dialect for Relay {
    fn message(&mut self, _number: u32, text: &str) -> Bytes {
        body(MESSAGE, text.as_bytes(), self.cutter.is_some())
    }

    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let Some(cutter) = &mut self.cutter else {
            events.push(event(bytes)?);
            return Ok(());
        };
        cutter.push(bytes);
        while let Some(body) = cutter.next_body() {
            events.push(event(&body)?);
        }
        Ok(())
    }
}

fn event(body: &[u8]) -> anyhow::Result<Event> {
    let (kind, text) = body.split_first().context("an empty body")?;
    let number = number_of(std::str::from_utf8(text)?).context("a text without a number")?;
    Ok(match *kind {
        MESSAGE => Event::Delivered(number),
        ACK => Event::Acked(number),
        other => bail!("a body of kind {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::text_of;

    #[test]
    fn messages_and_acks_come_back_over_both_wires() {
        let text = text_of(9, 40);
        for is_stream in [false, true] {
            let mut client = Relay::new(is_stream);
            let (mut events, message) = (Vec::new(), client.message(9, &text));
            client.receive(&message, &mut events).unwrap();
            let ack = ack(text.as_bytes(), is_stream).unwrap();
            client.receive(&ack, &mut events).unwrap();
            assert_eq!(events, [Event::Delivered(9), Event::Acked(9)]);
        }
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let mut client = Relay::new(true);
        let bytes: Bytes = [
            client.message(1, &text_of(1, 8)),
            client.message(2, &text_of(2, 40)),
        ]
        .concat()
        .into();
        let mut events = Vec::new();
        for at in 0..bytes.len() {
            client.receive(&bytes.slice(at..=at), &mut events).unwrap();
        }
        assert_eq!(events, [Event::Delivered(1), Event::Delivered(2)]);
    }

    #[test]
    fn what_is_no_body_is_an_error() {
        let mut client = Relay::new(false);
        for bytes in [&b""[..], b"\x00short", b"\x0700000001"] {
            let outcome = client.receive(&Bytes::from_static(bytes), &mut Vec::new());
            assert!(outcome.is_err(), "{bytes:?}");
        }
    }
}
