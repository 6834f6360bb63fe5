//! A chat and its messages.

use super::*;
use crate::{Vector, vector};

fn send(body: Body) -> Send {
    Send {
        request: 9,
        chat: chat_id(1),
        client_message_id: message_id(7),
        reply_to: None,
        body,
    }
}

pub(super) fn message(body: Body) -> Message {
    Message {
        chat: chat_id(1),
        position: Position::new(1, 42),
        member: 0,
        client_message_id: message_id(7),
        at_ms: NOW_MS,
        reply_to: Some(Position::new(1, 40)),
        body,
    }
}

fn bodies() -> [(&'static str, Body); 6] {
    [
        ("deleted", Body::Deleted),
        ("text_empty", Body::Text(String::new())),
        ("text", Body::Text("héllo 👋🏽 \"<b>\"\u{0}\u{ffff}".into())),
        ("text_longest", Body::Text("👋".repeat(TEXT_GRAPHEMES_MAX))),
        (
            "kind_unknown",
            Body::Unknown {
                kind: 2,
                data: b"\x00\xff\xfe\x80".as_slice().into(),
            },
        ),
        (
            "kind_largest",
            Body::Unknown {
                kind: u32::MAX,
                data: Bytes::new(),
            },
        ),
    ]
}

pub(crate) fn chat() -> Vec<Vector> {
    let mut all: Vec<_> = bodies()
        .into_iter()
        .map(|(name, body)| vector(name, send(body)))
        .collect();
    all.push(vector(
        "largest",
        Send {
            request: u32::MAX,
            reply_to: Some(position_largest()),
            ..send(Body::Text(String::new()))
        },
    ));
    all.extend(
        bodies()
            .into_iter()
            .map(|(name, body)| vector(name, message(body))),
    );
    all.extend(message_extremes());
    all.extend(requests());
    all.extend(pushes());
    all
}

fn message_extremes() -> [Vector; 3] {
    let smallest = Message {
        chat: ChatId::from_bytes([0; 16]),
        position: Position::START,
        member: 0,
        client_message_id: message_id(0),
        at_ms: 0,
        reply_to: None,
        body: Body::Deleted,
    };
    let largest = Message {
        chat: ChatId::from_bytes([0xff; 16]),
        position: position_largest(),
        member: 255,
        client_message_id: message_id(0xff),
        at_ms: SAFE_MAX,
        reply_to: Some(position_largest()),
        body: Body::Text("x".repeat(TEXT_BYTES_MAX)),
    };
    let u64_max = Message {
        position: Position::new(u32::MAX, u64::MAX),
        at_ms: u64::MAX,
        ..smallest.clone()
    };
    [
        vector("smallest", smallest),
        vector("largest", largest),
        vector("u64_max", u64_max),
    ]
}

fn requests() -> Vec<Vector> {
    let zero = ChatId::from_bytes([0; 16]);
    let ones = ChatId::from_bytes([0xff; 16]);
    let (start, end) = (Position::START, position_largest());
    vec![
        vector(
            "smallest",
            Delivered {
                chat: zero,
                position: start,
            },
        ),
        vector(
            "largest",
            Delivered {
                chat: ones,
                position: end,
            },
        ),
        vector(
            "smallest",
            Read {
                chat: zero,
                position: start,
            },
        ),
        vector(
            "largest",
            Read {
                chat: ones,
                position: end,
            },
        ),
        vector(
            "smallest",
            Delete {
                request: 0,
                chat: zero,
                position: start,
            },
        ),
        vector(
            "largest",
            Delete {
                request: u32::MAX,
                chat: ones,
                position: end,
            },
        ),
        vector(
            "smallest",
            Leave {
                request: 0,
                chat: zero,
            },
        ),
        vector(
            "largest",
            Leave {
                request: u32::MAX,
                chat: ones,
            },
        ),
        vector(
            "smallest",
            Next {
                request: 0,
                chat: zero,
            },
        ),
        vector(
            "largest",
            Next {
                request: u32::MAX,
                chat: ones,
            },
        ),
        vector(
            "smallest",
            Block {
                request: 0,
                chat: zero,
            },
        ),
        vector(
            "largest",
            Block {
                request: u32::MAX,
                chat: ones,
            },
        ),
    ]
}

fn pushes() -> Vec<Vector> {
    let zero = ChatId::from_bytes([0; 16]);
    let ones = ChatId::from_bytes([0xff; 16]);
    let (start, end) = (Position::START, position_largest());
    let ended = |reason, member| Ended {
        chat: chat_id(2),
        reason,
        member,
        expires_at_ms: NOW_MS,
    };
    vec![
        vector(
            "smallest",
            Ack {
                request: 0,
                position: start,
                at_ms: 0,
            },
        ),
        vector(
            "largest",
            Ack {
                request: u32::MAX,
                position: end,
                at_ms: SAFE_MAX,
            },
        ),
        vector(
            "u64_max",
            Ack {
                request: 1,
                position: Position::new(1, u64::MAX),
                at_ms: u64::MAX,
            },
        ),
        vector(
            "smallest",
            Deleted {
                chat: zero,
                position: start,
            },
        ),
        vector(
            "largest",
            Deleted {
                chat: ones,
                position: end,
            },
        ),
        vector("left", ended(EndReason::Left, Some(1))),
        vector("gone", ended(EndReason::Gone, Some(255))),
        vector("idle", ended(EndReason::Idle, None)),
        vector("expired", ended(EndReason::Expired, None)),
        vector("unknown", ended(EndReason::Unknown(200), Some(0))),
        vector(
            "smallest",
            Seat {
                chat: zero,
                member: 0,
                state: SeatState::Unknown(0),
                held_until_ms: 0,
            },
        ),
        vector(
            "held",
            Seat {
                chat: chat_id(3),
                member: 1,
                state: SeatState::Held,
                held_until_ms: NOW_MS,
            },
        ),
        vector(
            "largest",
            Seat {
                chat: ones,
                member: 255,
                state: SeatState::Unknown(255),
                held_until_ms: SAFE_MAX,
            },
        ),
        vector(
            "smallest",
            Idle {
                chat: zero,
                ends_at_ms: 0,
            },
        ),
        vector(
            "largest",
            Idle {
                chat: ones,
                ends_at_ms: SAFE_MAX,
            },
        ),
        vector("smallest", Gone { chat: zero }),
        vector("largest", Gone { chat: ones }),
    ]
}
