//! Chats. Seats are in `seats`, the epochs of their logs in `epochs`.

use std::sync::Arc;

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use nowrong_core::record::{Chat, ChatEnd, Cursors, Epoch, UnixMs};
use nowrong_protocol::{ChatId, TicketId, UserId};
use nowrong_store::{ChatStore, Opening, StoreError};

use super::{
    MongoStore, Shared,
    fault::{Fault, readable},
    record::{
        CHATS, ChatRecord, EndRecord, KEYS, KeyRecord, PositionRecord, alive, by_key, chat_key,
        date, epochs, unix_ms, user_key,
    },
    seats,
    transaction::Transaction,
};

#[async_trait]
impl ChatStore for MongoStore {
    async fn open_chat(&self, chat: &Chat, tickets: &[TicketId]) -> Result<Opening, StoreError> {
        let asked = Arc::new((chat.clone(), tickets.to_vec()));
        self.transact("open_chat", move |transaction| {
            let asked = asked.clone();
            Box::pin(async move { transaction.open_chat(&asked.0, &asked.1).await })
        })
        .await
    }

    async fn cancel_ticket(
        &self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        self.call("cancel_ticket", move |shared| async move {
            shared.cancel_ticket(user, ticket, now).await
        })
        .await
    }

    async fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, StoreError> {
        self.call("chat", |shared| async move {
            let filter = doc! { "_id": chat_key(id), "expiresAt": alive(now) };
            match shared.chat_and_key(filter).await? {
                Some((chat, key)) => shared.with_epochs(chat, &key).await,
                None => Ok(None),
            }
        })
        .await
    }

    async fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, StoreError> {
        self.call("seat", |shared| async move {
            let filter = doc! { "_id": user_key(user), "expiresAt": alive(now) };
            let seat = shared.seats.find_one(filter).hint(by_key()).await?;
            match seat.and_then(|seat| seat.chat(now)) {
                Some(chat) => Ok(shared.is_readable(chat, now).await?.then_some(chat)),
                None => Ok(None),
            }
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
        self.call("active_chats", move |shared| async move {
            let find = shared.chats.find(filter).sort(doc! { "_id": 1 });
            let mut found = find.limit(limit as i64).hint(by_key()).await?;
            let mut chats: Vec<ChatRecord> = Vec::new();
            while found.advance().await? {
                let chat = found.deserialize_current().map(Some);
                chats.extend(readable(CHATS, chat)?);
            }
            let ids: Vec<Bson> = chats.iter().map(|chat| chat_key(chat.id())).collect();
            let keys = doc! { "_id": { "$in": ids } };
            let mut found = shared.keys.find(keys).await?;
            let mut keys: std::collections::HashMap<ChatId, KeyRecord> =
                std::collections::HashMap::new();
            while found.advance().await? {
                let key = found.deserialize_current().map(Some);
                keys.extend(readable(KEYS, key)?.map(|key| (key.chat(), key)));
            }
            let mut readable = Vec::with_capacity(chats.len());
            for chat in chats {
                if let Some(key) = keys.get(&chat.id()) {
                    readable.extend(shared.with_epochs(chat, key).await?);
                }
            }
            Ok(readable)
        })
        .await
    }

    async fn begin_epoch(
        &self,
        id: ChatId,
        last: u32,
        now: UnixMs,
    ) -> Result<Option<Epoch>, StoreError> {
        self.call("begin_epoch", move |shared| async move {
            shared.begin_epoch(id, last, now).await
        })
        .await
    }

    async fn save_cursors(&self, cursors: &[Cursors]) -> Result<(), StoreError> {
        if cursors.is_empty() {
            return Ok(());
        }
        let updates: Vec<Bson> = cursors.iter().map(forward).collect();
        // The driver's own bulk write needs MongoDB 8. If only some of them are written, no harm is
        // done: each is stored again when it moves again.
        let update = doc! {
            "update": CHATS,
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority" },
        };
        self.call("save_cursors", |shared| async move {
            let answer = shared.database.run_command(update).await?;
            match answer.get_array("writeErrors") {
                Ok(_) => Err(Fault::Refused("cursors")),
                Err(_) => Ok(()),
            }
        })
        .await
    }

    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError> {
        let end = *end;
        self.transact("end_chat", move |transaction| {
            Box::pin(transaction.end_chat(id, end))
        })
        .await
    }
}

/// The update that moves the cursors of a member forward.
fn forward(cursors: &Cursors) -> Bson {
    let member = format!("members.{}", cursors.member);
    let is_there = doc! { "_id": chat_key(cursors.chat), &member: { "$exists": true } };
    let forward = doc! { "$max": {
        format!("{member}.delivered"): PositionRecord::from(cursors.delivered),
        format!("{member}.read"): PositionRecord::from(cursors.read),
    } };
    Bson::Document(doc! { "q": is_there, "u": forward })
}

impl Shared {
    /// Whether the chat and its key are there and can be opened. Otherwise nobody has a seat in it.
    async fn is_readable(&self, id: ChatId, now: UnixMs) -> Result<bool, Fault> {
        let filter = doc! { "_id": chat_key(id), "expiresAt": alive(now) };
        let Some((chat, key)) = self.chat_and_key(filter).await? else {
            return Ok(false);
        };
        let chat = chat.into_chat(&key, Vec::new(), &self.vault);
        Ok(chat.await?.is_some())
    }

    /// The chat that matches and its key, if both are there and can be read.
    async fn chat_and_key(
        &self,
        filter: Document,
    ) -> Result<Option<(ChatRecord, KeyRecord)>, Fault> {
        let chat = self.chats.find_one(filter.clone()).hint(by_key());
        let key = self.keys.find_one(filter).hint(by_key());
        let (chat, key) = tokio::join!(chat.into_future(), key.into_future());
        let (chat, key) = (readable(CHATS, chat)?, readable(KEYS, key)?);
        Ok(chat.zip(key))
    }

    /// The chat, with a base for each of its epochs.
    async fn with_epochs(&self, chat: ChatRecord, key: &KeyRecord) -> Result<Option<Chat>, Fault> {
        if let Some(epochs) = epochs(&chat.epochs) {
            return chat.into_chat(key, epochs, &self.vault).await;
        }
        let mut session = self.client.start_session().await?;
        match self.set_epochs(&mut session, chat.id()).await? {
            Some(epochs) => chat.into_chat(key, epochs, &self.vault).await,
            None => Ok(None),
        }
    }
}

impl Transaction {
    async fn end_chat(&mut self, id: ChatId, end: ChatEnd) -> Result<Option<ChatEnd>, Fault> {
        let chats = self.shared.chats.clone();
        let key = doc! { "_id": chat_key(id) };
        let Some(chat) = readable(CHATS, self.one(&chats, key.clone()).await)? else {
            return Ok(None);
        };
        if let Some(end) = chat.end {
            return Ok(Some(end.into()));
        }
        // An end never extends the life of a chat.
        let expires_at = end.expires_at.min(unix_ms(chat.expires_at));
        let end = ChatEnd { expires_at, ..end };
        let record = mongodb::bson::serialize_to_bson(&EndRecord::from(&end));
        let record = record.map_err(mongodb::error::Error::from)?;
        let ended = doc! { "$set": { "end": record, "expiresAt": date(expires_at) } };
        let update = chats.update_one(key.clone(), ended);
        update.session(&mut self.session).await?;
        // Its messages are readable only with its key, so they expire with it.
        let sooner = doc! { "$set": { "expiresAt": date(expires_at) } };
        let update = self.shared.keys.update_one(key, sooner);
        update.session(&mut self.session).await?;
        let (seats, nobodys) = seats::free(chat.seats(), &[chat_key(id)]);
        let update = self.shared.seats.update_many(seats, nobodys);
        update.hint(by_key()).session(&mut self.session).await?;
        Ok(Some(end))
    }
}
