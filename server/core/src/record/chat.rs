//! Chats: their members, their cursors, their ends, and which of their messages survive.

use nowrong_protocol::{
    ChatId, Position, UserId,
    frame::{EndReason, Why},
};
use serde::{Deserialize, Serialize};

use super::UnixMs;
use crate::chat_log::locate;

/// A chat (`ChatSessions`).
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// Its id.
    pub id: ChatId,
    /// Id of the category.
    pub category: String,
    /// The members, in the order of their index.
    pub members: Vec<ChatMember>,
    /// Why they were matched.
    pub why: Why,
    /// The key that seals its messages.
    pub key: ChatKey,
    /// The epochs of its log, ascending; never empty.
    pub epochs: Vec<Epoch>,
    /// When it began.
    pub started_at: UnixMs,
    /// When it is erased: 24 h after its start, or soon after its end.
    pub expires_at: UnixMs,
    /// Set when it has ended.
    pub end: Option<ChatEnd>,
}

/// A member of a stored chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMember {
    /// The user; never revealed to the other members.
    pub user: UserId,
    /// The name at the time of the match.
    pub name: String,
    /// The language at the time of the match.
    pub language: String,
    /// Cursor: the newest message that reached the member.
    pub delivered: Position,
    /// Cursor: the newest message that the member has read.
    pub read: Position,
}

/// How far a member has got in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursors {
    /// The chat.
    pub chat: ChatId,
    /// Index of the member.
    pub member: u8,
    /// The newest message that reached the member.
    pub delivered: Position,
    /// The newest message that the member has read.
    pub read: Position,
}

/// One build of a chat's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub number: u32,
    /// The seq of the last message before it; its first message has the next seq.
    pub base: u64,
}

/// How a chat ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatEnd {
    /// Why.
    pub reason: EndReason,
    /// Index of the member who ended it.
    pub member: Option<u8>,
    /// When.
    pub at: UnixMs,
    /// When it is erased.
    pub expires_at: UnixMs,
}

/// The AES-256 key that seals the bodies of one chat. Its bytes never appear in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct ChatKey(pub [u8; 32]);

impl std::fmt::Debug for ChatKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChatKey(<redacted>)")
    }
}

/// Tells surviving messages from void ones, by the epochs of their chat.
#[derive(Debug)]
pub struct Survivors(Vec<Epoch>);

impl Survivors {
    /// The survivors of a chat with these epochs.
    pub fn new(epochs: &[Epoch]) -> Self {
        Self(epochs.to_vec())
    }

    /// Whether the message at `position` has not been overtaken by a later epoch.
    pub fn include(&self, position: Position) -> bool {
        locate(&self.0, position.seq) == position
    }
}
