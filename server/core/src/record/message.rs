//! Sealed messages: on their way into a log, placed, and known to have been sent.

use bytes::Bytes;
use nowrong_protocol::{ChatId, ClientMessageId, Position};
use serde::{Deserialize, Serialize};

use super::UnixMs;

/// A stored message that the log must recognise when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownMessage {
    /// Index of the sender.
    pub member: u8,
    /// The sender's id.
    pub client_message_id: ClientMessageId,
    /// Where it stands.
    pub position: Position,
    /// When the server accepted it.
    pub at: UnixMs,
}

/// A message on its way into a log: everything except its position. Its body is sealed, so that no
/// copy in a broker can be read after the key is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Index of the sender.
    pub member: u8,
    /// The sender's id of the message.
    pub client_message_id: ClientMessageId,
    /// When the server accepted it.
    pub at: UnixMs,
    /// The message that it replies to.
    pub reply_to: Option<Position>,
    /// The sealed body.
    pub sealed: Bytes,
    /// When it is erased.
    pub expires_at: UnixMs,
}

impl Draft {
    /// The message at its position.
    pub fn placed(self, chat: ChatId, position: Position) -> StoredMessage {
        let Self {
            member,
            client_message_id,
            at,
            reply_to,
            sealed,
            expires_at,
        } = self;
        StoredMessage {
            chat,
            position,
            member,
            client_message_id,
            at,
            reply_to,
            sealed,
            is_deleted: false,
            expires_at,
        }
    }
}

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The chat.
    pub chat: ChatId,
    /// Where it stands.
    pub position: Position,
    /// Index of the sender.
    pub member: u8,
    /// The sender's id of the message.
    pub client_message_id: ClientMessageId,
    /// When the server accepted it.
    pub at: UnixMs,
    /// The message that it replies to.
    pub reply_to: Option<Position>,
    /// The sealed body; empty when deleted.
    pub sealed: Bytes,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// When it is erased.
    pub expires_at: UnixMs,
}
