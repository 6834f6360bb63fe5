//! NoWrong's own protocol, for a client that only chats. Pure.

use std::collections::BTreeSet;

use anyhow::Context as _;
use bytes::Bytes;
use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, Position, ServerFrame,
    envelope::{Decoder, split_frame},
    frame::{Body, Delivered, Ping, Pong, Send},
    limits::FRAME_BYTES_MAX,
};

use super::{Dialect, Event};
use crate::workload::number_of;

/// How frames are arranged on the wire.
enum Framing {
    /// Each WebSocket message holds whole frames.
    Messages,
    /// A stream of frames, one after the other.
    Stream(Decoder),
}

/// A client of NoWrong.
pub struct NoWrong {
    framing: Framing,
    chat: Option<ChatId>,
    sends_receipts: bool,
    position: Position,
    /// Positions after a gap that follows `position`: an ack can overtake the partner's message
    /// before it.
    beyond: BTreeSet<Position>,
}

impl NoWrong {
    /// Over a WebSocket.
    pub fn over_messages() -> Self {
        Self::new(Framing::Messages)
    }

    /// Over the live lane of WebTransport.
    pub fn over_stream() -> Self {
        Self::new(Framing::Stream(Decoder::new()))
    }

    fn new(framing: Framing) -> Self {
        Self {
            framing,
            chat: None,
            sends_receipts: false,
            position: Position::START,
            beyond: BTreeSet::new(),
        }
    }

    /// The same, but it confirms received messages as the SDK does: one `Delivered` for each read.
    pub fn with_receipts(self, sends_receipts: bool) -> Self {
        Self {
            sends_receipts,
            ..self
        }
    }

    /// Sends messages to this chat from now on.
    pub fn enter(&mut self, chat: ChatId) {
        self.chat = Some(chat);
    }

    /// The chat that messages are sent to.
    pub fn chat(&self) -> Option<ChatId> {
        self.chat
    }

    /// The position up to which this client holds the chat without a gap, and from which it
    /// resumes.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Continues where another connection of the same client stopped.
    pub fn resume(&mut self, chat: ChatId, position: Position) {
        (self.chat, self.position) = (Some(chat), position);
    }

    fn learn(&mut self, position: Position) {
        self.beyond.insert(position);
        while let Some(next) = self.beyond.first().copied()
            && next.seq <= self.position.seq + 1
        {
            self.beyond.pop_first();
            self.position = self.position.max(next);
        }
    }

    fn take(&mut self, frame: ServerFrame, events: &mut Vec<Event>) {
        events.push(match frame {
            ServerFrame::Message(message) => {
                self.learn(message.position);
                let Body::Text(text) = &message.body else {
                    return;
                };
                match number_of(text) {
                    Some(number) => Event::Delivered(number),
                    None => Event::Ended("a text without a number".to_owned()),
                }
            }
            ServerFrame::Ack(ack) => {
                self.learn(ack.position);
                Event::Acked(ack.request)
            }
            ServerFrame::Fail(fail) if fail.request != JOIN_REQUEST => Event::Refused(fail.request),
            ServerFrame::Ping(Ping { nonce }) => {
                Event::Reply(ClientFrame::from(Pong { nonce }).encode())
            }
            ServerFrame::Bye(bye) => Event::Ended(format!("Bye: {}", bye.code.name())),
            other => Event::Frame(Box::new(other)),
        });
    }

    /// Confirms everything up to the newest message, if this read brought any.
    fn receipt(&self, events: &[Event]) -> Option<Event> {
        let has_new = events
            .iter()
            .any(|event| matches!(event, Event::Delivered(_)));
        let chat = self.chat.filter(|_| self.sends_receipts && has_new)?;
        let position = self.position;
        let frame = ClientFrame::from(Delivered { chat, position });
        Some(Event::Reply(frame.encode()))
    }
}

/// The request id of `Join`; messages use their numbers, which never get this high.
pub const JOIN_REQUEST: u32 = u32::MAX;

/// The id of message `number`, the same in all its sends.
fn client_message_id(number: u32) -> ClientMessageId {
    let mut bytes = [0x70; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ClientMessageId::from_bytes(bytes)
}

impl Dialect for NoWrong {
    fn message(&mut self, number: u32, text: &str) -> Bytes {
        let send = Send {
            request: number,
            chat: self.chat.unwrap_or(ChatId::from_bytes([0; 16])),
            client_message_id: client_message_id(number),
            reply_to: None,
            body: Body::Text(text.to_owned()),
        };
        ClientFrame::from(send).encode()
    }

    fn receive(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        match &mut self.framing {
            Framing::Messages => {
                let mut rest = bytes.as_ref();
                while !rest.is_empty() {
                    let split = split_frame(rest, FRAME_BYTES_MAX)?;
                    let (raw, width) = split.context("a message ends inside a frame")?;
                    frames.extend(ServerFrame::decode(raw.kind, raw.body)?);
                    rest = &rest[width..];
                }
            }
            Framing::Stream(decoder) => {
                decoder.push(bytes);
                while let Some(raw) = decoder.next_frame(FRAME_BYTES_MAX)? {
                    frames.extend(ServerFrame::decode(raw.kind, raw.body)?);
                }
            }
        }
        let known = events.len();
        for frame in frames {
            self.take(frame, events);
        }
        events.extend(self.receipt(&events[known..]));
        Ok(())
    }

    fn keep_alive(&mut self) -> Option<Bytes> {
        Some(ClientFrame::from(Ping { nonce: 1 }).encode())
    }
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::frame::{Ack, Message};

    use super::*;
    use crate::workload::text_of;

    fn delivery(number: u32, seq: u64) -> Bytes {
        let message = Message {
            chat: ChatId::from_bytes([1; 16]),
            position: Position::new(1, seq),
            member: 1,
            client_message_id: client_message_id(number),
            at_ms: 0,
            reply_to: None,
            body: Body::Text(text_of(number, 40)),
        };
        ServerFrame::from(message).encode()
    }

    fn ack(request: u32, seq: u64) -> Bytes {
        let position = Position::new(1, seq);
        ServerFrame::from(Ack {
            request,
            position,
            at_ms: 0,
        })
        .encode()
    }

    #[test]
    fn frames_become_events_however_they_are_cut() {
        let bytes: Bytes = [delivery(5, 1), ack(6, 2)].concat().into();
        let expected = [Event::Delivered(5), Event::Acked(6)];
        let mut events = Vec::new();
        let mut whole = NoWrong::over_messages();
        whole.receive(&bytes, &mut events).unwrap();
        assert_eq!(events, expected);
        assert_eq!(whole.position(), Position::new(1, 2));

        let (mut cut, mut events) = (NoWrong::over_stream(), Vec::new());
        for at in 0..bytes.len() {
            cut.receive(&bytes.slice(at..=at), &mut events).unwrap();
        }
        assert_eq!(events, expected);
        let torn = bytes.slice(..bytes.len() - 1);
        assert!(
            NoWrong::over_messages()
                .receive(&torn, &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn the_position_never_jumps_over_a_gap() {
        let mut client = NoWrong::over_messages();
        let mut position_after = |bytes: Bytes| {
            client.receive(&bytes, &mut Vec::new()).unwrap();
            client.position().seq
        };
        assert_eq!(position_after(delivery(1, 1)), 1);
        assert_eq!(position_after(ack(2, 3)), 1, "2 is missing");
        assert_eq!(position_after(delivery(3, 2)), 3);
        assert_eq!(position_after(delivery(3, 2)), 3, "again");
    }

    #[test]
    fn receipts_are_one_for_each_read() {
        let bytes: Bytes = [delivery(5, 1), delivery(6, 2)].concat().into();
        let mut client = NoWrong::over_messages().with_receipts(true);
        client.enter(ChatId::from_bytes([1; 16]));
        let mut events = Vec::new();
        client.receive(&bytes, &mut events).unwrap();
        let Some(Event::Reply(receipt)) = events.get(2) else {
            panic!("{events:?}");
        };
        let (raw, _) = split_frame(receipt, FRAME_BYTES_MAX).unwrap().unwrap();
        let ClientFrame::Delivered(receipt) =
            ClientFrame::decode(raw.kind, raw.body).unwrap().unwrap()
        else {
            panic!("no receipt");
        };
        assert_eq!((receipt.position, events.len()), (Position::new(1, 2), 3));
    }

    #[test]
    fn a_message_sent_again_is_the_same_bytes() {
        let mut client = NoWrong::over_messages();
        assert_eq!(client.message(7, "hello"), client.message(7, "hello"));
        assert_ne!(client.message(7, "hello"), client.message(8, "hello"));
    }
}
