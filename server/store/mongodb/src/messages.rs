//! Messages.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::TryFutureExt as _;
use mongodb::{
    ClientSession,
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
};
use nowrong_core::record::{StoredMessage, Survivors, UnixMs};
use nowrong_protocol::{ChatId, Position};
use nowrong_store::{MessageStore, Overdue, StoreError, Stored};

use super::{
    MongoStore, Shared,
    fault::{Fault, is_duplicate},
    record::{
        Identity, MessageRecord, alive, by_key, chat_key, date, keys_of, message_key, place_of_key,
    },
    transaction::{self, Transaction},
};

#[async_trait]
impl MessageStore for MongoStore {
    async fn append(&self, messages: &[StoredMessage]) -> Result<Stored, StoreError> {
        let messages: Arc<[_]> = messages.into();
        self.call("append", |shared| async move {
            let (mut void, mut session) = match shared.insert(&messages).await? {
                Some(session) => (BTreeSet::new(), session),
                None => insert_missing(&shared, &messages).await?,
            };
            for chat in &void {
                tracing::error!(%chat, "two messages for one position");
            }
            let recheck = shared.recheck(&mut session, &messages, &mut void);
            let (known, readable) = tokio::try_join!(recheck, shared.readable(&messages))?;
            let is_gone = |chat: &ChatId| !known.contains(chat) || !readable.contains(chat);
            let chats = messages.iter().map(|message| message.chat);
            let gone: BTreeSet<ChatId> = chats.filter(is_gone).collect();
            shared.remove_all_of(&gone, &messages).await?;
            Ok(Stored {
                void: void.difference(&gone).copied().collect(),
                gone: gone.into_iter().collect(),
            })
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
        let walk = Walk::After(after);
        self.call("messages_after", move |shared| async move {
            shared.page(chat, walk, limit, now).await
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
        let walk = Walk::Before(before);
        self.call("messages_before", move |shared| async move {
            let mut page = shared.page(chat, walk, limit, now).await?;
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
        self.call("delete_message", |shared| async move {
            let update = shared.messages.update_one(key, erased).await?;
            Ok(update.matched_count > 0)
        })
        .await
    }

    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError> {
        self.sweep_due(now, limit).await
    }

    async fn overdue(&self, before: UnixMs, limit: usize) -> Result<Overdue, StoreError> {
        self.call("overdue", move |shared| async move {
            shared.overdue(before, limit).await
        })
        .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.call("check", |shared| async move { shared.check().await })
            .await
    }

    async fn close(&self) {
        self.shut().await;
    }
}

/// Where a page begins, and its direction.
#[derive(Clone, Copy, Debug)]
enum Walk {
    After(Position),
    Before(Option<Position>),
}

impl Walk {
    /// The remaining keys of the walk.
    fn range(self, chat: ChatId) -> Document {
        let mut range = keys_of("chat", &chat_key(chat));
        match self {
            Self::After(after) => {
                range.remove("$gte");
                range.insert("$gt", message_key(chat, after));
            }
            Self::Before(Some(before)) => {
                range.remove("$lte");
                range.insert("$lt", message_key(chat, before));
            }
            Self::Before(None) => {}
        }
        range
    }

    fn order(self) -> Document {
        match self {
            Self::After(_) => doc! { "_id": 1 },
            Self::Before(_) => doc! { "_id": -1 },
        }
    }

    /// The walk that continues after `position`.
    fn behind(self, position: Position) -> Self {
        match self {
            Self::After(_) => Self::After(position),
            Self::Before(_) => Self::Before(Some(position)),
        }
    }
}

/// As [`Shared::insert`], when some of the messages are stored already: by the node of the other
/// member, or by an earlier call whose answer was lost. Returns the chats that have another message
/// at one of the positions.
async fn insert_missing(
    shared: &Arc<Shared>,
    messages: &Arc<[StoredMessage]>,
) -> Result<(BTreeSet<ChatId>, ClientSession), Fault> {
    let messages = messages.clone();
    let insert = transaction::run_in_session(shared.clone(), move |transaction| {
        let messages = messages.clone();
        Box::pin(async move { transaction.insert_missing(&messages).await })
    });
    insert.await
}

impl Shared {
    /// Action `Insert` of each message, in the order given: one command that ends at the first
    /// failure, so that no later message is durable without an earlier one. Returns the session of
    /// the write; `None` when a position is taken.
    async fn insert(&self, messages: &[StoredMessage]) -> Result<Option<ClientSession>, Fault> {
        let mut session = self.client.start_session().await?;
        let records: Vec<_> = messages.iter().map(MessageRecord::from).collect();
        let insert = self.messages.insert_many(records).ordered(true);
        match insert.session(&mut session).await {
            Ok(_) => Ok(Some(session)),
            Err(error) if is_duplicate(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The chats of `messages` whose key is there and not broken, and that had not expired when the messages
    /// were accepted.
    async fn readable(&self, messages: &[StoredMessage]) -> Result<HashSet<ChatId>, Fault> {
        let mut newest = HashMap::new();
        for message in messages {
            let at = newest.entry(message.chat).or_insert(message.at);
            *at = message.at.max(*at);
        }
        let chats: Vec<Bson> = newest.keys().copied().map(chat_key).collect();
        let find = self.keys.find(doc! { "_id": { "$in": chats } });
        let mut found = find.hint(by_key()).await?;
        let mut readable = HashSet::new();
        while found.advance().await? {
            let key = found.deserialize_current()?;
            let (chat, at) = (key.chat(), newest.get(&key.chat()));
            let is_alive = at.is_some_and(|at| key.expires_at > date(*at));
            if is_alive && !self.vault.is_broken(place_of_key(chat), &key.key) {
                readable.insert(chat);
            }
        }
        Ok(readable)
    }

    /// Removes those of `messages` whose chat is gone. The sweep removes the key of a chat first and its
    /// messages afterwards: it finds all messages that are stored while there is a key, and this call
    /// removes later ones.
    async fn remove_all_of(
        &self,
        gone: &BTreeSet<ChatId>,
        messages: &[StoredMessage],
    ) -> Result<(), Fault> {
        if gone.is_empty() {
            return Ok(());
        }
        let unreadable = messages.iter().filter(|it| gone.contains(&it.chat));
        let unreadable = unreadable.map(|it| Bson::from(message_key(it.chat, it.position)));
        let unreadable: Vec<Bson> = unreadable.collect();
        let delete = doc! { "_id": { "$in": unreadable } };
        self.messages.delete_many(delete).hint(by_key()).await?;
        Ok(())
    }

    /// The first messages of a chat on a walk, if the chat can be read, without those that are void
    /// (rule `IgnoreVoid`). The epochs are read after the messages (rule `MessagesThenEpochs`): a
    /// message that survives then has survived before.
    async fn page(
        &self,
        chat: ChatId,
        mut walk: Walk,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, Fault> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut session = self.client.start_session().await?;
        let readable = doc! { "_id": chat_key(chat), "expiresAt": alive(now) };
        let key = self.keys.find_one(readable).hint(by_key()).into_future();
        let rows = self.rows(&mut session, chat, walk, limit, now);
        let (key, mut rows) = tokio::try_join!(key.map_err(Fault::from), rows)?;
        let Some(key) = key else {
            return Ok(Vec::new());
        };
        let mut page = Vec::new();
        // Void messages were under way when their epoch ended: there are rarely any, and never many
        // pages.
        loop {
            let Some(epochs) = self.set_epochs(&mut session, chat).await? else {
                return Ok(Vec::new());
            };
            let (survivors, count) = (Survivors::new(&epochs), rows.len());
            let last = rows.last().map(|row| row.key().1);
            let surviving = rows
                .into_iter()
                .filter(|row| survivors.include(row.key().1));
            page.extend(surviving.map(|row| row.into_message(key.expires_at)));
            page.truncate(limit);
            let Some(last) = last.filter(|_| count == limit && page.len() < limit) else {
                return Ok(page);
            };
            walk = walk.behind(last);
            rows = self.rows(&mut session, chat, walk, limit, now).await?;
        }
    }

    /// The first messages on a walk, void or not. They come in one batch, so that they are of one
    /// moment.
    async fn rows(
        &self,
        session: &mut ClientSession,
        chat: ChatId,
        walk: Walk,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<MessageRecord>, Fault> {
        let wanted = doc! { "_id": walk.range(chat), "expiresAt": alive(now) };
        let find = self.messages.find(wanted).sort(walk.order());
        let find = find.limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let find = find.batch_size(u32::try_from(limit).unwrap_or(u32::MAX));
        let mut found = find.hint(by_key()).session(&mut *session).await?;
        let mut rows = Vec::new();
        while let Some(row) = found.next(session).await {
            rows.push(row?);
        }
        Ok(rows)
    }
}

impl Transaction {
    /// Stores the messages that are not stored yet, all at once. Returns the chats that have
    /// another message at one of the positions: of these nothing is stored.
    async fn insert_missing(
        &mut self,
        messages: &[StoredMessage],
    ) -> Result<BTreeSet<ChatId>, Fault> {
        let stored = self.shared.messages.clone();
        let mut known = self.known(messages).await?;
        let (mut new, mut void) = (Vec::new(), BTreeSet::new());
        for message in messages {
            let identity = (message.member, message.client_message_id);
            match known.entry((message.chat, message.position)) {
                Entry::Vacant(place) => {
                    place.insert(identity);
                    new.push(message);
                }
                Entry::Occupied(first) if *first.get() == identity => {}
                Entry::Occupied(_) => drop(void.insert(message.chat)),
            }
        }
        let new = new.into_iter().filter(|it| !void.contains(&it.chat));
        let new: Vec<_> = new.map(MessageRecord::from).collect();
        if !new.is_empty() {
            let insert = stored.insert_many(&new);
            insert.session(&mut self.session).await?;
        }
        Ok(void)
    }

    /// The stored messages at the positions of `messages`.
    async fn known(
        &mut self,
        messages: &[StoredMessage],
    ) -> Result<HashMap<(ChatId, Position), Identity>, Fault> {
        let stored = self.shared.messages.clone();
        let keys = messages
            .iter()
            .map(|message| message_key(message.chat, message.position));
        let keys: Vec<_> = keys.map(Bson::Document).collect();
        let found = self.all(&stored, doc! { "_id": { "$in": keys } }).await?;
        let found = found
            .into_iter()
            .map(|record| (record.key(), record.identity()));
        Ok(found.collect())
    }
}
