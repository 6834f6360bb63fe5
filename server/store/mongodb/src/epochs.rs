//! Epochs of a chat's log: they are begun, given their base, and checked after every write.
//!
//! The steps are those of the model `message_log`. Each runs in a causally consistent session, so
//! that it never reads data older than it wrote or read before, whichever server replies.

use std::collections::{BTreeSet, HashSet};

use mongodb::{
    ClientSession,
    bson::{Bson, doc},
    options::ReturnDocument,
};
use nowrong_core::record::{Epoch, StoredMessage, UnixMs};
use nowrong_protocol::ChatId;

use super::{
    Shared,
    fault::Fault,
    record::{EpochRecord, EpochsRecord, alive, by_key, chat_key, epochs, keys_of_epoch},
};

impl Shared {
    /// Actions `BumpEpoch` and `SetBase`. The first is one write of one document, so of two nodes
    /// that know the same last epoch only one gets the next.
    pub(super) async fn begin_epoch(
        &self,
        id: ChatId,
        last: u32,
        now: UnixMs,
    ) -> Result<Option<Epoch>, Fault> {
        let readable = doc! { "_id": chat_key(id), "expiresAt": alive(now) };
        let key = self.keys.find_one(readable.clone()).hint(by_key()).await?;
        let Some(before) = last.checked_sub(1).filter(|_| key.is_some()) else {
            return Ok(None);
        };
        let mut newest = readable;
        newest.insert("epochs", doc! { "$size": last });
        newest.insert(format!("epochs.{before}.number"), i64::from(last));
        newest.insert(format!("epochs.{before}.base"), doc! { "$type": "long" });
        let next = EpochRecord::without_base(last.saturating_add(1));
        let push = doc! { "$push": { "epochs": next } };
        let mut session = self.client.start_session().await?;
        let chats = self.chats.clone_with_type::<EpochsRecord>();
        let bump = chats.find_one_and_update(newest, push).hint(by_key());
        let bump = bump.projection(doc! { "epochs": 1 });
        let bump = bump.return_document(ReturnDocument::After);
        if bump.session(&mut session).await?.is_none() {
            return Ok(None);
        }
        let epochs = self.set_epochs(&mut session, id).await?;
        // By now another epoch may follow, which only began after this one had its base.
        let mut epochs = epochs.into_iter().flatten();
        Ok(epochs.find(|epoch| epoch.number == last.saturating_add(1)))
    }

    /// The epochs of a chat, all with their base: sets that of the last one if it has none (action
    /// `SetBase`). `None` when there is no such chat.
    pub(super) async fn set_epochs(
        &self,
        session: &mut ClientSession,
        id: ChatId,
    ) -> Result<Option<Vec<Epoch>>, Fault> {
        let key = doc! { "_id": chat_key(id) };
        let chats = self.chats.clone_with_type::<EpochsRecord>();
        // Repeated only if another node sets the base or begins an epoch at the same moment.
        loop {
            let find = chats.find_one(key.clone()).hint(by_key());
            let find = find.projection(doc! { "epochs": 1 });
            let Some(found) = find.session(&mut *session).await? else {
                return Ok(None);
            };
            if let Some(set) = epochs(&found.epochs) {
                return Ok(Some(set));
            }
            self.set_base(session, id, &found.epochs).await?;
        }
    }

    /// Sets the base of the last of `epochs`, unless it has one by now (rule `SetBaseOnce`): the newest
    /// message of exactly the epoch before (rule `BaseOfSurvivors`), read after the epoch was begun
    /// (rule `BumpThenBase`). A node that stores a message of the epoch before afterwards learns from
    /// [`Self::recheck`] that it may be void.
    pub(super) async fn set_base(
        &self,
        session: &mut ClientSession,
        id: ChatId,
        epochs: &[EpochRecord],
    ) -> Result<(), Fault> {
        let [.., before, _] = epochs else {
            return Err(Fault::Corrupt("the first epoch of a chat has no base"));
        };
        let rows = doc! { "_id": keys_of_epoch(id, before.number) };
        let newest = self.messages.find_one(rows).sort(doc! { "_id": -1 });
        let newest = newest.hint(by_key()).session(&mut *session).await?;
        let stored = newest.map_or(0, |message| message.seq());
        let base = Bson::Int64(stored.max(before.base.unwrap_or(0)));
        let at = format!("epochs.{}.base", epochs.len() - 1);
        let size = i64::try_from(epochs.len()).unwrap_or(i64::MAX);
        // Not `{ &at: null }`: for a path through an array that is always true, because it also
        // looks for a field named like the index in every element, and finds none.
        let missing = doc! { "$not": { "$type": "long" } };
        let without = doc! { "_id": chat_key(id), "epochs": { "$size": size }, &at: missing };
        let set = doc! { "$set": { at: base } };
        let update = self.chats.update_one(without, set).hint(by_key());
        update.session(session).await?;
        Ok(())
    }

    /// Action `Recheck`: adds to `void` the chats of `messages` that have a newer epoch. Returns the
    /// chats that still exist. The session is the one in which the messages were stored.
    pub(super) async fn recheck(
        &self,
        session: &mut ClientSession,
        messages: &[StoredMessage],
        void: &mut BTreeSet<ChatId>,
    ) -> Result<HashSet<ChatId>, Fault> {
        let ids: BTreeSet<ChatId> = messages.iter().map(|message| message.chat).collect();
        let ids: Vec<Bson> = ids.into_iter().map(chat_key).collect();
        let chats = self.chats.clone_with_type::<EpochsRecord>();
        let find = chats.find(doc! { "_id": { "$in": ids } }).hint(by_key());
        let find = find.projection(doc! { "epochs": 1 });
        let mut found = find.session(&mut *session).await?;
        let mut known = HashSet::new();
        while let Some(chat) = found.next(session).await {
            let chat = chat?;
            known.insert(chat.id());
            let newest = chat.epochs.last().map_or(0, |epoch| epoch.number);
            let is_overtaken = messages.iter().any(|message| {
                message.chat == chat.id() && i64::from(message.position.epoch) != newest
            });
            if is_overtaken {
                void.insert(chat.id());
            }
        }
        Ok(known)
    }
}
