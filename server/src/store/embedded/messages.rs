//! Messages. Their expiry is the earlier of their own and that of their chat.

use std::{collections::BTreeSet, ops::Bound};

use async_trait::async_trait;
use bytes::Bytes;
use nowrong_protocol::{ChatId, Position};

use super::{
    EmbeddedStore,
    draft::Draft,
    fault::Fault,
    record::{self, ChatRecord, MessageRecord},
    snapshot::Snapshot,
    table::{self, Expiring, bounds, load, message_key},
};
use crate::store::{MessageStore, StoreError, Stored, StoredMessage, Survivors, UnixMs};

#[async_trait]
impl MessageStore for EmbeddedStore {
    async fn append(&self, messages: &[StoredMessage]) -> Result<Stored, StoreError> {
        let messages = messages.to_vec();
        self.write(move |draft| draft.append(&messages)).await
    }

    async fn messages_after(
        &self,
        chat: ChatId,
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.read_many(limit, move |snapshot| {
            snapshot.messages_after(chat, after, limit, now)
        })
        .await
    }

    async fn messages_before(
        &self,
        chat: ChatId,
        before: Option<Position>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.read_many(limit, move |snapshot| {
            snapshot.messages_before(chat, before, limit, now)
        })
        .await
    }

    async fn delete_message(&self, chat: ChatId, position: Position) -> Result<bool, StoreError> {
        self.write(move |draft| draft.delete_message(chat, position))
            .await
    }

    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError> {
        self.write(move |draft| draft.sweep(now, limit)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write(|draft| draft.touch()).await
    }

    async fn close(&self) {
        self.shut().await;
    }
}

impl Draft<'_> {
    /// Stores what is not there yet. A message of a chat that no longer exists is as one that has
    /// expired already: there is nothing to keep. The epochs are those of this very transaction: what
    /// is not void now is durable before the next epoch begins, and so below its base.
    fn append(&mut self, messages: &[StoredMessage]) -> Result<Stored, Fault> {
        let mut void = BTreeSet::new();
        for message in messages {
            let id = message.chat.as_bytes();
            let chat = load::<_, ChatRecord>(&self.chats, id)?;
            let Some(chat) = chat.filter(|_| !void.contains(&message.chat)) else {
                continue;
            };
            let newest = chat.epochs.last().map_or(0, |epoch| epoch.number);
            if newest != message.position.epoch || !self.insert(message, chat.expires_at)? {
                void.insert(message.chat);
            }
        }
        let void = void.into_iter().collect();
        Ok(Stored { void })
    }

    /// Stores a message, unless it is there. `false`: its position has another one.
    fn insert(&mut self, message: &StoredMessage, chat_expires_at: UnixMs) -> Result<bool, Fault> {
        let key = message_key(message.chat, message.position);
        if let Some(first) = load::<_, MessageRecord>(&self.messages, &key)? {
            let is_same = first.member == message.member
                && first.client_message_id == message.client_message_id;
            if !is_same {
                tracing::error!(chat = %message.chat, position = %message.position, "two messages for one position");
            }
            return Ok(is_same);
        }
        let record = MessageRecord::from(message);
        self.messages.insert(&key, &record::encode(&record)[..])?;
        if message.expires_at < chat_expires_at {
            self.move_expiry(Expiring::Message(key), None, Some(message.expires_at))?;
        }
        Ok(true)
    }

    fn delete_message(&mut self, chat: ChatId, position: Position) -> Result<bool, Fault> {
        let key = message_key(chat, position);
        let Some(mut record) = load::<_, MessageRecord>(&self.messages, &key)? else {
            return Ok(false);
        };
        record.is_deleted = true;
        record.sealed = Bytes::new();
        self.messages.insert(&key, &record::encode(&record)[..])?;
        Ok(true)
    }
}

impl Snapshot {
    fn messages_after(
        &self,
        chat: ChatId,
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, Fault> {
        let Some(readable) = self.readable(chat, now)? else {
            return Ok(Vec::new());
        };
        let after = message_key(chat, after);
        let (_, high) = bounds::<28>(chat.as_bytes());
        let table = self.table(table::MESSAGES)?;
        let found = table.range::<&[u8; 28]>((Bound::Excluded(&after), Bound::Included(&high)))?;
        found
            .map(|entry| {
                let (key, value) = entry?;
                read(chat, key.value(), value.value(), readable.expires_at)
            })
            .filter(|read| readable.includes(read, now))
            .take(limit)
            .collect()
    }

    fn messages_before(
        &self,
        chat: ChatId,
        before: Option<Position>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, Fault> {
        let Some(readable) = self.readable(chat, now)? else {
            return Ok(Vec::new());
        };
        let (low, high) = bounds::<28>(chat.as_bytes());
        let before = before.map(|position| message_key(chat, position));
        let to = before
            .as_ref()
            .map_or(Bound::Included(&high), Bound::Excluded);
        let table = self.table(table::MESSAGES)?;
        let found = table.range::<&[u8; 28]>((Bound::Included(&low), to))?;
        let newest_first: Result<Vec<_>, Fault> = found
            .rev()
            .map(|entry| {
                let (key, value) = entry?;
                read(chat, key.value(), value.value(), readable.expires_at)
            })
            .filter(|read| readable.includes(read, now))
            .take(limit)
            .collect();
        let mut messages = newest_first?;
        messages.reverse();
        Ok(messages)
    }

    /// What of a chat can be read; `None` when it has expired, or its key is gone.
    fn readable(&self, chat: ChatId, now: UnixMs) -> Result<Option<Readable>, Fault> {
        Ok(self.chat(chat, now)?.map(|chat| Readable {
            expires_at: chat.expires_at,
            survivors: Survivors::new(&chat.epochs),
        }))
    }
}

/// What of a chat can be read.
struct Readable {
    expires_at: UnixMs,
    survivors: Survivors,
}

impl Readable {
    /// Errors are wanted too: they end the read.
    fn includes(&self, read: &Result<StoredMessage, Fault>, now: UnixMs) -> bool {
        read.as_ref().map_or(true, |message| {
            message.expires_at > now && self.survivors.include(message.position)
        })
    }
}

fn read(
    chat: ChatId,
    key: &[u8; 28],
    bytes: &[u8],
    expires_at: UnixMs,
) -> Result<StoredMessage, Fault> {
    let record: MessageRecord = record::decode(bytes)?;
    Ok(StoredMessage {
        chat,
        position: table::position(key),
        member: record.member,
        client_message_id: record.client_message_id,
        at: record.at,
        reply_to: record.reply_to,
        sealed: record.sealed,
        is_deleted: record.is_deleted,
        expires_at: record.expires_at.min(expires_at),
    })
}

impl From<&StoredMessage> for MessageRecord {
    fn from(message: &StoredMessage) -> Self {
        Self {
            member: message.member,
            client_message_id: message.client_message_id,
            at: message.at,
            reply_to: message.reply_to,
            sealed: message.sealed.clone(),
            is_deleted: message.is_deleted,
            expires_at: message.expires_at,
        }
    }
}
