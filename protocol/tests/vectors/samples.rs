//! The samples behind the vectors: every frame at its extremes.
//!
//! `smallest` has every number 0, every text and list empty and every option absent; `largest` has
//! every number at its maximum (64-bit ones at 2^53 - 1, so that every JSON reader can hold them),
//! texts and lists at their bounds and every option present. `u64_max` goes beyond 2^53 - 1.

use bytes::Bytes;
use nowrong_protocol::{
    ChatId, ClientMessageId, CloseCode, ConnectionId, ErrorCode, Framed, Position, TicketId,
    envelope, frame::*, limits::*, version::VersionRange,
};

mod chat;
mod connect;
mod history;
mod queue;
mod signal;

pub(crate) use chat::chat;
pub(crate) use connect::connect;
pub(crate) use history::history;
pub(crate) use queue::queue;
pub(crate) use signal::signal;

/// The largest integer that a double, and so JavaScript, represents exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;

/// A plausible time: 2026-11-22T12:00:00Z.
const NOW_MS: u64 = 1_795_348_800_000;

pub(crate) fn position_largest() -> Position {
    Position::new(u32::MAX, SAFE_MAX)
}

fn chat_id(last: u8) -> ChatId {
    let mut bytes = *b"\x01\x9a\xab\xcd\xef\x01\x72\x34\x95\x67\x89\xab\xcd\xef\x01\x00";
    bytes[15] = last;
    ChatId::from_bytes(bytes)
}

fn ticket_id(byte: u8) -> TicketId {
    TicketId::from_bytes([byte; 16])
}

fn message_id(byte: u8) -> ClientMessageId {
    ClientMessageId::from_bytes([byte; 16])
}

fn filled(length: usize) -> String {
    "abcdefghij".chars().cycle().take(length).collect()
}

fn many(count: usize, length: usize) -> Vec<String> {
    vec![filled(length); count]
}

fn limits(value: u32) -> Framed<Limits> {
    Framed(Limits {
        frame_bytes_max: value,
        text_bytes_max: value,
        text_graphemes_max: value,
        ping_interval_ms: value,
        idle_timeout_ms: value,
        seat_hold_ms: value,
    })
}

fn ticket_smallest() -> TicketState {
    TicketState {
        ticket: ticket_id(0),
        category: String::new(),
        interests: vec![],
        since_ms: 0,
        stage: Stage::Interests,
        waiting: 0,
    }
}

fn ticket_largest() -> TicketState {
    TicketState {
        ticket: ticket_id(0xff),
        category: filled(CATEGORY_BYTES_MAX),
        interests: many(INTERESTS_MAX, INTEREST_BYTES_MAX),
        since_ms: SAFE_MAX,
        stage: Stage::Unknown(255),
        waiting: u32::MAX,
    }
}

fn chat_smallest() -> ChatState {
    ChatState {
        chat: ChatId::from_bytes([0; 16]),
        category: String::new(),
        members: vec![],
        you: 0,
        why: Framed(Why::default()),
        head: Position::START,
        resumed: Position::START,
        unread: 0,
        started_at_ms: 0,
        expires_at_ms: 0,
    }
}

fn member(name: &str, seat: SeatState, at: Position, held_until_ms: u64) -> Framed<Member> {
    Framed(Member {
        name: name.into(),
        language: "pt-BR".into(),
        seat,
        held_until_ms,
        delivered: at,
        read: at,
    })
}

fn chat_largest() -> ChatState {
    ChatState {
        chat: ChatId::from_bytes([0xff; 16]),
        category: filled(CATEGORY_BYTES_MAX),
        members: vec![
            member("Zoë", SeatState::Taken, Position::new(1, 250), 0),
            member("日本", SeatState::Held, Position::new(251, 65_535), NOW_MS),
            member("", SeatState::Free, Position::new(65_536, 1 << 32), 0),
            member(
                &filled(NAME_BYTES_MAX),
                SeatState::Unknown(0),
                position_largest(),
                SAFE_MAX,
            ),
        ],
        you: 255,
        why: Framed(Why {
            shared_interests: many(INTERESTS_MAX, INTEREST_BYTES_MAX),
            is_same_language: true,
        }),
        head: position_largest(),
        resumed: position_largest(),
        unread: u32::MAX,
        started_at_ms: SAFE_MAX,
        expires_at_ms: SAFE_MAX,
    }
}
