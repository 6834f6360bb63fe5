//! Signals.

use super::*;
use crate::{Vector, vector};

pub(crate) fn signal() -> Vec<Vector> {
    let zero = ChatId::from_bytes([0; 16]);
    let ones = ChatId::from_bytes([0xff; 16]);
    let (start, end) = (Position::START, position_largest());
    vec![
        vector(
            "smallest",
            Typing {
                chat: zero,
                is_typing: false,
            },
        ),
        vector(
            "largest",
            Typing {
                chat: ones,
                is_typing: true,
            },
        ),
        vector(
            "smallest",
            MemberTyping {
                chat: zero,
                member: 0,
                is_typing: false,
            },
        ),
        vector(
            "largest",
            MemberTyping {
                chat: ones,
                member: 255,
                is_typing: true,
            },
        ),
        vector(
            "active",
            Presence {
                chat: zero,
                state: PresenceState::Active,
            },
        ),
        vector(
            "away",
            Presence {
                chat: ones,
                state: PresenceState::Away,
            },
        ),
        vector(
            "unknown",
            Presence {
                chat: ones,
                state: PresenceState::Unknown(255),
            },
        ),
        vector(
            "active",
            MemberPresence {
                chat: zero,
                member: 0,
                state: PresenceState::Active,
            },
        ),
        vector(
            "away",
            MemberPresence {
                chat: ones,
                member: 255,
                state: PresenceState::Away,
            },
        ),
        vector(
            "unknown",
            MemberPresence {
                chat: ones,
                member: 255,
                state: PresenceState::Unknown(0),
            },
        ),
        vector(
            "smallest",
            ReadCursor {
                chat: zero,
                member: 0,
                delivered: start,
                read: start,
            },
        ),
        vector(
            "largest",
            ReadCursor {
                chat: ones,
                member: 255,
                delivered: end,
                read: end,
            },
        ),
    ]
}
