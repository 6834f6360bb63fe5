//! Socket.IO 4 over a WebSocket: Engine.IO 4 packets in text, events with acks. Pure.
//!
//! `0{…}` opens, `40{"user":n}` joins the namespace, `42N["m","text"]` is an event that asks for ack
//! `N`, `43N[]` is that ack, `2` is a ping and `3` its pong
//! (<https://socket.io/docs/v4/socket-io-protocol/>).

use anyhow::{Context as _, bail};
use bytes::Bytes;

use super::{Dialect, Event};
use crate::workload::number_of;

/// A client of Socket.IO.
pub struct SocketIo;

impl SocketIo {
    /// The first packet of a client once the server has opened: its number.
    pub fn connect(user: u32) -> Bytes {
        format!(r#"40{{"user":{user}}}"#).into()
    }

    /// Whether this packet is the server's answer to [`Self::connect`].
    pub fn is_connected(packet: &[u8]) -> bool {
        packet.starts_with(b"40")
    }
}

impl Dialect for SocketIo {
    fn message(&mut self, number: u32, text: &str) -> Bytes {
        // The texts of the workload need no escapes.
        format!(r#"42{number}["m","{text}"]"#).into()
    }

    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let packet = std::str::from_utf8(bytes)?;
        if let Some(event) = packet.strip_prefix("42") {
            let text = event
                .strip_prefix(r#"["m",""#)
                .context("an unknown event")?;
            events.push(Event::Delivered(
                number_of(text).context("a text without a number")?,
            ));
        } else if let Some(ack) = packet.strip_prefix("43") {
            let digits = ack.split('[').next().unwrap_or_default();
            events.push(Event::Acked(
                digits.parse().context("an ack without a number")?,
            ));
        } else {
            match packet {
                "2" => events.push(Event::Reply(Bytes::from_static(b"3"))),
                "1" | "41" => events.push(Event::Ended("the server disconnects".to_owned())),
                other => bail!("an unknown packet: {other}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::text_of;

    #[test]
    fn packets_become_events() {
        let mut client = SocketIo;
        let text = text_of(7, 40);
        let sent = client.message(7, &text);
        assert_eq!(sent, format!("427[\"m\",\"{text}\"]"));
        let packets = [
            format!("42[\"m\",\"{text}\"]"),
            "437[]".to_owned(),
            "2".to_owned(),
            "41".to_owned(),
        ];
        let mut events = Vec::new();
        for packet in packets {
            client.receive(&packet.into(), &mut events).unwrap();
        }
        let expected = [
            Event::Delivered(7),
            Event::Acked(7),
            Event::Reply(Bytes::from_static(b"3")),
            Event::Ended("the server disconnects".to_owned()),
        ];
        assert_eq!(events, expected);
        assert!(
            client
                .receive(&Bytes::from_static(b"44{}"), &mut events)
                .is_err()
        );
    }
}
