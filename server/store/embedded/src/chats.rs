//! Chats. Their seats are in `seats`.

use std::ops::Bound;

use async_trait::async_trait;
use nowrong_core::record::{Chat, ChatEnd, Cursors, Epoch, UnixMs};
use nowrong_protocol::{ChatId, Position, TicketId, UserId};
use nowrong_store::{ChatStore, Opening, StoreError};
use redb::ReadableTable;

use super::{
    EmbeddedStore,
    fault::Fault,
    record::{self, ChatRecord},
    snapshot::Snapshot,
    table::{self, Expiring, bounds, load, message_key},
    transaction::Transaction,
    vault::KeyId,
};

#[async_trait]
impl ChatStore for EmbeddedStore {
    async fn open_chat(&self, chat: &Chat, tickets: &[TicketId]) -> Result<Opening, StoreError> {
        let (chat, tickets) = (chat.clone(), tickets.to_vec());
        self.write("open_chat", move |transaction| {
            transaction.open_chat(&chat, &tickets)
        })
        .await
    }

    async fn cancel_ticket(
        &self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        self.write("cancel_ticket", move |transaction| {
            transaction.cancel_ticket(user, ticket, now)
        })
        .await
    }

    async fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, StoreError> {
        self.read("chat", |snapshot| snapshot.chat(id, now))
    }

    async fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, StoreError> {
        self.read("seat", |snapshot| snapshot.seat(user, now))
    }

    async fn active_chats(
        &self,
        after: Option<ChatId>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<Chat>, StoreError> {
        self.read_many("active_chats", limit, move |snapshot| {
            snapshot.active_chats(after, limit, now)
        })
        .await
    }

    async fn begin_epoch(
        &self,
        id: ChatId,
        last: u32,
        now: UnixMs,
    ) -> Result<Option<Epoch>, StoreError> {
        self.write("begin_epoch", move |transaction| {
            transaction.begin_epoch(id, last, now)
        })
        .await
    }

    async fn save_cursors(&self, cursors: &[Cursors]) -> Result<(), StoreError> {
        let cursors = cursors.to_vec();
        self.write_lazily("save_cursors", move |transaction| {
            transaction.save_cursors(&cursors)
        })
        .await
    }

    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError> {
        let end = *end;
        self.write("end_chat", move |transaction| {
            transaction.end_chat(id, &end)
        })
        .await
    }
}

impl Transaction<'_> {
    fn begin_epoch(&mut self, id: ChatId, last: u32, now: UnixMs) -> Result<Option<Epoch>, Fault> {
        let found = load::<_, ChatRecord>(self.chats.read()?, id.as_bytes())?;
        let Some(mut record) = found.filter(|chat| chat.expires_at > now && self.has_key(id))
        else {
            return Ok(None);
        };
        let Some(before) = record.epochs.last().filter(|epoch| epoch.number == last) else {
            return Ok(None);
        };
        self.file(id)?;
        let low = message_key(id, Position::new(last, 0));
        let high = message_key(id, Position::new(last, u64::MAX));
        let newest = self
            .messages
            .read()?
            .range::<&[u8; 28]>(&low..=&high)?
            .next_back()
            .transpose()?;
        let stored = newest.map_or(0, |(key, _)| table::position(key.value()).seq);
        let epoch = Epoch {
            number: last + 1,
            base: stored.max(before.base),
        };
        record.epochs.push(epoch);
        self.put_chat(id, &record)?;
        Ok(Some(epoch))
    }

    fn save_cursors(&mut self, cursors: &[Cursors]) -> Result<(), Fault> {
        for cursors in cursors {
            let id = cursors.chat;
            let Some(mut record) = load::<_, ChatRecord>(self.chats.read()?, id.as_bytes())? else {
                continue;
            };
            let Some(member) = record.members.get_mut(usize::from(cursors.member)) else {
                continue;
            };
            if cursors.delivered <= member.delivered && cursors.read <= member.read {
                continue;
            }
            member.delivered = member.delivered.max(cursors.delivered);
            member.read = member.read.max(cursors.read);
            self.put_chat(id, &record)?;
        }
        Ok(())
    }

    /// Ends a chat. Its messages expire with it, since reading them asks the chat first; an end
    /// never extends the life of a chat.
    fn end_chat(&mut self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, Fault> {
        let Some(mut record) = load::<_, ChatRecord>(self.chats.read()?, id.as_bytes())? else {
            return Ok(None);
        };
        if record.end.is_some() {
            return Ok(record.end);
        }
        let expires_at = end.expires_at.min(record.expires_at);
        let end = ChatEnd { expires_at, ..*end };
        self.free_seats(id, &record)?;
        self.move_expiry(
            Expiring::Chat(id),
            Some(record.expires_at),
            Some(expires_at),
        )?;
        record.expires_at = expires_at;
        record.end = Some(end);
        self.put_chat(id, &record)?;
        Ok(Some(end))
    }

    pub(super) fn put_chat(&mut self, id: ChatId, record: &ChatRecord) -> Result<(), Fault> {
        self.chats
            .write()?
            .insert(id.as_bytes(), &record::encode(record)[..])?;
        Ok(())
    }

    /// Removes an expired chat: its key first, then at most `budget` messages, and, when none are
    /// left, the rest. Returns how many records were removed, and whether the chat is removed
    /// completely.
    pub(super) fn remove_chat(
        &mut self,
        id: ChatId,
        budget: usize,
    ) -> Result<(usize, bool), Fault> {
        self.destroy_key(KeyId::Chat(id));
        self.file(id)?;
        let (low, high) = bounds::<28>(id.as_bytes());
        let found = self.messages.read()?.range::<&[u8; 28]>(&low..=&high)?;
        let keys: Result<Vec<_>, Fault> = found
            .take(budget)
            .map(|entry| Ok(*entry?.0.value()))
            .collect();
        let keys = keys?;
        for key in &keys {
            self.messages.write()?.remove(key)?;
        }
        if keys.len() == budget {
            return Ok((budget, false));
        }
        if let Some(record) = load::<_, ChatRecord>(self.chats.read()?, id.as_bytes())? {
            self.free_seats(id, &record)?;
            self.chats.write()?.remove(id.as_bytes())?;
            self.move_expiry(Expiring::Chat(id), Some(record.expires_at), None)?;
        }
        Ok((keys.len() + 1, true))
    }
}

impl Snapshot {
    /// A chat that has not expired and has its key.
    pub(super) fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, Fault> {
        let Some(record) = self.chat_record(id, now)? else {
            return Ok(None);
        };
        let key = self.keys.chat(id);
        key.map(|key| record.open(id, key)).transpose()
    }

    /// The record of a chat that has not expired and has its key.
    pub(super) fn chat_record(&self, id: ChatId, now: UnixMs) -> Result<Option<ChatRecord>, Fault> {
        let record: Option<ChatRecord> = load(&self.table(table::CHATS)?, id.as_bytes())?;
        let is_alive = |record: &ChatRecord| record.expires_at > now;
        Ok(record.filter(|record| is_alive(record) && self.keys.has(KeyId::Chat(id))))
    }

    fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, Fault> {
        let seat = self.table(table::SEATS)?.get(user.as_bytes())?;
        let Some(id) = seat.map(|seat| ChatId::from_bytes(*seat.value())) else {
            return Ok(None);
        };
        let chat = self.chat_record(id, now)?;
        Ok(chat.filter(|chat| chat.end.is_none()).map(|_| id))
    }

    fn active_chats(
        &self,
        after: Option<ChatId>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<Chat>, Fault> {
        let from = after
            .as_ref()
            .map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
        let ids = self.table(table::ACTIVE)?;
        let mut chats = Vec::new();
        for entry in ids.range::<&[u8; 16]>((from, Bound::Unbounded))? {
            if chats.len() == limit {
                break;
            }
            let id = ChatId::from_bytes(*entry?.0.value());
            chats.extend(self.chat(id, now)?);
        }
        Ok(chats)
    }
}

impl ChatRecord {
    pub(super) fn is_active(&self, now: UnixMs) -> bool {
        self.end.is_none() && self.expires_at > now
    }
}
