//! A chat and its messages.

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    ChatId, ClientMessageId, Framed, Position,
    wire::{ByteString, open_enum},
};

/// A chat as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatState {
    /// Its id.
    pub chat: ChatId,
    /// Id of the category it was matched in.
    pub category: String,
    /// The members; frames name a member by the index in this list.
    #[serde(deserialize_with = "crate::wire::list")]
    pub members: Vec<Framed<Member>>,
    /// The index of the receiver.
    pub you: u8,
    /// Why these two were matched.
    pub why: Framed<Why>,
    /// The position of the newest message, `0.0` when there is none.
    pub head: Position,
    /// The position after which the receiver continues. After a resume a client drops every message
    /// that it holds with a higher seq: those messages were never acked and did not survive a
    /// restart.
    pub resumed: Position,
    /// How many messages of the partner the receiver has not read.
    pub unread: u32,
    /// When the chat began, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The latest time at which the chat and everything in it is erased, in milliseconds since the
    /// Unix epoch.
    pub expires_at_ms: u64,
}

/// One member of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The name.
    pub name: String,
    /// The language as a BCP 47 tag, such as `en` or `pt-BR`.
    pub language: String,
    /// Whether the member is there.
    pub seat: SeatState,
    /// When a held seat is given up, in milliseconds since the Unix epoch; 0 unless held.
    pub held_until_ms: u64,
    /// The newest message that reached the member.
    pub delivered: Position,
    /// The newest message that the member has read.
    pub read: Position,
}

/// Why two people were matched, to be shown to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The interests that both named.
    #[serde(deserialize_with = "crate::wire::list")]
    pub shared_interests: Vec<String>,
    /// Whether both chose the same language.
    pub is_same_language: bool,
}

open_enum! {
    /// Whether a member is there.
    pub enum SeatState {
        /// Connected.
        Taken = 1,
        /// Not connected; the seat is held for a while.
        Held = 2,
        /// The member left, or the seat was given up.
        Free = 3,
    }
}

/// What a message says. On the wire a varint kind and a byte string, so that an old client can
/// show a place-holder for a kind it does not know.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawBody")]
pub enum Body {
    /// The message was deleted for all members. Sent by the server only.
    Deleted,
    /// Plain text, never markup; at most 8,000 bytes and 2,000 graphemes.
    Text(String),
    /// A kind of a newer version.
    Unknown {
        /// Its number.
        kind: u32,
        /// Its bytes.
        data: Bytes,
    },
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deleted => f.write_str("Deleted"),
            Self::Text(text) => write!(f, "Text(<{} bytes>)", text.len()),
            Self::Unknown { kind, data } => write!(f, "Unknown({kind}, <{} bytes>)", data.len()),
        }
    }
}

/// [`Body`] as it lies on the wire.
#[derive(Deserialize)]
#[serde(rename = "Body")]
struct RawBody {
    kind: u32,
    data: Bytes,
}

impl Body {
    /// Number of [`Body::Deleted`] on the wire; its bytes are empty.
    pub const KIND_DELETED: u32 = 0;
    /// Number of [`Body::Text`] on the wire; its bytes are UTF-8.
    pub const KIND_TEXT: u32 = 1;
}

/// Writes the same as a `RawBody` would, without copying the bytes.
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, data): (u32, &[u8]) = match self {
            Self::Deleted => (Self::KIND_DELETED, &[]),
            Self::Text(text) => (Self::KIND_TEXT, text.as_bytes()),
            Self::Unknown { kind, data } => (*kind, data),
        };
        let mut raw = serializer.serialize_struct("Body", 2)?;
        raw.serialize_field("kind", &kind)?;
        raw.serialize_field("data", &ByteString(data))?;
        raw.end()
    }
}

impl TryFrom<RawBody> for Body {
    type Error = std::string::FromUtf8Error;

    fn try_from(raw: RawBody) -> Result<Self, Self::Error> {
        Ok(match raw.kind {
            Self::KIND_DELETED => Self::Deleted,
            Self::KIND_TEXT => Self::Text(String::from_utf8(raw.data.into())?),
            kind => Self::Unknown {
                kind,
                data: raw.data,
            },
        })
    }
}

/// Request: send a message. Reply: `Ack` once it is durable, or `Fail`. A `Send` with the same
/// `client_message_id`, on this or a later connection, is the same message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Send {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// Where to.
    pub chat: ChatId,
    /// Chosen by the client, once per message.
    pub client_message_id: ClientMessageId,
    /// The message that this one replies to.
    pub reply_to: Option<Position>,
    /// What it says.
    pub body: Body,
}

/// Reply to `Send`: the message is durable. The sending connection gets no `Message` for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The id of the request.
    pub request: u32,
    /// Where the message stands.
    pub position: Position,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Push: a message of the chat, in ascending position. A member gets each message once, except
/// those sent on this same connection; after a resume the member's own messages are included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The chat.
    pub chat: ChatId,
    /// Where it stands.
    pub position: Position,
    /// Index of the sender.
    pub member: u8,
    /// The sender's id of the message.
    pub client_message_id: ClientMessageId,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The message that this one replies to.
    pub reply_to: Option<Position>,
    /// What it says.
    pub body: Body,
}

/// Cursor: everything up to here has reached the client. No reply; the newest wins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// The chat.
    pub chat: ChatId,
    /// Up to and including this message.
    pub position: Position,
}

/// Cursor: everything up to here was read. No reply; the newest wins. Implies `Delivered`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// The chat.
    pub chat: ChatId,
    /// Up to and including this message.
    pub position: Position,
}

/// Request: delete one's own message for all members. Reply: `Done` once durable, or `Fail`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub position: Position,
}

/// Push: a message was deleted. After a resume all deletions of the chat are pushed again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub position: Position,
}

/// Request: end the chat. Reply: `Done` once durable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leave {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// The chat.
    pub chat: ChatId,
}

/// Request: end the chat and wait for another partner in its category, in one step. Reply: `Queued`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// The chat.
    pub chat: ChatId,
}

/// Request: end the chat and never meet this partner again. The partner sees that you left. Reply:
/// `Done` once durable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Chosen by the client; the reply carries it.
    pub request: u32,
    /// The chat.
    pub chat: ChatId,
}

/// Push: the chat has ended. It can be read until `expires_at_ms`; then it is erased.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The chat.
    pub chat: ChatId,
    /// Why it ended.
    pub reason: EndReason,
    /// Index of the member who ended it, if one did.
    pub member: Option<u8>,
    /// When it is erased, in milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
}

open_enum! {
    /// Why a chat ended.
    pub enum EndReason {
        /// A member left.
        Left = 1,
        /// A member's connection was gone for longer than the seat is held.
        Gone = 2,
        /// No member said anything for too long.
        Idle = 3,
        /// The chat reached the longest lifetime of anything on this server, 24 h, or was erased before.
        Expired = 4,
    }
}

/// Push: a member's seat changed: the connection was lost, came back, or the member left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// The chat.
    pub chat: ChatId,
    /// Index of the member.
    pub member: u8,
    /// How it is now.
    pub state: SeatState,
    /// When a held seat is given up, in milliseconds since the Unix epoch; 0 unless held.
    pub held_until_ms: u64,
}

/// Push: no member has said anything for a while; the chat ends at `ends_at_ms` unless a member
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// The chat.
    pub chat: ChatId,
    /// When it ends, in milliseconds since the Unix epoch; 0 when a member spoke and the chat
    /// continues.
    pub ends_at_ms: u64,
}

/// Push, after a `Hello` that resumes: this chat cannot be resumed. It ended and was erased, or it
/// was never yours: drop it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    /// The chat.
    pub chat: ChatId,
}
