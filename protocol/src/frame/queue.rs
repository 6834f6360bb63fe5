//! Waiting for a partner.

use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Framed, TicketId, frame::ChatState, wire::open_enum};

/// Request: wait for a partner in a category. Reply: `Queued`, or `Fail`; then `Matched` follows,
/// at once if a compatible partner is waiting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// Id of the category.
    pub category: String,
    /// What to talk about, at most 10; empty means the interests of the account.
    #[serde(deserialize_with = "crate::wire::list")]
    pub interests: Vec<String>,
}

/// Request: stop waiting. Reply: `Done` when the ticket is removed, `Fail` with `TICKET_UNKNOWN`
/// when a match came first; never both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cancel {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// The ticket to give up.
    pub ticket: TicketId,
}

/// Reply to `Join` and `Next`: the user is waiting in the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The id of the request.
    pub request: u32,
    /// The user's place.
    pub ticket: Framed<TicketState>,
}

/// A user's place in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketState {
    /// Its id, to cancel it.
    pub ticket: TicketId,
    /// Id of the category.
    pub category: String,
    /// What the ticket asks to talk about.
    #[serde(deserialize_with = "crate::wire::list")]
    pub interests: Vec<String>,
    /// When the user began to wait, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Which partners it accepts by now.
    pub stage: Stage,
    /// How many people wait in the category, including this user.
    pub waiting: u32,
}

open_enum! {
    /// Which partners a ticket accepts; this widens after 3, 8 and 15 s. Two tickets are matched
    /// when each accepts the other. Age brackets and blocks always hold.
    pub enum Stage {
        /// The same language and, if the ticket names interests, a shared one.
        Interests = 0,
        /// The same language.
        Language = 1,
        /// Anyone in the category except recent partners.
        Category = 2,
        /// Anyone in the category.
        Anyone = 3,
    }
}

/// Push: the ticket accepts more people now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Widened {
    /// The user's ticket.
    pub ticket: TicketId,
    /// Which partners it accepts now.
    pub stage: Stage,
}

/// Push: a partner was found, and the chat is open. The ticket is used up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// The ticket that was matched.
    pub ticket: TicketId,
    /// The chat.
    pub chat: Framed<ChatState>,
}

/// Push: the ticket ended without a match.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketEnded {
    /// The ticket that ended.
    pub ticket: TicketId,
    /// Why it ended.
    pub code: ErrorCode,
}
