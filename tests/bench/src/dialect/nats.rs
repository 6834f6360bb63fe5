//! NATS over a WebSocket: its client protocol, as a stream of bytes cut into binary messages. Pure.
//!
//! Each user listens to a subject of their own. `PUB subject length` and the text is a message,
//! `MSG` its delivery; a client in verbose mode gets `+OK` for each, in order, once the server has
//! accepted it (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};

use super::{Dialect, Event};
use crate::workload::number_of;

/// The end of every line, and of every text.
const END: &[u8] = b"\r\n";

/// A client of NATS.
pub struct Nats {
    partner: u32,
    /// Our messages that have no ack yet, oldest first.
    unacked: VecDeque<u32>,
    /// Received bytes of an incomplete line or text.
    rest: BytesMut,
}

impl Nats {
    /// The client of `user`, who writes to the other user of the pair.
    pub fn new(user: u32) -> Self {
        Self {
            partner: user ^ 1,
            unacked: VecDeque::new(),
            rest: BytesMut::new(),
        }
    }

    /// The first bytes of a client. The server has accepted it when `PONG` comes.
    pub fn hello(user: u32) -> Bytes {
        let connect = r#"CONNECT {"verbose":true,"pedantic":false,"lang":"bench","version":"1"}"#;
        format!("{connect}\r\nSUB u.{user} 1\r\nPING\r\n").into()
    }

    /// Whether these bytes, the last ones received, end the answer to [`Self::hello`].
    pub fn is_connected(bytes: &[u8]) -> bool {
        bytes.ends_with(b"PONG\r\n")
    }

    /// The next whole line, and the text that belongs to it.
    fn next_line(&mut self) -> anyhow::Result<Option<(Bytes, Bytes)>> {
        let is_end = |window: &[u8]| window == END;
        let Some(length) = self.rest.windows(END.len()).position(is_end) else {
            return Ok(None);
        };
        let text_length = match self.rest[..length].strip_prefix(b"MSG ") {
            Some(fields) => {
                let fields = std::str::from_utf8(fields)?;
                let last = fields
                    .rsplit(' ')
                    .next()
                    .context("a delivery without length")?;
                Some(last.parse::<usize>()?)
            }
            None => None,
        };
        let after = length + END.len();
        let whole = after + text_length.map_or(0, |text| text + END.len());
        if self.rest.len() < whole {
            return Ok(None);
        }
        let mut line = self.rest.split_to(whole).freeze();
        let mut text = line.split_off(after);
        line.truncate(length);
        text.truncate(text_length.unwrap_or(0));
        Ok(Some((line, text)))
    }

    fn event(&mut self, line: &[u8], text: &[u8]) -> anyhow::Result<Option<Event>> {
        Ok(Some(match line {
            b"+OK" => Event::Acked(self.unacked.pop_front().context("an ack of nothing")?),
            b"PING" => Event::Reply(Bytes::from_static(b"PONG\r\n")),
            b"PONG" => return Ok(None),
            line if line.starts_with(b"MSG ") => {
                let number = number_of(std::str::from_utf8(text)?);
                Event::Delivered(number.context("a text without a number")?)
            }
            line if line.starts_with(b"INFO ") => return Ok(None),
            line if line.starts_with(b"-ERR") => {
                Event::Ended(String::from_utf8_lossy(line).into_owned())
            }
            other => bail!("an unknown line: {}", String::from_utf8_lossy(other)),
        }))
    }
}

impl Dialect for Nats {
    fn message(&mut self, number: u32, text: &str) -> Bytes {
        self.unacked.push_back(number);
        format!("PUB u.{} {}\r\n{text}\r\n", self.partner, text.len()).into()
    }

    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()> {
        self.rest.extend_from_slice(bytes);
        while let Some((line, text)) = self.next_line()? {
            events.extend(self.event(&line, &text)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::text_of;

    #[test]
    fn lines_become_events_wherever_they_are_cut() {
        let (seven, eight) = (text_of(7, 40), text_of(8, 40));
        let mut client = Nats::new(2);
        assert_eq!(
            client.message(7, &seven),
            format!("PUB u.3 40\r\n{seven}\r\n")
        );
        let bytes: Bytes =
            format!("+OK\r\nMSG u.2 1 40\r\n{eight}\r\nPING\r\nPONG\r\n-ERR 'Slow'\r\n").into();
        let mut events = Vec::new();
        for at in 0..bytes.len() {
            client.receive(&bytes.slice(at..=at), &mut events).unwrap();
        }
        let expected = [
            Event::Acked(7),
            Event::Delivered(8),
            Event::Reply(Bytes::from_static(b"PONG\r\n")),
            Event::Ended("-ERR 'Slow'".to_owned()),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn what_is_not_of_the_protocol_is_an_error() {
        for bytes in [&b"HELLO\r\n"[..], b"+OK\r\n", b"MSG u.2 1 x\r\n"] {
            let outcome = Nats::new(2).receive(&Bytes::from_static(bytes), &mut Vec::new());
            assert!(outcome.is_err(), "{bytes:?}");
        }
    }
}
