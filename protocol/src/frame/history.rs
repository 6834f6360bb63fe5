//! Older messages of a chat, on the bulk lane so that they never delay a live message.

use serde::{Deserialize, Serialize};

use crate::{ChatId, Framed, Position, frame::Message};

/// Request: return messages before a position, newest last. Reply: `Page`, or `Fail`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// The chat.
    pub chat: ChatId,
    /// Only messages before this one; `None` starts at the newest.
    pub before: Option<Position>,
    /// Most messages to return, 1 to 100; the server may return fewer.
    pub limit: u16,
}

/// Reply to `History`, on the lane of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The id of the request.
    pub request: u32,
    /// The messages, in ascending position.
    #[serde(deserialize_with = "crate::wire::list")]
    pub messages: Vec<Framed<Message>>,
    /// Whether there are older ones.
    pub has_more: bool,
}
