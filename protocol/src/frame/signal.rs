//! Signals: ephemeral, may be lost, and only the latest counts. They travel as datagrams; on a
//! WebSocket they are dropped rather than queued.

use serde::{Deserialize, Serialize};

use crate::{ChatId, Position, wire::open_enum};

/// Client: I am typing, or I stopped. Repeated every few seconds while typing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Typing {
    /// The chat.
    pub chat: ChatId,
    /// Whether the user is typing.
    pub is_typing: bool,
}

/// Server: a member is typing, or stopped. Lapses after 5 s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberTyping {
    /// The chat.
    pub chat: ChatId,
    /// Index of the member.
    pub member: u8,
    /// Whether the member is typing.
    pub is_typing: bool,
}

open_enum! {
    /// Whether a person is looking at the chat.
    pub enum PresenceState {
        /// The page is visible.
        Active = 1,
        /// The page is hidden.
        Away = 2,
    }
}

/// Client: I am looking at the chat, or I have turned away.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// The chat.
    pub chat: ChatId,
    /// How it is now.
    pub state: PresenceState,
}

/// Server: a member is looking at the chat, or has turned away.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberPresence {
    /// The chat.
    pub chat: ChatId,
    /// Index of the member.
    pub member: u8,
    /// How it is now.
    pub state: PresenceState,
}

/// Server: how far a member has received and read. A lost one is made up for by the next one, and
/// by the `Member` records of the next `Welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadCursor {
    /// The chat.
    pub chat: ChatId,
    /// Index of the member.
    pub member: u8,
    /// The newest message that reached the member.
    pub delivered: Position,
    /// The newest message that the member has read.
    pub read: Position,
}
