//! Messages.

use std::collections::HashSet;

use async_trait::async_trait;
use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use nowrong_protocol::{ChatId, Position};

use super::{
    MongoStore, Shared,
    fault::Fault,
    record::{MessageRecord, alive, by_key, chat_key, keys_of, message_key},
    transaction::Transaction,
};
use crate::store::{MessageStore, StoreError, StoredMessage, UnixMs};

#[async_trait]
impl MessageStore for MongoStore {
    async fn append(&self, messages: &[StoredMessage]) -> Result<(), StoreError> {
        let messages: std::sync::Arc<[_]> = messages.into();
        self.transact(move |transaction| {
            let messages = messages.clone();
            Box::pin(async move { transaction.append(&messages).await })
        })
        .await
    }

    async fn messages_after(
        &self,
        chat: ChatId,
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut range = keys_of("chat", &chat_key(chat));
        range.remove("$gte");
        range.insert("$gt", message_key(chat, after));
        let order = doc! { "_id": 1 };
        self.call(move |shared| async move { shared.page(chat, range, order, limit, now).await })
            .await
    }

    async fn messages_before(
        &self,
        chat: ChatId,
        before: Option<Position>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut range = keys_of("chat", &chat_key(chat));
        if let Some(before) = before {
            range.remove("$lte");
            range.insert("$lt", message_key(chat, before));
        }
        let order = doc! { "_id": -1 };
        self.call(move |shared| async move {
            let mut page = shared.page(chat, range, order, limit, now).await?;
            page.reverse();
            Ok(page)
        })
        .await
    }

    async fn delete_message(&self, chat: ChatId, position: Position) -> Result<bool, StoreError> {
        let nothing = Binary {
            subtype: BinarySubtype::Generic,
            bytes: Vec::new(),
        };
        let erased = doc! { "$set": { "isDeleted": true, "sealed": nothing } };
        let key = doc! { "_id": message_key(chat, position) };
        self.call(|shared| async move {
            let update = shared.messages.update_one(key, erased).await?;
            Ok(update.matched_count > 0)
        })
        .await
    }

    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError> {
        self.sweep_due(now, limit).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.call(|shared| async move { shared.check().await })
            .await
    }

    async fn close(&self) {
        self.shut().await;
    }
}

impl Shared {
    /// The first messages of a chat in `order` whose key is in `range`, if the chat can be read. One
    /// batch, so that the page is of one moment.
    async fn page(
        &self,
        chat: ChatId,
        range: Document,
        order: Document,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, Fault> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let readable = doc! { "_id": chat_key(chat), "expiresAt": alive(now) };
        let wanted = doc! { "_id": range, "expiresAt": alive(now) };
        let find = self.messages.find(wanted).sort(order).limit(limit);
        let find = find.hint(by_key());
        let find = find.batch_size(u32::try_from(limit).unwrap_or(u32::MAX));
        let key = self.keys.find_one(readable).hint(by_key());
        let (key, mut found) = tokio::try_join!(key.into_future(), find.into_future())?;
        let Some(key) = key else {
            return Ok(Vec::new());
        };
        let mut page = Vec::new();
        while found.advance().await? {
            let message: MessageRecord = found.deserialize_current()?;
            page.push(message.into_message(key.expires_at));
        }
        Ok(page)
    }
}

impl Transaction {
    /// Stores what is not there yet, of chats that are still there. The first attempt trusts that
    /// all of it is new; a duplicate key is a conflict, and the next attempt looks.
    async fn append(&mut self, messages: &[StoredMessage]) -> Result<(), Fault> {
        let (keys, stored) = (self.shared.keys.clone(), self.shared.messages.clone());
        let chats: HashSet<ChatId> = messages.iter().map(|message| message.chat).collect();
        let chats: Vec<Bson> = chats.into_iter().map(chat_key).collect();
        let alive = self.all(&keys, doc! { "_id": { "$in": chats } }).await?;
        let alive: HashSet<ChatId> = alive.iter().map(|key| key.chat()).collect();
        // What comes twice in one call counts once, the first time.
        let mut known = match self.attempt {
            0 => HashSet::new(),
            _ => self.known(messages).await?,
        };
        let new = messages.iter().filter(|message| {
            alive.contains(&message.chat) && known.insert((message.chat, message.position))
        });
        let new: Vec<_> = new.map(MessageRecord::from).collect();
        if new.is_empty() {
            return Ok(());
        }
        let insert = stored.insert_many(&new);
        insert.session(&mut self.session).await?;
        Ok(())
    }

    /// The keys of those of `messages` that are stored.
    async fn known(
        &mut self,
        messages: &[StoredMessage],
    ) -> Result<HashSet<(ChatId, Position)>, Fault> {
        let stored = self.shared.messages.clone();
        let keys = messages
            .iter()
            .map(|message| message_key(message.chat, message.position));
        let keys: Vec<_> = keys.map(Bson::Document).collect();
        let found = self.all(&stored, doc! { "_id": { "$in": keys } }).await?;
        let found = found.into_iter().map(|record| record.key());
        Ok(found.collect())
    }
}
