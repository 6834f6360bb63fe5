//! Messages. Their expiry is the earlier of their own and that of their chat.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use async_trait::async_trait;
use bytes::Bytes;
use nowrong_core::record::{StoredMessage, Survivors, UnixMs};
use nowrong_protocol::{ChatId, Position};
use nowrong_store::{MessageStore, Overdue, StoreError, Stored};
use redb::AccessGuard;

use super::{
    EmbeddedStore,
    fault::Fault,
    journal::Entry,
    record::{self, ChatRecord, MessageRecord},
    snapshot::Snapshot,
    table::{self, Expiring, MessageKey, Record, bounds, load, message_key},
    transaction::Transaction,
};

#[async_trait]
impl MessageStore for EmbeddedStore {
    async fn append(&self, messages: &[StoredMessage]) -> Result<Stored, StoreError> {
        let messages = messages.to_vec();
        self.write("append", move |transaction| transaction.append(&messages))
            .await
    }

    async fn messages_after(
        &self,
        chat: ChatId,
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let waiting = self.shared.waiting.of(chat);
        self.read_many("messages_after", limit, move |snapshot| {
            snapshot.messages_after(chat, &waiting, after, limit, now)
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
        let waiting = self.shared.waiting.of(chat);
        self.read_many("messages_before", limit, move |snapshot| {
            snapshot.messages_before(chat, &waiting, before, limit, now)
        })
        .await
    }

    async fn delete_message(&self, chat: ChatId, position: Position) -> Result<bool, StoreError> {
        self.write("delete_message", move |transaction| {
            transaction.delete_message(chat, position)
        })
        .await
    }

    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError> {
        self.write("sweep", move |transaction| transaction.sweep(now, limit))
            .await
    }

    async fn overdue(&self, before: UnixMs, limit: usize) -> Result<Overdue, StoreError> {
        self.read_many("overdue", limit, move |snapshot| {
            snapshot.overdue(before, limit)
        })
        .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write("check", |transaction| transaction.touch()).await
    }

    async fn failed(&self) {
        self.writer.ended().await;
    }

    async fn close(&self) {
        self.shut().await;
    }
}

impl Transaction<'_> {
    /// Stores the messages that are not stored yet. The chats, their keys and epochs are those of this
    /// same transaction: a message that is not void now is durable before the next epoch begins, and so
    /// below its base.
    fn append(&mut self, messages: &[StoredMessage]) -> Result<Stored, Fault> {
        let (mut void, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for message in messages {
            if void.contains(&message.chat) || gone.contains(&message.chat) {
                continue;
            }
            let Some(chat) = self.readable(message.chat, message.at)? else {
                gone.insert(message.chat);
                continue;
            };
            let newest = chat.epochs.last().map_or(0, |epoch| epoch.number);
            if newest != message.position.epoch || !self.insert(message, chat.expires_at)? {
                void.insert(message.chat);
            }
        }
        Ok(Stored {
            void: void.into_iter().collect(),
            gone: gone.into_iter().collect(),
        })
    }

    /// The record of a chat that had not expired at `at`, and has its key.
    fn readable(&self, id: ChatId, at: UnixMs) -> Result<Option<ChatRecord>, Fault> {
        let chat = load::<_, ChatRecord>(self.chats.read()?, id.as_bytes())?;
        Ok(chat.filter(|chat| chat.expires_at > at && self.has_key(id)))
    }

    /// Stores a message, unless it is stored already. `false`: its position has another message.
    fn insert(&mut self, message: &StoredMessage, chat_expires_at: UnixMs) -> Result<bool, Fault> {
        if let Some(first) = self.message(message.chat, message.position)? {
            let is_same = first.member == message.member
                && first.client_message_id == message.client_message_id;
            if !is_same {
                tracing::error!(chat = %message.chat, position = %message.position, "two messages for one position");
            }
            return Ok(is_same);
        }
        if message.expires_at < chat_expires_at {
            let key = message_key(message.chat, message.position);
            self.move_expiry(Expiring::Message(key), None, Some(message.expires_at))?;
        }
        let entry = Entry {
            position: message.position,
            message: MessageRecord::from(message),
        };
        self.journal(message.chat, entry);
        Ok(true)
    }

    /// The message at a position, filed or not.
    fn message(&self, chat: ChatId, position: Position) -> Result<Option<MessageRecord>, Fault> {
        let filed = load(self.messages.read()?, &message_key(chat, position))?;
        Ok(filed.or_else(|| self.waiting(chat, position)))
    }

    fn delete_message(&mut self, chat: ChatId, position: Position) -> Result<bool, Fault> {
        self.file(chat)?;
        let key = message_key(chat, position);
        let Some(mut record) = load::<_, MessageRecord>(self.messages.read()?, &key)? else {
            return Ok(false);
        };
        record.is_deleted = true;
        record.sealed = Bytes::new();
        self.messages
            .write()?
            .insert(&key, &record::encode(&record)[..])?;
        Ok(true)
    }
}

impl Snapshot {
    fn messages_after(
        &self,
        chat: ChatId,
        waiting: &[Entry],
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, Fault> {
        let Some(readable) = self.readable(chat, now)? else {
            return Ok(Vec::new());
        };
        let from = message_key(chat, after);
        let (_, high) = bounds::<28>(chat.as_bytes());
        let table = self.table(table::MESSAGES)?;
        let filed = table.range::<&[u8; 28]>((Bound::Excluded(&from), Bound::Included(&high)))?;
        let first = waiting.partition_point(|entry| entry.position <= after);
        let waiting = waiting[first..].iter().map(Entry::read);
        let mut both = readable.first(limit, waiting)?;
        both.extend(readable.first(limit, filed.map(read))?);
        Ok(both.into_values().take(limit).collect())
    }

    fn messages_before(
        &self,
        chat: ChatId,
        waiting: &[Entry],
        before: Option<Position>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, Fault> {
        let Some(readable) = self.readable(chat, now)? else {
            return Ok(Vec::new());
        };
        let (low, high) = bounds::<28>(chat.as_bytes());
        let to = before.map(|position| message_key(chat, position));
        let to = to.as_ref().map_or(Bound::Included(&high), Bound::Excluded);
        let table = self.table(table::MESSAGES)?;
        let filed = table.range::<&[u8; 28]>((Bound::Included(&low), to))?;
        let is_before = |entry: &Entry| before.is_none_or(|before| entry.position < before);
        let waiting = &waiting[..waiting.partition_point(is_before)];
        let mut both = readable.first(limit, waiting.iter().rev().map(Entry::read))?;
        both.extend(readable.first(limit, filed.rev().map(read))?);
        let surplus = both.len().saturating_sub(limit);
        Ok(both.into_values().skip(surplus).collect())
    }

    /// The readable part of a chat; `None` when it has expired, or its key is destroyed.
    fn readable(&self, chat: ChatId, now: UnixMs) -> Result<Option<Readable>, Fault> {
        Ok(self.chat_record(chat, now)?.map(|found| Readable {
            chat,
            now,
            expires_at: found.expires_at,
            survivors: Survivors::new(&found.epochs),
        }))
    }
}

/// The readable part of a chat.
struct Readable {
    chat: ChatId,
    now: UnixMs,
    expires_at: UnixMs,
    survivors: Survivors,
}

impl Readable {
    /// The first `limit` readable ones of `records`.
    fn first(
        &self,
        limit: usize,
        records: impl Iterator<Item = Result<(Position, MessageRecord), Fault>>,
    ) -> Result<BTreeMap<Position, StoredMessage>, Fault> {
        // Errors are kept too: they end the read.
        let is_readable = |found: &Result<(Position, MessageRecord), Fault>| {
            found.as_ref().map_or(true, |(position, record)| {
                self.expiry(record) > self.now && self.survivors.include(*position)
            })
        };
        let found = records.filter(is_readable).take(limit);
        found
            .map(|found| found.map(|(position, record)| (position, self.stored(position, record))))
            .collect()
    }

    /// A message expires with its chat, if not before.
    fn expiry(&self, record: &MessageRecord) -> UnixMs {
        record.expires_at.min(self.expires_at)
    }

    fn stored(&self, position: Position, record: MessageRecord) -> StoredMessage {
        StoredMessage {
            chat: self.chat,
            position,
            member: record.member,
            client_message_id: record.client_message_id,
            at: record.at,
            reply_to: record.reply_to,
            expires_at: self.expiry(&record),
            sealed: record.sealed,
            is_deleted: record.is_deleted,
        }
    }
}

/// A message that is filed.
fn read(
    entry: Result<(AccessGuard<'_, MessageKey>, AccessGuard<'_, Record>), redb::StorageError>,
) -> Result<(Position, MessageRecord), Fault> {
    let (key, value) = entry?;
    Ok((table::position(key.value()), record::decode(value.value())?))
}

impl Entry {
    /// A message that waits.
    fn read(&self) -> Result<(Position, MessageRecord), Fault> {
        Ok((self.position, self.message.clone()))
    }
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
