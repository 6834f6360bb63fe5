//! Accounts: names, blocks and recent partners.

use async_trait::async_trait;
use mongodb::bson::{Binary, Bson, Document, doc};
use nowrong_core::record::{Generation, RefreshToken, Registration, TokenHash, UnixMs, User};
use nowrong_protocol::UserId;
use nowrong_store::{Avoid, NameClaim, Registered, Rotation, StoreError, UserStore};

use super::{
    MongoStore,
    fault::{Fault, readable},
    record::{
        BlockRecord, GenerationRecord, PartnersRecord, TokenRecord, USERS, UserRecord,
        UsernameRecord, alive, block_key, by_key, date, due, keys_of, rested_at, token_key,
        unix_ms, user_key, uuid,
    },
    transaction::Transaction,
};

#[async_trait]
impl UserStore for MongoStore {
    async fn create_user(&self, user: &User) -> Result<NameClaim, StoreError> {
        let user = user.clone();
        self.transact("create_user", move |transaction| {
            let user = user.clone();
            Box::pin(async move { transaction.create_user(&user).await })
        })
        .await
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, StoreError> {
        let registration = registration.clone();
        self.transact("register", move |transaction| {
            let registration = registration.clone();
            Box::pin(async move { transaction.register(&registration).await })
        })
        .await
    }

    async fn user(&self, id: UserId, now: UnixMs) -> Result<Option<User>, StoreError> {
        self.call("user", |shared| async move {
            let filter = doc! { "_id": user_key(id), "expiresAt": alive(now) };
            let found = shared.users.find_one(filter).hint(by_key()).await;
            match readable(USERS, found)? {
                Some(user) => user.open(&shared.vault).await,
                None => Ok(None),
            }
        })
        .await
    }

    async fn update_user(&self, user: &User, now: UnixMs) -> Result<NameClaim, StoreError> {
        let user = user.clone();
        self.transact("update_user", move |transaction| {
            let user = user.clone();
            Box::pin(async move { transaction.update_user(&user, now).await })
        })
        .await
    }

    async fn touch(&self, ids: &[UserId], expires_at: UnixMs) -> Result<Vec<UserId>, StoreError> {
        let ids = ids.to_vec();
        self.call("touch", |shared| async move {
            shared.touch(&ids, expires_at).await
        })
        .await
    }

    async fn generations(&self, ids: &[UserId]) -> Result<Vec<(UserId, Generation)>, StoreError> {
        let keys: Vec<Bson> = ids.iter().map(|id| user_key(*id)).collect();
        self.call("generations", |shared| async move {
            let users = shared.users.clone_with_type::<GenerationRecord>();
            let find = users.find(doc! { "_id": { "$in": keys } });
            let find = find.projection(doc! { "generation": 1 });
            let mut found = find.hint(by_key()).await?;
            let mut generations = Vec::new();
            while found.advance().await? {
                let account = found.deserialize_current().map(Some);
                generations.extend(readable(USERS, account)?.map(GenerationRecord::into_parts));
            }
            Ok(generations)
        })
        .await
    }

    async fn delete_user(&self, id: UserId, now: UnixMs) -> Result<(), StoreError> {
        self.transact("delete_user", move |transaction| {
            Box::pin(transaction.delete_user(id, now))
        })
        .await
    }

    async fn create_refresh(&self, token: &RefreshToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.transact("create_refresh", move |transaction| {
            let token = token.clone();
            Box::pin(async move { transaction.create_refresh(&token).await })
        })
        .await
    }

    async fn rotate_refresh(
        &self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
    ) -> Result<Rotation, StoreError> {
        let (used, next) = (*used, next.clone());
        self.transact("rotate_refresh", move |transaction| {
            let next = next.clone();
            Box::pin(async move { transaction.rotate_refresh(&used, &next, now).await })
        })
        .await
    }

    async fn log_out(
        &self,
        hash: &TokenHash,
        everywhere: bool,
        now: UnixMs,
    ) -> Result<Option<UserId>, StoreError> {
        let hash = *hash;
        self.transact("log_out", move |transaction| {
            Box::pin(async move { transaction.log_out(&hash, everywhere, now).await })
        })
        .await
    }

    async fn put_recovery(&self, user: UserId, hash: &TokenHash) -> Result<bool, StoreError> {
        let hash = *hash;
        self.transact("put_recovery", move |transaction| {
            Box::pin(async move { transaction.put_recovery(user, &hash).await })
        })
        .await
    }

    async fn delete_recovery(&self, user: UserId) -> Result<(), StoreError> {
        self.transact("delete_recovery", move |transaction| {
            Box::pin(transaction.delete_recovery(user))
        })
        .await
    }

    async fn recover(
        &self,
        hash: &TokenHash,
        first: &RefreshToken,
        now: UnixMs,
    ) -> Result<Option<User>, StoreError> {
        let (hash, first) = (*hash, first.clone());
        self.transact("recover", move |transaction| {
            let first = first.clone();
            Box::pin(async move { transaction.recover(&hash, &first, now).await })
        })
        .await
    }

    async fn refresh(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RefreshToken>, StoreError> {
        let key = token_key(hash);
        self.call("refresh", |shared| async move {
            let filter = doc! { "_id": key, "expiresAt": alive(now) };
            let found = shared.tokens.find_one(filter).hint(by_key()).await?;
            let Some(token) = found.filter(TokenRecord::is_token) else {
                return Ok(None);
            };
            let family = doc! { "_id": token.family_key() };
            match shared.families.find_one(family).await? {
                Some(_) => token.into_token().map(Some),
                None => Ok(None),
            }
        })
        .await
    }

    async fn avoid(&self, user: UserId, now: UnixMs) -> Result<Avoid, StoreError> {
        self.call("avoid", |shared| async move {
            let blocks = doc! { "_id": keys_of("user", &user_key(user)) };
            let mut found = shared.blocks.find(blocks).await?;
            let mut blocked = Vec::new();
            while found.advance().await? {
                blocked.push(found.deserialize_current()?.other());
            }
            let partners = doc! { "_id": user_key(user) };
            let partners = shared.partners.find_one(partners).await?;
            let partners = partners.map_or_else(Vec::new, |record| record.partners);
            let recent = partners.iter().filter(|partner| partner.is_recent(now));
            Ok(Avoid {
                blocked,
                recent: recent.map(|partner| partner.user()).collect(),
            })
        })
        .await
    }

    async fn block(&self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), StoreError> {
        self.transact("block", move |transaction| {
            Box::pin(transaction.block(blocker, blocked, now))
        })
        .await
    }
}

impl Transaction {
    pub(super) async fn create_user(&mut self, user: &User) -> Result<NameClaim, Fault> {
        if !self.is_free(user, user.created_at).await? {
            return Ok(NameClaim::Taken);
        }
        self.put_user(user).await?;
        Ok(NameClaim::Claimed)
    }

    async fn update_user(&mut self, user: &User, now: UnixMs) -> Result<NameClaim, Fault> {
        let users = self.shared.users.clone();
        let old = self.one(&users, doc! { "_id": user_key(user.id) }).await?;
        let Some(old) = old else {
            return Ok(NameClaim::Unknown);
        };
        if !self.is_free(user, now).await? {
            return Ok(NameClaim::Taken);
        }
        let generation = old.generation();
        if old.name_key != self.shared.vault.name_key(&user.skeleton) {
            self.leave_name(old.name_key, user.id, now).await?;
        }
        let user = User {
            expires_at: user.expires_at.max(unix_ms(old.expires_at)),
            generation,
            ..user.clone()
        };
        self.put_user(&user).await?;
        Ok(NameClaim::Claimed)
    }

    /// Whether the account can have its name: nobody else has it, and it does not rest. Of an account that has
    /// expired, the sweeper removes what is left, and leaves the name to its new owner.
    async fn is_free(&mut self, user: &User, now: UnixMs) -> Result<bool, Fault> {
        let usernames = self.shared.usernames.clone();
        let name_key = self.shared.vault.name_key(&user.skeleton);
        let former = self.shared.vault.former_owner(&name_key, user.id);
        let holder = self.one(&usernames, doc! { "_id": name_key }).await?;
        Ok(holder.is_none_or(|holder: UsernameRecord| {
            let is_own = holder.user.bytes() == *user.id.as_bytes() || holder.user == former;
            is_own || unix_ms(holder.expires_at) <= now
        }))
    }

    async fn put_user(&mut self, user: &User) -> Result<(), Fault> {
        let (users, usernames) = (self.shared.users.clone(), self.shared.usernames.clone());
        let name = UsernameRecord::of(user, &self.shared.vault);
        self.put(&usernames, &[name]).await?;
        let user = UserRecord::wrapped(user, &self.shared.vault)?;
        self.put(&users, &[user]).await
    }

    /// What was issued for the account until now counts no more. An account that is gone has none.
    pub(super) async fn raise_generation(&mut self, id: UserId) -> Result<(), Fault> {
        let raise = doc! { "$inc": { "generation": 1_i64 } };
        let users = self.shared.users.clone();
        let update = users.update_one(doc! { "_id": user_key(id) }, raise);
        update.session(&mut self.session).await?;
        Ok(())
    }

    /// The name rests, if it is still the one of `owner`, who left it at `left_at`.
    async fn leave_name(
        &mut self,
        name_key: Binary,
        owner: UserId,
        left_at: UnixMs,
    ) -> Result<(), Fault> {
        let former = self.shared.vault.former_owner(&name_key, owner);
        let rest = doc! { "user": uuid(&former.bytes()), "expiresAt": date(rested_at(left_at)) };
        let own = doc! { "_id": name_key, "user": user_key(owner) };
        let usernames = self.shared.usernames.clone();
        let update = usernames.update_one(own, doc! { "$set": rest });
        update.hint(by_key()).session(&mut self.session).await?;
        Ok(())
    }

    /// Removes the account if it has expired; returns whether it did.
    pub(super) async fn delete_due_user(&mut self, id: UserId, now: UnixMs) -> Result<bool, Fault> {
        let users = self.shared.users.clone_with_type::<Document>();
        let filter = doc! { "_id": user_key(id), "expiresAt": due(now) };
        if self.one(&users, filter).await?.is_none() {
            return Ok(false);
        }
        self.delete_user(id, now).await?;
        Ok(true)
    }

    async fn delete_user(&mut self, id: UserId, now: UnixMs) -> Result<(), Fault> {
        let key = user_key(id);
        // As a document, so that an account goes although nobody can read it.
        let users = self.shared.users.clone_with_type::<Document>();
        let user = self.one(&users, doc! { "_id": key.clone() }).await?;
        if let Some(user) = user
            && let Some(Bson::Binary(name_key)) = user.get("nameKey")
        {
            let expired_at = user.get_datetime("expiresAt").copied().map_or(now, unix_ms);
            self.leave_name(name_key.clone(), id, now.min(expired_at))
                .await?;
        }
        let delete = users.delete_one(doc! { "_id": key.clone() });
        delete.session(&mut self.session).await?;
        // The spent tickets in it stay: a queue or an offer may still hold one of them.
        let free = doc! { "$set": { "chat": Bson::Null, "freeAt": Bson::Null } };
        let update = self
            .shared
            .seats
            .update_one(doc! { "_id": key.clone() }, free);
        update.session(&mut self.session).await?;
        // Without their family the tokens are invalid; they are removed when they expire.
        let families = doc! { "_id": keys_of("user", &key) };
        let delete = self.shared.families.delete_many(families);
        delete.session(&mut self.session).await?;
        self.delete_blocks(id).await?;
        self.forget_partners(id).await
    }

    /// Ids are never used again, so blocks against the user are pointless too.
    async fn delete_blocks(&mut self, id: UserId) -> Result<(), Fault> {
        let blocks = self.shared.blocks.clone();
        let own = doc! { "_id": keys_of("user", &user_key(id)) };
        let found: Vec<BlockRecord> = self.all(&blocks, own).await?;
        let keys = found
            .iter()
            .flat_map(|block| [block_key(id, block.other()), block_key(block.other(), id)]);
        let keys: Vec<Bson> = keys.map(Bson::Document).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let delete = blocks.delete_many(doc! { "_id": { "$in": keys } });
        delete.session(&mut self.session).await?;
        Ok(())
    }

    async fn block(&mut self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), Fault> {
        for key in [block_key(blocker, blocked), block_key(blocked, blocker)] {
            let first = doc! { "$setOnInsert": { "at": date(now) } };
            let update = self.shared.blocks.update_one(doc! { "_id": key }, first);
            update.upsert(true).session(&mut self.session).await?;
        }
        self.mark_block(blocker, now).await
    }

    /// Makes the members of a chat remember each other.
    pub(super) async fn remember(&mut self, users: &[UserId], at: UnixMs) -> Result<(), Fault> {
        let partners = self.shared.partners.clone();
        let keys: Vec<Bson> = users.iter().map(|user| user_key(*user)).collect();
        let mut known = self.all(&partners, doc! { "_id": { "$in": keys } }).await?;
        let records = users.iter().map(|user| {
            let found = known.iter().position(|record| record.is_of(*user));
            let found = found.map(|index| known.swap_remove(index));
            let mut record = found.unwrap_or_else(|| PartnersRecord::none(*user));
            for partner in users.iter().filter(|partner| *partner != user) {
                record.remember(*partner, at);
            }
            record
        });
        let records: Vec<_> = records.collect();
        self.put(&partners, &records).await
    }

    /// Drops the recent partners of `user`, and `user` from theirs.
    async fn forget_partners(&mut self, user: UserId) -> Result<(), Fault> {
        let partners = self.shared.partners.clone();
        let key = doc! { "_id": user_key(user) };
        let Some(record) = self.one(&partners, key.clone()).await? else {
            return Ok(());
        };
        let delete = partners.delete_one(key);
        delete.session(&mut self.session).await?;
        let others = record
            .partners
            .iter()
            .map(|partner| user_key(partner.user()));
        let others: Vec<Bson> = others.collect();
        let pull = doc! { "$pull": { "partners": { "user": user_key(user) } } };
        let update = partners.update_many(doc! { "_id": { "$in": others } }, pull);
        update.session(&mut self.session).await?;
        Ok(())
    }
}
