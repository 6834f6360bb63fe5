//! Sockudo over a WebSocket: version 7 of the Pusher Channels protocol, JSON in text messages. Pure.
//!
//! A pair has a private channel; a message is a client event there, and goes to its other subscriber.
//! The server does not ack events. So a ping follows each event: the server handles a connection's
//! input in order, and the pong shows that the event before the ping was accepted and passed on. If
//! an event is refused, an error comes before the pong, which ends the run of this connection
//! (<https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/>).

use std::{borrow::Cow, collections::VecDeque};

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::hmac;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::{Dialect, Event};
use crate::workload::number_of;

/// The key of the only app, which clients name.
pub const APP_KEY: &str = "bench";

/// Its secret, which admits clients to private channels; it protects nothing of value.
pub const APP_SECRET: &str = "bench-secret";

/// Asks for a pong.
const PING: Bytes = Bytes::from_static(br#"{"event":"pusher:ping"}"#);

/// The reply to a ping.
const PONG: Bytes = Bytes::from_static(br#"{"event":"pusher:pong"}"#);

/// A client of Sockudo.
pub struct Sockudo {
    channel: String,
    /// Our messages that have no ack yet, oldest first.
    unacked: VecDeque<u32>,
}

/// An event, in both directions.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    data: Value,
}

/// The data of the event that establishes a connection.
#[derive(Deserialize)]
struct Established {
    socket_id: String,
}

impl Sockudo {
    /// The client of `user`, who writes to the other user of the pair.
    pub fn new(user: u32) -> Self {
        Self {
            channel: channel_of(user),
            unacked: VecDeque::new(),
        }
    }

    /// The first event of a client, after the server's `established`: it subscribes, with proof
    /// that it may.
    ///
    /// # Errors
    /// When the server has not opened.
    pub fn subscribe(user: u32, established: &[u8]) -> anyhow::Result<Bytes> {
        let said: Said<'_> = serde_json::from_slice(established)?;
        let is_open = said.event == "pusher:connection_established";
        ensure!(is_open, "not open: {} {}", said.event, said.data);
        let data = said.data.as_str().context("a connection without data")?;
        let Established { socket_id } = serde_json::from_str(data)?;
        let channel = channel_of(user);
        let signature = signature(APP_SECRET, &format!("{socket_id}:{channel}"));
        let data = format!(r#"{{"channel":"{channel}","auth":"{APP_KEY}:{signature}"}}"#);
        Ok(format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#).into())
    }

    /// Whether these bytes are the server's answer to [`Self::subscribe`].
    pub fn is_subscribed(bytes: &[u8]) -> bool {
        serde_json::from_slice(bytes)
            .is_ok_and(|said: Said<'_>| said.event == "pusher_internal:subscription_succeeded")
    }
}

impl Dialect for Sockudo {
    fn message(&mut self, number: u32, text: &str) -> Bytes {
        self.unacked.push_back(number);
        // The texts of the workload need no escapes.
        let channel = &self.channel;
        format!(r#"{{"event":"client-message","channel":"{channel}","data":"{text}"}}"#).into()
    }

    fn ack_request(&mut self) -> Option<Bytes> {
        Some(PING)
    }

    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let said: Said<'_> = serde_json::from_slice(bytes)?;
        events.push(match said.event.as_ref() {
            "client-message" => {
                let number = said.data.as_str().and_then(number_of);
                Event::Delivered(number.context("a text without a number")?)
            }
            "pusher:pong" => Event::Acked(self.unacked.pop_front().context("an ack of nothing")?),
            "pusher:ping" => Event::Reply(PONG),
            "pusher:error" => Event::Ended(format!("an error: {}", said.data)),
            other => bail!("an unknown event: {other}"),
        });
        Ok(())
    }
}

/// The channel of a pair.
fn channel_of(user: u32) -> String {
    format!("private-p{}", user / 2)
}

/// HMAC-SHA256 in hexadecimal digits.
fn signature(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::text_of;

    #[test]
    fn a_client_is_let_into_the_channel_of_its_pair() {
        let established = br#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#;
        let subscribe = Sockudo::subscribe(3, established).unwrap();
        let auth = signature(APP_SECRET, "1.2:private-p1");
        assert_eq!(
            subscribe,
            format!(
                r#"{{"event":"pusher:subscribe","data":{{"channel":"private-p1","auth":"bench:{auth}"}}}}"#
            )
        );
        let answer =
            br#"{"event":"pusher_internal:subscription_succeeded","channel":"private-p1","data":"{}"}"#;
        assert!(Sockudo::is_subscribed(answer));
        let refusal = br#"{"event":"pusher:error","data":{"code":4009,"message":"no"}}"#;
        assert!(!Sockudo::is_subscribed(refusal));
        assert!(Sockudo::subscribe(3, refusal).is_err());
    }

    #[test]
    fn signatures_are_those_of_the_protocol() {
        // The example of https://pusher.com/docs/channels/library_auth_reference/auth-signatures/.
        assert_eq!(
            signature("7ad3773142a6692b25b8", "1234.1234:private-foobar"),
            "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        );
    }

    #[test]
    fn what_is_said_becomes_events() {
        let (seven, eight) = (text_of(7, 40), text_of(8, 40));
        let mut client = Sockudo::new(2);
        assert_eq!(
            client.message(7, &seven),
            format!(r#"{{"event":"client-message","channel":"private-p1","data":"{seven}"}}"#)
        );
        assert_eq!(client.ack_request(), Some(PING));
        let said = [
            format!(r#"{{"event":"client-message","channel":"private-p1","data":"{eight}"}}"#),
            r#"{"event":"pusher:pong"}"#.to_owned(),
            r#"{"data":{},"event":"pusher:ping"}"#.to_owned(),
            r#"{"event":"pusher:error","data":{"code":4100}}"#.to_owned(),
        ];
        let mut events = Vec::new();
        for bytes in said {
            client.receive(&bytes.into(), &mut events).unwrap();
        }
        let expected = [
            Event::Delivered(8),
            Event::Acked(7),
            Event::Reply(PONG),
            Event::Ended(r#"an error: {"code":4100}"#.to_owned()),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn what_is_not_of_the_protocol_is_an_error() {
        for said in [
            "",
            "\u{fffd}",
            r#"["client-message"]"#,
            r#"{"data":"00000007"}"#,
            r#"{"event":"client-message"}"#,
            r#"{"event":"client-message","data":"hello"}"#,
            r#"{"event":"pusher:pong"}"#,
            r#"{"event":"pusher:ping"}{}"#,
            r#"{"event":"client-typing","data":"00000007"}"#,
        ] {
            let bytes = Bytes::from_static(said.as_bytes());
            let outcome = Sockudo::new(2).receive(&bytes, &mut Vec::new());
            assert!(outcome.is_err(), "{said}");
            assert!(Sockudo::subscribe(2, &bytes).is_err(), "{said}");
            assert!(!Sockudo::is_subscribed(&bytes), "{said}");
        }
    }
}
