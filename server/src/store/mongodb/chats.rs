//! Chats and seats.

use async_trait::async_trait;
use mongodb::bson::{Bson, doc};
use nowrong_protocol::{ChatId, Position, UserId};

use super::{
    MongoStore,
    fault::Fault,
    record::{
        ChatRecord, EndRecord, EpochRecord, KeyRecord, PositionRecord, SeatRecord, alive, by_key,
        chat_key, date, keys_of, unix_ms, user_key,
    },
    transaction::Transaction,
};
use crate::store::{Chat, ChatEnd, ChatStore, Epoch, Opening, StoreError, UnixMs};

#[async_trait]
impl ChatStore for MongoStore {
    async fn open_chat(&self, chat: &Chat) -> Result<Opening, StoreError> {
        let chat = chat.clone();
        self.transact(move |transaction| {
            let chat = chat.clone();
            Box::pin(async move { transaction.open_chat(&chat).await })
        })
        .await
    }

    async fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, StoreError> {
        self.call(|shared| async move {
            let filter = doc! { "_id": chat_key(id), "expiresAt": alive(now) };
            let chat = shared.chats.find_one(filter.clone()).hint(by_key());
            let key = shared.keys.find_one(filter).hint(by_key());
            let (chat, key) = tokio::try_join!(chat.into_future(), key.into_future())?;
            match (chat, key) {
                (Some(chat), Some(key)) => chat.into_chat(&key).map(Some),
                _ => Ok(None),
            }
        })
        .await
    }

    async fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, StoreError> {
        self.call(|shared| async move {
            let filter = doc! { "_id": user_key(user), "expiresAt": alive(now) };
            let seat = shared.seats.find_one(filter).hint(by_key()).await?;
            Ok(seat.map(|seat| seat.chat()))
        })
        .await
    }

    async fn active_chats(
        &self,
        after: Option<ChatId>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<Chat>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let first = chat_key(ChatId::from_bytes([0; 16]));
        let from = match after {
            Some(id) => doc! { "$gt": chat_key(id) },
            None => doc! { "$gte": first },
        };
        let filter = doc! { "_id": from, "end": null, "expiresAt": alive(now) };
        self.call(move |shared| async move {
            let find = shared.chats.find(filter).sort(doc! { "_id": 1 });
            let mut found = find.limit(limit as i64).hint(by_key()).await?;
            let mut chats: Vec<ChatRecord> = Vec::new();
            while found.advance().await? {
                chats.push(found.deserialize_current()?);
            }
            let ids: Vec<Bson> = chats.iter().map(|chat| chat_key(chat.id())).collect();
            let keys = doc! { "_id": { "$in": ids } };
            let mut found = shared.keys.find(keys).await?;
            let mut keys = std::collections::HashMap::new();
            while found.advance().await? {
                let key: KeyRecord = found.deserialize_current()?;
                keys.insert(key.chat(), key);
            }
            let readable = chats.into_iter().filter_map(|chat| {
                let key = keys.get(&chat.id())?;
                Some(chat.into_chat(key))
            });
            readable.collect()
        })
        .await
    }

    async fn begin_epoch(&self, id: ChatId, now: UnixMs) -> Result<Option<Epoch>, StoreError> {
        self.transact(move |transaction| Box::pin(transaction.begin_epoch(id, now)))
            .await
    }

    async fn save_cursors(
        &self,
        id: ChatId,
        member: u8,
        delivered: Position,
        read: Position,
    ) -> Result<(), StoreError> {
        let member = format!("members.{member}");
        let mut is_there = doc! { "_id": chat_key(id) };
        is_there.insert(member.clone(), doc! { "$exists": true });
        let forward = doc! { "$max": {
            format!("{member}.delivered"): PositionRecord::from(delivered),
            format!("{member}.read"): PositionRecord::from(read),
        } };
        self.call(|shared| async move {
            shared.chats.update_one(is_there, forward).await?;
            Ok(())
        })
        .await
    }

    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError> {
        let end = *end;
        self.transact(move |transaction| Box::pin(transaction.end_chat(id, end)))
            .await
    }
}

impl Transaction {
    async fn open_chat(&mut self, chat: &Chat) -> Result<Opening, Fault> {
        let mut users: Vec<_> = chat.members.iter().map(|member| member.user).collect();
        users.sort_unstable();
        let seats = self.shared.seats.clone();
        let wanted: Vec<Bson> = users.iter().map(|user| user_key(*user)).collect();
        let taken = self.all(&seats, doc! { "_id": { "$in": wanted } }).await?;
        let is_hindered = |user: &&UserId| taken.iter().any(|seat| seat.hinders(**user, chat));
        if let Some(user) = users.iter().find(is_hindered) {
            return Ok(Opening::Seated(*user));
        }
        let (chats, keys) = (self.shared.chats.clone(), self.shared.keys.clone());
        let id = doc! { "_id": chat_key(chat.id) };
        if self.one(&keys, id.clone()).await?.is_some() {
            return Ok(Opening::Opened);
        }
        for user in &users {
            let seat = SeatRecord::new(*user, chat);
            self.put(&seats, doc! { "_id": user_key(*user) }, &seat)
                .await?;
        }
        self.remember(&users, chat.started_at).await?;
        self.put(&keys, id.clone(), &KeyRecord::from(chat)).await?;
        self.put(&chats, id, &ChatRecord::from(chat)).await?;
        Ok(Opening::Opened)
    }

    async fn begin_epoch(&mut self, id: ChatId, now: UnixMs) -> Result<Option<Epoch>, Fault> {
        let (chats, keys) = (self.shared.chats.clone(), self.shared.keys.clone());
        let filter = doc! { "_id": chat_key(id), "expiresAt": alive(now) };
        let chat = self.one(&chats, filter.clone()).await?;
        let (Some(chat), Some(_)) = (chat, self.one(&keys, filter).await?) else {
            return Ok(None);
        };
        let messages = self.shared.messages.clone();
        let all = doc! { "_id": keys_of("chat", &chat_key(id)) };
        let newest = messages.find_one(all).sort(doc! { "_id": -1 });
        let newest = newest.session(&mut self.session).await?;
        let newest = newest.map(|message| message.into_message(chat.expires_at));
        let stored = newest.map_or(0, |message| message.position.seq);
        let before = chat.epochs.last().map(|epoch| Epoch::from(*epoch));
        let epoch = Epoch {
            number: before.map_or(1, |epoch| epoch.number.saturating_add(1)),
            base: stored.max(before.map_or(0, |epoch| epoch.base)),
        };
        let record = mongodb::bson::serialize_to_bson(&EpochRecord::from(&epoch));
        let record = record.map_err(mongodb::error::Error::from)?;
        let push = doc! { "$push": { "epochs": record } };
        let update = chats.update_one(doc! { "_id": chat_key(id) }, push);
        update.session(&mut self.session).await?;
        Ok(Some(epoch))
    }

    async fn end_chat(&mut self, id: ChatId, end: ChatEnd) -> Result<Option<ChatEnd>, Fault> {
        let chats = self.shared.chats.clone();
        let key = doc! { "_id": chat_key(id) };
        let Some(chat) = self.one(&chats, key.clone()).await? else {
            return Ok(None);
        };
        if let Some(end) = chat.end {
            return Ok(Some(end.into()));
        }
        // An end never makes a chat live longer.
        let expires_at = end.expires_at.min(unix_ms(chat.expires_at));
        let end = ChatEnd { expires_at, ..end };
        let record = mongodb::bson::serialize_to_bson(&EndRecord::from(&end));
        let record = record.map_err(mongodb::error::Error::from)?;
        let ended = doc! { "$set": { "end": record, "expiresAt": date(expires_at) } };
        let update = chats.update_one(key.clone(), ended);
        update.session(&mut self.session).await?;
        // Its messages hang on its key, so they expire with it.
        let sooner = doc! { "$set": { "expiresAt": date(expires_at) } };
        let update = self.shared.keys.update_one(key, sooner);
        update.session(&mut self.session).await?;
        let seats = doc! { "_id": { "$in": chat.seats() }, "chat": chat_key(id) };
        let delete = self.shared.seats.delete_many(seats);
        delete.session(&mut self.session).await?;
        Ok(Some(end))
    }
}
