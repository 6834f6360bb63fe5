//! Older messages.

use super::{chat::message, *};
use crate::{Vector, vector};

pub(crate) fn history() -> Vec<Vector> {
    let zero = ChatId::from_bytes([0; 16]);
    let ones = ChatId::from_bytes([0xff; 16]);
    let text = |n: usize| Framed(message(Body::Text(format!("message {n}"))));
    vec![
        vector(
            "smallest",
            History {
                request: 0,
                chat: zero,
                before: None,
                limit: 0,
            },
        ),
        vector(
            "typical",
            History {
                request: 4,
                chat: chat_id(1),
                before: Some(Position::new(1, 42)),
                limit: 50,
            },
        ),
        vector(
            "largest",
            History {
                request: u32::MAX,
                chat: ones,
                before: Some(position_largest()),
                limit: u16::MAX,
            },
        ),
        vector(
            "smallest",
            Page {
                request: 0,
                messages: vec![],
                has_more: false,
            },
        ),
        vector(
            "typical",
            Page {
                request: 4,
                messages: vec![text(1), Framed(message(Body::Deleted)), text(3)],
                has_more: true,
            },
        ),
        vector(
            "largest",
            Page {
                request: u32::MAX,
                messages: (0..PAGE_MESSAGES_MAX).map(text).collect(),
                has_more: true,
            },
        ),
    ]
}
