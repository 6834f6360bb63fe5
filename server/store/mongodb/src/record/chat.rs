//! Documents about chats: the chats, their keys, seats and messages.

use bytes::Bytes;
use mongodb::bson::{Binary, Bson, DateTime, Document, Uuid, doc};
use nowrong_core::record::{Chat, ChatEnd, ChatKey, ChatMember, Epoch, StoredMessage};
use nowrong_protocol::{ChatId, ClientMessageId, Position, UserId, frame::Why};
use serde::{Deserialize, Serialize};

use super::{CHATS, KEYS, binary, chat_key, date, unix_ms, uuid};
use crate::{
    fault::Fault,
    vault::{Place, Vault},
};

/// A position; ordered as [`Position`] is, since documents are compared field by field.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PositionRecord {
    epoch: i64,
    seq: i64,
}

impl From<Position> for PositionRecord {
    fn from(position: Position) -> Self {
        Self {
            epoch: position.epoch.into(),
            seq: i64::try_from(position.seq).unwrap_or(i64::MAX),
        }
    }
}

impl From<PositionRecord> for Position {
    fn from(record: PositionRecord) -> Self {
        let epoch = u32::try_from(record.epoch).unwrap_or(u32::MAX);
        Self::new(epoch, u64::try_from(record.seq).unwrap_or(0))
    }
}

impl From<PositionRecord> for Bson {
    fn from(record: PositionRecord) -> Self {
        Self::Document(doc! { "epoch": record.epoch, "seq": record.seq })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct MemberRecord {
    user: Uuid,
    delivered: PositionRecord,
    read: PositionRecord,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) number: i64,
    /// Only the last epoch may not have it yet.
    pub(crate) base: Option<i64>,
}

impl EpochRecord {
    pub(crate) fn without_base(number: u32) -> Self {
        Self {
            number: number.into(),
            base: None,
        }
    }

    fn set(self) -> Option<Epoch> {
        Some(Epoch {
            number: u32::try_from(self.number).unwrap_or(u32::MAX),
            base: u64::try_from(self.base?).unwrap_or(0),
        })
    }
}

impl From<&Epoch> for EpochRecord {
    fn from(epoch: &Epoch) -> Self {
        Self {
            number: epoch.number.into(),
            base: Some(i64::try_from(epoch.base).unwrap_or(i64::MAX)),
        }
    }
}

impl From<EpochRecord> for Bson {
    fn from(record: EpochRecord) -> Self {
        Self::Document(doc! { "number": record.number, "base": record.base })
    }
}

/// The epochs, if all have their base.
pub(crate) fn epochs(records: &[EpochRecord]) -> Option<Vec<Epoch>> {
    records.iter().map(|record| record.set()).collect()
}

/// The projection of a chat to its epochs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EpochsRecord {
    #[serde(rename = "_id")]
    id: Uuid,
    pub(crate) epochs: Vec<EpochRecord>,
}

impl EpochsRecord {
    pub(crate) fn id(&self) -> ChatId {
        ChatId::from_bytes(self.id.bytes())
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndRecord {
    reason: i32,
    member: Option<i32>,
    at: DateTime,
    expires_at: DateTime,
}

impl From<&ChatEnd> for EndRecord {
    fn from(end: &ChatEnd) -> Self {
        Self {
            reason: u8::from(end.reason).into(),
            member: end.member.map(i32::from),
            at: date(end.at),
            expires_at: date(end.expires_at),
        }
    }
}

impl From<EndRecord> for ChatEnd {
    fn from(record: EndRecord) -> Self {
        Self {
            reason: u8::try_from(record.reason).unwrap_or(u8::MAX).into(),
            member: record.member.and_then(|member| u8::try_from(member).ok()),
            at: unix_ms(record.at),
            expires_at: unix_ms(record.expires_at),
        }
    }
}

/// A chat without its key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatRecord {
    #[serde(rename = "_id")]
    id: Uuid,
    category: String,
    members: Vec<MemberRecord>,
    /// Wrapped [`People`].
    sealed: Binary,
    is_same_language: bool,
    pub(crate) epochs: Vec<EpochRecord>,
    started_at: DateTime,
    pub(crate) expires_at: DateTime,
    pub(crate) end: Option<EndRecord>,
}

/// Who the members of a chat are, and what they have in common: not their ids.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct People {
    pub(crate) members: Vec<MemberName>,
    pub(crate) shared_interests: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MemberName {
    pub(crate) name: String,
    pub(crate) language: String,
}

/// Where the wrapped part of a chat belongs.
pub(crate) fn place_of_chat(id: ChatId) -> Place {
    Place {
        collection: CHATS,
        id: *id.as_bytes(),
    }
}

/// Where the wrapped key of a chat belongs.
pub(crate) fn place_of_key(id: ChatId) -> Place {
    Place {
        collection: KEYS,
        id: *id.as_bytes(),
    }
}

impl ChatRecord {
    pub(crate) fn wrapped(chat: &Chat, vault: &Vault) -> Result<Self, Fault> {
        let member = |member: &ChatMember| MemberRecord {
            user: Uuid::from_bytes(*member.user.as_bytes()),
            delivered: member.delivered.into(),
            read: member.read.into(),
        };
        let name = |member: &ChatMember| MemberName {
            name: member.name.clone(),
            language: member.language.clone(),
        };
        let people = People {
            members: chat.members.iter().map(name).collect(),
            shared_interests: chat.why.shared_interests.clone(),
        };
        Ok(Self {
            id: Uuid::from_bytes(*chat.id.as_bytes()),
            category: chat.category.clone(),
            members: chat.members.iter().map(member).collect(),
            sealed: vault.seal(place_of_chat(chat.id), &people)?,
            is_same_language: chat.why.is_same_language,
            epochs: chat.epochs.iter().map(EpochRecord::from).collect(),
            started_at: date(chat.started_at),
            expires_at: date(chat.expires_at),
            end: chat.end.as_ref().map(EndRecord::from),
        })
    }

    pub(crate) fn id(&self) -> ChatId {
        ChatId::from_bytes(self.id.bytes())
    }

    /// Keys of the seats of its members.
    pub(crate) fn seats(&self) -> Vec<Bson> {
        let members = self.members.iter();
        members.map(|member| uuid(&member.user.bytes())).collect()
    }

    /// The chat; its epochs are read separately if the last one has no base yet. `None`: nobody can
    /// open it any more.
    pub(crate) async fn into_chat(
        self,
        key: &KeyRecord,
        epochs: Vec<Epoch>,
        vault: &Vault,
    ) -> Result<Option<Chat>, Fault> {
        let people: Option<People> = vault.open(place_of_chat(self.id()), &self.sealed).await?;
        let (Some(people), Some(key)) = (people, key.open(vault).await?) else {
            return Ok(None);
        };
        if people.members.len() != self.members.len() {
            vault.note_broken(place_of_chat(self.id()));
            return Ok(None);
        }
        let member = |(member, named): (MemberRecord, MemberName)| ChatMember {
            user: UserId::from_bytes(member.user.bytes()),
            name: named.name,
            language: named.language,
            delivered: member.delivered.into(),
            read: member.read.into(),
        };
        Ok(Some(Chat {
            id: self.id(),
            members: self
                .members
                .into_iter()
                .zip(people.members)
                .map(member)
                .collect(),
            category: self.category,
            why: Why {
                shared_interests: people.shared_interests,
                is_same_language: self.is_same_language,
            },
            key,
            epochs,
            started_at: unix_ms(self.started_at),
            expires_at: unix_ms(self.expires_at),
            end: self.end.map(ChatEnd::from),
        }))
    }
}

/// The key of a chat. As long as it exists and has not expired, the chat can be read.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyRecord {
    #[serde(rename = "_id")]
    chat: Uuid,
    /// A wrapped [`KeyBytes`].
    pub(crate) key: Binary,
    pub(crate) expires_at: DateTime,
}

/// The key of a chat itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyBytes {
    pub(crate) key: Binary,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRecord({}, <redacted>)", self.chat)
    }
}

impl KeyRecord {
    pub(crate) fn wrapped(chat: &Chat, vault: &Vault) -> Result<Self, Fault> {
        let key = KeyBytes {
            key: binary(&chat.key.0),
        };
        Ok(Self {
            chat: Uuid::from_bytes(*chat.id.as_bytes()),
            key: vault.seal(place_of_key(chat.id), &key)?,
            expires_at: date(chat.expires_at),
        })
    }

    pub(crate) fn chat(&self) -> ChatId {
        ChatId::from_bytes(self.chat.bytes())
    }

    /// The key; `None`: nobody can open it any more.
    async fn open(&self, vault: &Vault) -> Result<Option<ChatKey>, Fault> {
        let opened: Option<KeyBytes> = vault.open(place_of_key(self.chat()), &self.key).await?;
        let key = opened.map(|opened| <[u8; 32]>::try_from(&opened.key.bytes[..]).map(ChatKey));
        key.transpose()
            .map_err(|_| Fault::Corrupt("a key does not have 32 bytes"))
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct MessageKey {
    chat: Uuid,
    epoch: i64,
    seq: i64,
}

/// Sender and the sender's id of a message.
pub(crate) type Identity = (u8, ClientMessageId);

/// The key of a message.
pub(crate) fn message_key(chat: ChatId, position: Position) -> Document {
    let position = PositionRecord::from(position);
    doc! { "chat": chat_key(chat), "epoch": position.epoch, "seq": position.seq }
}

/// The keys of the messages of one epoch.
pub(crate) fn keys_of_epoch(chat: ChatId, epoch: i64) -> Document {
    let first = doc! { "chat": chat_key(chat), "epoch": epoch };
    let mut last = first.clone();
    last.insert("~", Bson::MaxKey);
    doc! { "$gte": first, "$lte": last }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageRecord {
    #[serde(rename = "_id")]
    key: MessageKey,
    member: i32,
    client_message_id: Uuid,
    at: DateTime,
    reply_to: Option<PositionRecord>,
    sealed: Binary,
    is_deleted: bool,
    expires_at: DateTime,
}

impl From<&StoredMessage> for MessageRecord {
    fn from(message: &StoredMessage) -> Self {
        let position = PositionRecord::from(message.position);
        Self {
            key: MessageKey {
                chat: Uuid::from_bytes(*message.chat.as_bytes()),
                epoch: position.epoch,
                seq: position.seq,
            },
            member: message.member.into(),
            client_message_id: Uuid::from_bytes(*message.client_message_id.as_bytes()),
            at: date(message.at),
            reply_to: message.reply_to.map(PositionRecord::from),
            sealed: binary(&message.sealed),
            is_deleted: message.is_deleted,
            expires_at: date(message.expires_at),
        }
    }
}

impl MessageRecord {
    /// The chat and position in its key.
    pub(crate) fn key(&self) -> (ChatId, Position) {
        let position = PositionRecord {
            epoch: self.key.epoch,
            seq: self.key.seq,
        };
        (ChatId::from_bytes(self.key.chat.bytes()), position.into())
    }

    pub(crate) fn seq(&self) -> i64 {
        self.key.seq
    }

    /// Its identity: sender and the sender's id.
    pub(crate) fn identity(&self) -> Identity {
        let id = ClientMessageId::from_bytes(self.client_message_id.bytes());
        (u8::try_from(self.member).unwrap_or(u8::MAX), id)
    }

    /// The message; it expires together with its chat at the latest.
    pub(crate) fn into_message(self, chat_expires_at: DateTime) -> StoredMessage {
        let (chat, position) = self.key();
        StoredMessage {
            chat,
            position,
            member: u8::try_from(self.member).unwrap_or(u8::MAX),
            client_message_id: ClientMessageId::from_bytes(self.client_message_id.bytes()),
            at: unix_ms(self.at),
            reply_to: self.reply_to.map(Position::from),
            sealed: Bytes::from(self.sealed.bytes),
            is_deleted: self.is_deleted,
            expires_at: unix_ms(self.expires_at.min(chat_expires_at)),
        }
    }
}
