//! The store as one that wraps: it knows the secret of its cluster, wraps what an older server has left
//! in clear, and wraps again what lives longer than its day key.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection,
    bson::{Binary, Bson, DateTime, Document, Uuid, doc},
    options::ReturnDocument,
};
use nowrong_core::record::{AgeBracket, User};
use nowrong_protocol::{ChatId, UserId};
use nowrong_store::{StoreError, wrapping::WrappingStore};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    MongoStore, Shared,
    fault::{Fault, is_duplicate, write_error},
    record::{
        CONVERTED, KeyBytes, KeyRecord, MemberName, People, USERS, UserRecord, UsernameRecord,
        binary, by_key, chat_key, place_of_chat, place_of_key, place_of_user, unix_ms, user_key,
    },
    vault::key_of,
};

/// Key of the document by which the database recognises the secret of its cluster.
const SECRET: &str = "secret";

/// How many documents are converted at the same time.
const AT_ONCE: usize = 16;

#[async_trait]
impl WrappingStore for MongoStore {
    async fn knows_secret(&self) -> Result<bool, StoreError> {
        self.call("knows_secret", |shared| async move {
            shared.knows_secret().await
        })
        .await
    }

    async fn has_accounts(&self) -> Result<bool, StoreError> {
        self.call("has_accounts", |shared| async move {
            let users = shared.users.clone_with_type::<Document>();
            let any = users.find_one(doc! {});
            let any = any.projection(doc! { "_id": 1 }).hint(by_key());
            Ok(any.await?.is_some())
        })
        .await
    }

    /// Not bounded by the deadline of a call: it handles everything that is stored. Each write is.
    async fn wrap_clear(&self) -> Result<u64, StoreError> {
        Ok(self.shared.wrap_clear().await?)
    }

    async fn rewrap(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Option<UserId>, StoreError> {
        self.call("rewrap", move |shared| async move {
            shared.rewrap(after, limit).await
        })
        .await
    }
}

/// An account as an older server has stored it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClearUser {
    #[serde(rename = "_id")]
    id: Uuid,
    name: String,
    skeleton: String,
    language: String,
    interests: Vec<String>,
    age_bracket: AgeBracket,
    created_at: DateTime,
    expires_at: DateTime,
}

/// The part of a chat that an older server has stored in clear.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClearChat {
    #[serde(rename = "_id")]
    id: Uuid,
    members: Vec<MemberName>,
    shared_interests: Vec<String>,
}

/// The part of an account that is wrapped.
#[derive(Deserialize)]
struct SealedUser {
    #[serde(rename = "_id")]
    id: Uuid,
    sealed: Binary,
}

impl Shared {
    async fn knows_secret(&self) -> Result<bool, Fault> {
        let own = self.vault.mark();
        loop {
            let first = doc! { "$setOnInsert": { "mark": own.clone() } };
            let update = self
                .checks
                .find_one_and_update(doc! { "_id": SECRET }, first);
            let update = update.upsert(true).return_document(ReturnDocument::After);
            match update.await {
                // Two nodes were first at the same moment.
                Err(error) if is_duplicate(&error) => {}
                found => {
                    let known = found?.and_then(|found| found.get("mark").cloned());
                    return Ok(known == Some(Bson::Binary(own)));
                }
            }
        }
    }

    async fn wrap_clear(&self) -> Result<u64, Fault> {
        let noted = doc! { "_id": CONVERTED };
        if self.checks.find_one(noted.clone()).await?.is_some() {
            return Ok(0);
        }
        let unsealed = || doc! { "sealed": { "$exists": false } };
        let users = self.users.clone_with_type();
        let mut changed = each(&users, unsealed(), |user| self.wrap_user(user)).await?;
        let chats = self.chats.clone_with_type();
        changed += each(&chats, unsealed(), |chat| self.wrap_chat(chat)).await?;
        let is_clear = doc! { "$expr": { "$eq": [{ "$binarySize": "$key" }, 32] } };
        changed += each(&self.keys, is_clear, |key| self.wrap_key(key)).await?;
        // Those whose accounts are gone.
        let clear_names = doc! { "_id": { "$type": "string" } };
        changed += self.usernames.delete_many(clear_names).await?.deleted_count;
        let note = doc! { "$currentDate": { "at": true } };
        self.checks.update_one(noted, note).upsert(true).await?;
        Ok(changed)
    }

    /// The new name first, so that the account never lacks one.
    async fn wrap_user(&self, clear: ClearUser) -> Result<(), Fault> {
        let user = User {
            id: UserId::from_bytes(clear.id.bytes()),
            name: clear.name,
            skeleton: clear.skeleton,
            language: clear.language,
            interests: clear.interests,
            age_bracket: clear.age_bracket,
            created_at: unix_ms(clear.created_at),
            expires_at: unix_ms(clear.expires_at),
            generation: 0,
        };
        let key = user_key(user.id);
        let old = doc! { "_id": &user.skeleton, "user": key.clone() };
        let usernames = self.usernames.clone_with_type::<Document>();
        // An account whose name another one has by now keeps none.
        if usernames.find_one(old.clone()).await?.is_some() {
            let name = UsernameRecord::of(&user, &self.vault);
            let hashed = doc! { "_id": self.vault.name_key(&user.skeleton) };
            let replace = self.usernames.replace_one(hashed, name).upsert(true);
            replace.await?;
            usernames.delete_one(old).await?;
        }
        let record = UserRecord::wrapped(&user, &self.vault)?;
        let unsealed = doc! { "_id": key, "sealed": { "$exists": false } };
        self.users.replace_one(unsealed, record).await?;
        Ok(())
    }

    async fn wrap_chat(&self, clear: ClearChat) -> Result<(), Fault> {
        let id = ChatId::from_bytes(clear.id.bytes());
        let people = People {
            members: clear.members,
            shared_interests: clear.shared_interests,
        };
        let sealed = self.vault.seal(place_of_chat(id), &people)?;
        let wrap = doc! {
            "$set": { "sealed": sealed },
            "$unset": { "sharedInterests": "", "members.$[].name": "", "members.$[].language": "" },
        };
        let unsealed = doc! { "_id": chat_key(id), "sealed": { "$exists": false } };
        self.chats.update_one(unsealed, wrap).await?;
        Ok(())
    }

    async fn wrap_key(&self, clear: KeyRecord) -> Result<(), Fault> {
        let key = KeyBytes {
            key: binary(&clear.key.bytes),
        };
        let wrapped = self.vault.seal(place_of_key(clear.chat()), &key)?;
        let old = doc! { "_id": chat_key(clear.chat()), "key": clear.key };
        let wrap = doc! { "$set": { "key": wrapped } };
        self.keys.update_one(old, wrap).await?;
        Ok(())
    }

    /// Compare and swap, so that an account that is changed at the same moment stays as it was changed.
    async fn rewrap(&self, after: Option<UserId>, limit: usize) -> Result<Option<UserId>, Fault> {
        let current = self.vault.current().ok_or(Fault::NoDayKey)?;
        let from = match after {
            Some(id) => doc! { "$gt": user_key(id) },
            None => doc! { "$gte": user_key(UserId::from_bytes([0; 16])) },
        };
        let users = self.users.clone_with_type::<SealedUser>();
        let find = users.find(doc! { "_id": from }).sort(doc! { "_id": 1 });
        let find = find.projection(doc! { "sealed": 1 }).limit(limit as i64);
        let found: Vec<SealedUser> = find.hint(by_key()).await?.try_collect().await?;
        let mut updates = Vec::new();
        for user in &found {
            if key_of(&user.sealed) == Some(current) {
                continue;
            }
            let id = UserId::from_bytes(user.id.bytes());
            let again = self.vault.rewrap(place_of_user(id), &user.sealed).await;
            let again = match again {
                // Whatever this node cannot open, it cannot save.
                Ok(None) | Err(Fault::UnknownDayKey | Fault::Corrupt(_)) => continue,
                again => again?,
            };
            let old = doc! { "_id": user_key(id), "sealed": user.sealed.clone() };
            let update = doc! { "$set": { "sealed": again } };
            updates.push(doc! { "q": old, "u": update, "hint": { "_id": 1 } });
        }
        self.update_users(updates).await?;
        let is_end = found.len() < limit;
        let last = found.last().filter(|_| !is_end);
        Ok(last.map(|user| UserId::from_bytes(user.id.bytes())))
    }

    async fn update_users(&self, updates: Vec<Document>) -> Result<(), Fault> {
        if updates.is_empty() {
            return Ok(());
        }
        // The driver's own bulk write needs MongoDB 8.
        let command = doc! {
            "update": USERS, "updates": updates, "ordered": false,
            "writeConcern": { "w": "majority" },
        };
        match write_error(&self.database.run_command(command).await?) {
            None => Ok(()),
            Some(_) => Err(Fault::Refused("to wrap an account again")),
        }
    }
}

/// Does `work` with each document that matches; returns how many there were.
async fn each<T, F>(
    collection: &Collection<T>,
    filter: Document,
    work: impl Fn(T) -> F,
) -> Result<u64, Fault>
where
    T: DeserializeOwned + Send + Sync,
    F: Future<Output = Result<(), Fault>>,
{
    let found = collection.find(filter).await?.map_err(Fault::from);
    let done = found.map_ok(work).try_buffer_unordered(AT_ONCE);
    let counted = done.try_fold(0, |count, ()| std::future::ready(Ok(count + 1)));
    counted.await
}
