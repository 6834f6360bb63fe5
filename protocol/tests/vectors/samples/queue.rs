//! Waiting for a partner.

use super::*;
use crate::{Vector, vector};

pub(crate) fn queue() -> Vec<Vector> {
    vec![
        vector(
            "smallest",
            Join {
                request: 0,
                category: String::new(),
                interests: vec![],
            },
        ),
        vector(
            "typical",
            Join {
                request: 1,
                category: "music".into(),
                interests: vec!["jazz".into(), "città".into()],
            },
        ),
        vector(
            "largest",
            Join {
                request: u32::MAX,
                category: filled(CATEGORY_BYTES_MAX),
                interests: many(INTERESTS_MAX, INTEREST_BYTES_MAX),
            },
        ),
        vector(
            "smallest",
            Cancel {
                request: 0,
                ticket: ticket_id(0),
            },
        ),
        vector(
            "largest",
            Cancel {
                request: u32::MAX,
                ticket: ticket_id(0xff),
            },
        ),
        vector(
            "smallest",
            Queued {
                request: 0,
                ticket: Framed(ticket_smallest()),
            },
        ),
        vector(
            "largest",
            Queued {
                request: u32::MAX,
                ticket: Framed(ticket_largest()),
            },
        ),
        vector(
            "interests",
            Widened {
                ticket: ticket_id(1),
                stage: Stage::Interests,
            },
        ),
        vector(
            "language",
            Widened {
                ticket: ticket_id(1),
                stage: Stage::Language,
            },
        ),
        vector(
            "category",
            Widened {
                ticket: ticket_id(1),
                stage: Stage::Category,
            },
        ),
        vector(
            "anyone",
            Widened {
                ticket: ticket_id(1),
                stage: Stage::Anyone,
            },
        ),
        vector(
            "unknown",
            Widened {
                ticket: ticket_id(1),
                stage: Stage::Unknown(4),
            },
        ),
        vector(
            "smallest",
            Matched {
                ticket: ticket_id(0),
                chat: Framed(chat_smallest()),
            },
        ),
        vector(
            "largest",
            Matched {
                ticket: ticket_id(0xff),
                chat: Framed(chat_largest()),
            },
        ),
        vector(
            "smallest",
            TicketEnded {
                ticket: ticket_id(0),
                code: ErrorCode(0),
            },
        ),
        vector(
            "largest",
            TicketEnded {
                ticket: ticket_id(0xff),
                code: ErrorCode(u16::MAX),
            },
        ),
    ]
}
