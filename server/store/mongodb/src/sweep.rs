//! The sweeper's work: removes what has expired. Correctness does not depend on it, since reads
//! filter by time; it destroys keys early and removes related documents together.
//!
//! Every node sweeps. Each step is idempotent, so two nodes may sweep the same documents without
//! harm, and if one dies in the middle, the next sweep does the rest: a chat's own document, by
//! which it is found, is removed last.

use futures_util::TryStreamExt as _;
use mongodb::{
    Collection,
    bson::{Bson, DateTime, Document, deserialize_from_document, doc},
};
use nowrong_core::record::UnixMs;
use nowrong_protocol::UserId;
use nowrong_store::{Overdue, StoreError};

use super::{
    MongoStore, Shared,
    fault::Fault,
    record::{ChatRecord, PARTNER_LIFETIME_MS, by_key, date, due, keys_of},
    seats,
};

/// Most chats that are removed in one step, to bound the filters of the step.
const CHATS_AT_ONCE: usize = 64;

impl MongoStore {
    /// Removes at most about `limit` documents that expired at or before `now`.
    pub(super) async fn sweep_due(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        if limit > removed {
            let budget = limit - removed;
            removed += self
                .call("sweep_chats", move |shared| async move {
                    shared.sweep_chats(now, budget).await
                })
                .await?;
        }
        if limit > removed {
            removed += self.sweep_users(now, limit - removed).await?;
        }
        if limit > removed {
            let budget = limit - removed;
            removed += self
                .call("sweep_rest", move |shared| async move {
                    shared.sweep_rest(now, budget).await
                })
                .await?;
        }
        Ok(removed)
    }

    /// Accounts are removed one by one, each in a transaction that checks again whether it has
    /// expired.
    async fn sweep_users(&self, now: UnixMs, budget: usize) -> Result<usize, StoreError> {
        let due = self.call("sweep_users", move |shared| async move {
            let users = shared.users.clone_with_type::<Document>();
            Shared::due_keys(&users, now, budget).await
        });
        let mut removed = 0;
        for key in due.await? {
            let Bson::Binary(key) = key else { continue };
            let Ok(id) = <[u8; 16]>::try_from(&key.bytes[..]) else {
                continue;
            };
            let id = UserId::from_bytes(id);
            let was_due = self
                .transact("sweep_user", move |transaction| {
                    Box::pin(transaction.delete_due_user(id, now))
                })
                .await?;
            removed += usize::from(was_due);
        }
        Ok(removed)
    }
}

impl Shared {
    /// Chats: keys first, then seats, messages, and the chats themselves when no message is left.
    async fn sweep_chats(&self, now: UnixMs, budget: usize) -> Result<usize, Fault> {
        // As documents, so that a chat that nobody can read keeps no other from being erased.
        let chats = self.chats.clone_with_type::<Document>();
        let find = chats.find(doc! { "expiresAt": due(now) });
        let at_once = budget.min(CHATS_AT_ONCE) as i64;
        let mut found = find.sort(doc! { "expiresAt": 1 }).limit(at_once).await?;
        let (mut ids, mut seats, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        while found.advance().await? {
            let chat: Document = found.deserialize_current()?;
            let Some(id) = chat.get("_id").cloned() else {
                continue;
            };
            ranges.push(doc! { "_id": keys_of("chat", &id) });
            // The seats of a chat without readable members expire by themselves.
            let chat: Option<ChatRecord> = deserialize_from_document(chat).ok();
            seats.extend(chat.iter().flat_map(ChatRecord::seats));
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let chats = doc! { "_id": { "$in": &ids } };
        self.keys.delete_many(chats.clone()).await?;
        let (seats, nobodys) = seats::free(seats, &ids);
        let update = self.seats.update_many(seats, nobodys);
        update.hint(by_key()).await?;
        let messages = self.messages.clone_with_type::<Document>();
        let of_them = keys(&messages, doc! { "$or": ranges }, budget).await?;
        let removed = remove(&messages, doc! { "_id": { "$in": &of_them } }).await?;
        if of_them.len() >= budget {
            return Ok(removed);
        }
        let gone = self.chats.delete_many(chats).await?;
        Ok(removed + gone.deleted_count as usize)
    }

    /// Removes documents that are independent of others, and tokens whose account does not need them.
    pub(super) async fn sweep_rest(&self, now: UnixMs, limit: usize) -> Result<usize, Fault> {
        let alone = [
            self.messages.clone_with_type::<Document>(),
            self.keys.clone_with_type(),
            self.seats.clone_with_type(),
            self.usernames.clone_with_type(),
            self.partners.clone_with_type(),
        ];
        let of_accounts = [
            (self.tokens.clone_with_type::<Document>(), "user"),
            (self.families.clone_with_type(), "_id.user"),
        ];
        let mut removed = 0;
        for collection in &alone {
            if limit > removed {
                let keys = Self::due_keys(collection, now, limit - removed).await?;
                // Checked again: it may have been replaced by one that has not expired.
                let due = doc! { "_id": { "$in": keys }, "expiresAt": due(now) };
                removed += remove(collection, due).await?;
            }
        }
        for (collection, user) in &of_accounts {
            if limit > removed {
                removed += self
                    .sweep_tokens(collection, user, now, limit - removed)
                    .await?;
            }
        }
        if limit > removed {
            removed += self.trim_partners(now, limit - removed).await?;
        }
        Ok(removed)
    }

    /// Removes what expired in one of the collections of tokens, but not while an account that expired too is
    /// still there: either that is removed, or somebody who is here revives it, and then needs its tokens.
    async fn sweep_tokens(
        &self,
        collection: &Collection<Document>,
        user: &str,
        now: UnixMs,
        limit: usize,
    ) -> Result<usize, Fault> {
        let find = collection.find(doc! { "expiresAt": due(now) });
        let find = find.projection(doc! { user: 1 }).limit(limit as i64);
        let found: Vec<Document> = find.await?.try_collect().await?;
        let owner = |token: &Document| match user.split_once('.') {
            Some((outer, inner)) => token.get_document(outer).ok()?.get(inner).cloned(),
            None => token.get(user).cloned(),
        };
        let owners: Vec<Bson> = found.iter().filter_map(owner).collect();
        let users = self.users.clone_with_type::<Document>();
        let waiting = users.find(doc! { "_id": { "$in": owners }, "expiresAt": due(now) });
        let waiting = waiting.projection(doc! { "_id": 1 }).hint(by_key());
        let waiting: Vec<Document> = waiting.await?.try_collect().await?;
        let waiting: Vec<&Bson> = waiting.iter().filter_map(|user| user.get("_id")).collect();
        let is_free = |token: &&Document| owner(token).is_none_or(|user| !waiting.contains(&&user));
        let free = found.iter().filter(is_free);
        let free: Vec<&Bson> = free.filter_map(|token| token.get("_id")).collect();
        remove(
            collection,
            doc! { "_id": { "$in": free }, "expiresAt": due(now) },
        )
        .await
    }

    /// Drops recent partners that are too old; some remain, or the document would have expired.
    async fn trim_partners(&self, now: UnixMs, limit: usize) -> Result<usize, Fault> {
        let partners = self.partners.clone_with_type::<Document>();
        let due = keys(&partners, doc! { "trimAt": due(now) }, limit).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let oldest = date(now.saturating_sub(PARTNER_LIFETIME_MS));
        let is_recent = doc! { "$gt": ["$$this.at", oldest] };
        let recent = doc! { "$filter": { "input": "$partners", "cond": is_recent } };
        let lifetime = PARTNER_LIFETIME_MS as i64;
        // If none is left, `$min` of nothing is null, and so is the sum.
        let forgotten = doc! { "$add": [{ "$min": "$partners.at" }, lifetime] };
        let trim = vec![
            doc! { "$set": { "partners": recent } },
            doc! { "$set": { "trimAt": { "$ifNull": [forgotten, DateTime::MAX] } } },
        ];
        let update = partners.update_many(doc! { "_id": { "$in": due } }, trim);
        Ok(update.await?.modified_count as usize)
    }

    /// Counts the documents that expired at or before `before`, at most `limit` of each collection. Every document
    /// that expires has its time, keys included, and the index of the time finds it.
    pub(super) async fn overdue(&self, before: UnixMs, limit: usize) -> Result<Overdue, Fault> {
        let count = |collection: Collection<Document>| async move {
            let due = collection.count_documents(doc! { "expiresAt": due(before) });
            due.limit(limit as u64).await
        };
        let tokens = count(self.tokens.clone_with_type()).await?;
        let seats = count(self.seats.clone_with_type()).await?;
        Ok(Overdue {
            accounts: count(self.users.clone_with_type()).await?,
            chats: count(self.chats.clone_with_type()).await?,
            messages: count(self.messages.clone_with_type()).await?,
            keys: count(self.keys.clone_with_type()).await?,
            tokens: tokens + count(self.families.clone_with_type()).await?,
            names: count(self.usernames.clone_with_type()).await?,
            others: seats + count(self.partners.clone_with_type()).await?,
        })
    }

    /// Keys of the documents that expired at or before `now`, oldest first.
    async fn due_keys(
        collection: &Collection<Document>,
        now: UnixMs,
        limit: usize,
    ) -> Result<Vec<Bson>, Fault> {
        keys(collection, doc! { "expiresAt": due(now) }, limit).await
    }
}

async fn keys(
    collection: &Collection<Document>,
    filter: Document,
    limit: usize,
) -> Result<Vec<Bson>, Fault> {
    let find = collection.find(filter).projection(doc! { "_id": 1 });
    let mut found = find.limit(limit as i64).await?;
    let mut keys = Vec::new();
    while found.advance().await? {
        let mut document: Document = found.deserialize_current()?;
        keys.extend(document.remove("_id"));
    }
    Ok(keys)
}

async fn remove(collection: &Collection<Document>, filter: Document) -> Result<usize, Fault> {
    Ok(collection.delete_many(filter).await?.deleted_count as usize)
}
