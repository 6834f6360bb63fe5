//! Single operations of codec, conversation, chat log and matcher: the same cases for criterion,
//! for callgrind and for a quick look.
//!
//! Counts of instructions are repeatable where times are not, so budgets are in instructions. A
//! case is run under callgrind twice, with few and with many operations; the difference excludes
//! start and set-up.

#![forbid(unsafe_code)]

use std::{hint::black_box, time::Instant};

use nowrong_core::{
    chat_log::{Appended, ChatLog},
    matching::{Pool, Ticket},
    node::NodeId,
    record::{AgeBracket, Epoch},
    text::{Interest, InterestError},
};
use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, ConnectionId, Framed, Position, ServerFrame, TicketId,
    UserId,
    conversation::{
        ServerConversation,
        server::{Input, Output},
    },
    envelope::split_frame,
    frame::{Body, Hello, Limits, Message, Send, Welcome},
    limits::{CHAT_MESSAGES_MAX, FRAME_BYTES_MAX},
    version::VersionRange,
};

pub mod budget;
mod callgrind;

pub use callgrind::instructions;

/// One operation that can be repeated.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, also on the command line.
    pub name: &'static str,
    /// Does it this many times.
    pub run: fn(u32),
}

/// All cases.
pub const CASES: &[Case] = &[
    Case {
        name: "encode-send",
        run: encode_send,
    },
    Case {
        name: "decode-send",
        run: decode_send,
    },
    Case {
        name: "encode-message",
        run: encode_message,
    },
    Case {
        name: "decode-message",
        run: decode_message,
    },
    Case {
        name: "converse-send",
        run: converse_send,
    },
    Case {
        name: "log-append",
        run: append,
    },
    Case {
        name: "match-two",
        run: match_two,
    },
    Case {
        name: "refuse-interest",
        run: refuse_interest,
    },
];

/// The case of this name.
pub fn case(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

/// Nanoseconds for one operation: the best of five runs, which other programs disturb least.
pub fn nanoseconds(case: &Case, operations: u32) -> f64 {
    let once = || {
        let started = Instant::now();
        (case.run)(operations);
        started.elapsed().as_nanos() as f64 / f64::from(operations)
    };
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// A text as people write it: ASCII, 40 bytes.
const TEXT: &str = "see you at the harbour at eight tonight?";

fn id(number: u32) -> [u8; 16] {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn send() -> ClientFrame {
    ClientFrame::from(Send {
        request: 1_000,
        chat: ChatId::from_bytes(id(1)),
        client_message_id: ClientMessageId::from_bytes(id(2)),
        reply_to: None,
        body: Body::Text(TEXT.to_owned()),
    })
}

fn message() -> ServerFrame {
    ServerFrame::from(Message {
        chat: ChatId::from_bytes(id(1)),
        position: Position::new(1, 1_000),
        member: 1,
        client_message_id: ClientMessageId::from_bytes(id(2)),
        at_ms: 1_800_000_000_000,
        reply_to: None,
        body: Body::Text(TEXT.to_owned()),
    })
}

fn encode_send(operations: u32) {
    let frame = send();
    for _ in 0..operations {
        black_box(black_box(&frame).encode());
    }
}

fn encode_message(operations: u32) {
    let frame = message();
    for _ in 0..operations {
        black_box(black_box(&frame).encode());
    }
}

fn decode_send(operations: u32) {
    let bytes = send().encode();
    for _ in 0..operations {
        let raw = split_frame(black_box(&bytes), FRAME_BYTES_MAX)
            .ok()
            .flatten();
        black_box(
            raw.map(|(raw, _)| ClientFrame::decode(raw.kind, raw.body))
                .is_some(),
        );
    }
}

fn decode_message(operations: u32) {
    let bytes = message().encode();
    for _ in 0..operations {
        let raw = split_frame(black_box(&bytes), FRAME_BYTES_MAX)
            .ok()
            .flatten();
        black_box(
            raw.map(|(raw, _)| ServerFrame::decode(raw.kind, raw.body))
                .is_some(),
        );
    }
}

/// The server's side of the conversation turns the stream bytes of a `Send` into a request.
fn converse_send(operations: u32) {
    let now = Instant::now();
    let mut conversation = admitted(now);
    let bytes = send().encode();
    for _ in 0..operations {
        conversation.handle_input(Input::LiveBytes(black_box(&bytes)), now);
        let output = conversation.poll_output();
        debug_assert!(matches!(output, Some(Output::Request(..))));
        black_box(output);
    }
}

/// A conversation that is open.
fn admitted(now: Instant) -> ServerConversation {
    let mut conversation = ServerConversation::new(now);
    let hello = Hello {
        versions: VersionRange::SUPPORTED,
        connect_token: "token".to_owned(),
        agent: "micro".to_owned(),
        resume: Vec::new(),
    };
    let hello = ClientFrame::from(hello).encode();
    conversation.handle_input(Input::LiveBytes(&hello), now);
    let welcome = Welcome {
        version: 0,
        connection: ConnectionId::from_bytes(id(1)),
        server_time_ms: 0,
        limits: Framed(Limits {
            frame_bytes_max: 0,
            text_bytes_max: 0,
            text_graphemes_max: 0,
            ping_interval_ms: 0,
            idle_timeout_ms: 0,
            seat_hold_ms: 0,
        }),
        ticket: None,
        chat: None,
    };
    conversation.handle_input(Input::Admit(Box::new(welcome)), now);
    while conversation.poll_output().is_some() {}
    debug_assert!(conversation.phase().is_open());
    conversation
}

/// The log recognises a message as new and gives it a position.
fn append(operations: u32) {
    let new_log = || {
        let epoch = Epoch { number: 1, base: 0 };
        ChatLog::new(epoch, [])
    };
    let mut log = new_log();
    for number in 0..operations {
        if log.head().seq == CHAT_MESSAGES_MAX as u64 {
            log = new_log();
        }
        let client_message_id = ClientMessageId::from_bytes(id(number));
        let appended = log.append((number % 2) as u8, client_message_id, 1, true);
        debug_assert!(matches!(appended, Appended::New(_)));
        black_box(appended);
    }
}

/// Two tickets find each other among 1,000 that wait, each for an interest that no other ticket
/// has.
fn match_two(operations: u32) {
    let mut pool = Pool::default();
    for number in 0..1_000 {
        let joined = pool.join(ticket(number, number), 0);
        debug_assert!(joined.is_ok());
    }
    for number in 0..operations {
        let number = 1_000 + 2 * number;
        black_box(pool.join(ticket(number, number), 0).is_ok());
        black_box(pool.join(ticket(number + 1, number), 0).is_ok());
    }
}

/// The costliest interest that was found: each of its characters becomes eighteen.
fn refuse_interest(operations: u32) {
    let longest = "\u{FDFA}".repeat(170);
    for _ in 0..operations {
        let refused = Interest::parse(black_box(&longest));
        debug_assert_eq!(refused, Err(InterestError::TooLong));
        black_box(refused.is_err());
    }
}

fn ticket(number: u32, interest: u32) -> Ticket {
    Ticket {
        id: TicketId::from_bytes(id(number)),
        user: UserId::from_bytes(id(number)),
        category: "music".to_owned(),
        interests: vec![format!("interest {interest}")],
        language: "en".to_owned(),
        age_bracket: AgeBracket::Adult,
        blocked: Vec::new(),
        recent: Vec::new(),
        since_ms: 0,
        node: NodeId([0; 8]),
        is_new_account: false,
    }
}

#[cfg(test)]
mod tests {
    use nowrong_core::matching::Joined;

    use super::*;

    #[test]
    fn every_case_runs_and_has_its_own_name() {
        for one in CASES {
            (one.run)(10);
            assert_eq!(case(one.name).map(|found| found.name), Some(one.name));
            assert!(nanoseconds(one, 10) > 0.0);
        }
        assert!(case("nothing").is_none());
    }

    #[test]
    fn those_who_wait_do_not_meet_and_those_who_come_do() {
        let mut pool = Pool::default();
        assert_eq!(pool.join(ticket(1, 1), 0), Ok(Joined::Waiting));
        assert_eq!(pool.join(ticket(2, 2), 0), Ok(Joined::Waiting));
        let joined = pool.join(ticket(3, 2), 0).unwrap();
        assert!(matches!(joined, Joined::Offer { partner, .. } if partner.id == ticket(2, 2).id));
    }
}
