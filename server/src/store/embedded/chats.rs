//! Chats and seats.

use std::ops::Bound;

use async_trait::async_trait;
use nowrong_protocol::{ChatId, Position, UserId};
use redb::ReadableTable;

use super::{
    EmbeddedStore,
    draft::Draft,
    fault::Fault,
    record::{self, ChatRecord},
    snapshot::Snapshot,
    table::{self, Expiring, bounds, load},
};
use crate::store::{Chat, ChatEnd, ChatStore, Epoch, Opening, StoreError, UnixMs};

#[async_trait]
impl ChatStore for EmbeddedStore {
    async fn open_chat(&self, chat: &Chat) -> Result<Opening, StoreError> {
        let chat = chat.clone();
        self.write(move |draft| draft.open_chat(&chat)).await
    }

    async fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, StoreError> {
        self.read(|snapshot| snapshot.chat(id, now))
    }

    async fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, StoreError> {
        self.read(|snapshot| snapshot.seat(user, now))
    }

    async fn active_chats(
        &self,
        after: Option<ChatId>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<Chat>, StoreError> {
        self.read_many(limit, move |snapshot| {
            snapshot.active_chats(after, limit, now)
        })
        .await
    }

    async fn begin_epoch(&self, id: ChatId, now: UnixMs) -> Result<Option<Epoch>, StoreError> {
        self.write(move |draft| draft.begin_epoch(id, now)).await
    }

    async fn save_cursors(
        &self,
        id: ChatId,
        member: u8,
        delivered: Position,
        read: Position,
    ) -> Result<(), StoreError> {
        self.write_lazily(move |draft| draft.save_cursors(id, member, delivered, read))
            .await
    }

    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError> {
        let end = *end;
        self.write(move |draft| draft.end_chat(id, &end)).await
    }
}

impl Draft<'_> {
    fn open_chat(&mut self, chat: &Chat) -> Result<Opening, Fault> {
        let mut users: Vec<_> = chat.members.iter().map(|member| member.user).collect();
        users.sort_unstable();
        for user in &users {
            if self.is_seated_elsewhere(*user, chat)? {
                return Ok(Opening::Seated(*user));
            }
        }
        if self.chats.get(chat.id.as_bytes())?.is_some() && self.has_key(chat.id) {
            return Ok(Opening::Opened);
        }
        for user in &users {
            self.seats.insert(user.as_bytes(), chat.id.as_bytes())?;
            for partner in users.iter().filter(|partner| *partner != user) {
                self.remember(*user, *partner, chat.started_at)?;
            }
        }
        self.active.insert(chat.id.as_bytes(), ())?;
        self.put_chat(chat.id, &ChatRecord::from(chat))?;
        self.create_key(chat.id, chat.key.clone());
        self.move_expiry(Expiring::Chat(chat.id), None, Some(chat.expires_at))?;
        Ok(Opening::Opened)
    }

    /// Whether the user has a seat in another chat that lives when `chat` starts.
    fn is_seated_elsewhere(&self, user: UserId, chat: &Chat) -> Result<bool, Fault> {
        let seat = self.seats.get(user.as_bytes())?;
        let Some(other) = seat.map(|seat| ChatId::from_bytes(*seat.value())) else {
            return Ok(false);
        };
        let record: Option<ChatRecord> = load(&self.chats, other.as_bytes())?;
        let is_live = record.is_some_and(|record| record.is_active(chat.started_at));
        Ok(other != chat.id && is_live && self.has_key(other))
    }

    fn begin_epoch(&mut self, id: ChatId, now: UnixMs) -> Result<Option<Epoch>, Fault> {
        let found = load::<_, ChatRecord>(&self.chats, id.as_bytes())?;
        let Some(mut record) = found.filter(|chat| chat.expires_at > now && self.has_key(id))
        else {
            return Ok(None);
        };
        let (low, high) = bounds::<28>(id.as_bytes());
        let last = self
            .messages
            .range::<&[u8; 28]>(&low..=&high)?
            .next_back()
            .transpose()?;
        let stored = last.map_or(0, |(key, _)| table::position(key.value()).seq);
        let before = record.epochs.last();
        let epoch = Epoch {
            number: before.map_or(1, |epoch| epoch.number + 1),
            base: stored.max(before.map_or(0, |epoch| epoch.base)),
        };
        record.epochs.push(epoch);
        self.put_chat(id, &record)?;
        Ok(Some(epoch))
    }

    fn save_cursors(
        &mut self,
        id: ChatId,
        member: u8,
        delivered: Position,
        read: Position,
    ) -> Result<(), Fault> {
        let Some(mut record) = load::<_, ChatRecord>(&self.chats, id.as_bytes())? else {
            return Ok(());
        };
        let Some(member) = record.members.get_mut(usize::from(member)) else {
            return Ok(());
        };
        if delivered <= member.delivered && read <= member.read {
            return Ok(());
        }
        member.delivered = member.delivered.max(delivered);
        member.read = member.read.max(read);
        self.put_chat(id, &record)
    }

    /// Ends a chat. Its messages expire with it, since reading them asks the chat first; an end
    /// never makes a chat live longer.
    fn end_chat(&mut self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, Fault> {
        let Some(mut record) = load::<_, ChatRecord>(&self.chats, id.as_bytes())? else {
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

    fn free_seats(&mut self, id: ChatId, record: &ChatRecord) -> Result<(), Fault> {
        self.active.remove(id.as_bytes())?;
        for member in &record.members {
            let user = member.user.as_bytes();
            let seat = self.seats.get(user)?.map(|seat| *seat.value());
            if seat.as_ref() == Some(id.as_bytes()) {
                self.seats.remove(user)?;
            }
        }
        Ok(())
    }

    fn put_chat(&mut self, id: ChatId, record: &ChatRecord) -> Result<(), Fault> {
        self.chats
            .insert(id.as_bytes(), &record::encode(record)[..])?;
        Ok(())
    }

    /// Removes an expired chat: its key first, then at most `budget` messages, then, when none are
    /// left, the rest. Answers how many records went, and whether the chat is gone.
    pub(super) fn remove_chat(
        &mut self,
        id: ChatId,
        budget: usize,
    ) -> Result<(usize, bool), Fault> {
        self.destroy_key(id);
        let (low, high) = bounds::<28>(id.as_bytes());
        let found = self.messages.range::<&[u8; 28]>(&low..=&high)?;
        let keys: Result<Vec<_>, Fault> = found
            .take(budget)
            .map(|entry| Ok(*entry?.0.value()))
            .collect();
        let keys = keys?;
        for key in &keys {
            self.messages.remove(key)?;
        }
        if keys.len() == budget {
            return Ok((budget, false));
        }
        if let Some(record) = load::<_, ChatRecord>(&self.chats, id.as_bytes())? {
            self.free_seats(id, &record)?;
            self.chats.remove(id.as_bytes())?;
            self.move_expiry(Expiring::Chat(id), Some(record.expires_at), None)?;
        }
        Ok((keys.len() + 1, true))
    }
}

impl Snapshot {
    /// The record of a chat that has not expired and has its key.
    pub(super) fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, Fault> {
        let record: Option<ChatRecord> = load(&self.table(table::CHATS)?, id.as_bytes())?;
        let alive = record.filter(|record| record.expires_at > now);
        Ok(alive.and_then(|record| {
            let key = self.keys.find(id)?;
            Some(record.into_chat(id, key))
        }))
    }

    fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, Fault> {
        let seat = self.table(table::SEATS)?.get(user.as_bytes())?;
        let Some(id) = seat.map(|seat| ChatId::from_bytes(*seat.value())) else {
            return Ok(None);
        };
        let chat = self.chat(id, now)?;
        Ok(chat.filter(|chat| chat.end.is_none()).map(|chat| chat.id))
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
    fn is_active(&self, now: UnixMs) -> bool {
        self.end.is_none() && self.expires_at > now
    }

    fn into_chat(self, id: ChatId, key: crate::store::ChatKey) -> Chat {
        Chat {
            id,
            category: self.category,
            members: self.members,
            why: self.why,
            key,
            epochs: self.epochs,
            started_at: self.started_at,
            expires_at: self.expires_at,
            end: self.end,
        }
    }
}

impl From<&Chat> for ChatRecord {
    fn from(chat: &Chat) -> Self {
        Self {
            category: chat.category.clone(),
            members: chat.members.clone(),
            why: chat.why.clone(),
            epochs: chat.epochs.clone(),
            started_at: chat.started_at,
            expires_at: chat.expires_at,
            end: chat.end,
        }
    }
}
