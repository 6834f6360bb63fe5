//! Refresh tokens and registrations. A token is valid while the document of its family exists, so
//! revoking is a single write and needs no search for the tokens of the family. That document lists
//! the tokens that can still be exchanged.

use mongodb::bson::{Bson, Document, doc};
use nowrong_core::{
    record::{RefreshToken, Registration, RegistrationKey, TokenHash, UnixMs, User},
    refresh::{Exchange, Family, LogOut, RECOVERY_FAMILY},
};
use nowrong_protocol::UserId;
use nowrong_store::{NameClaim, Registered, Rotation};

use super::{
    Shared,
    fault::{Fault, readable},
    record::{
        FamilyRecord, TokenRecord, USERS, alive, by_key, date, keys_of, rested_at, token_key,
        unix_ms, user_key,
    },
    transaction::Transaction,
};

impl Transaction {
    /// Creates an account with its first token, or finds the one that the same request has made.
    pub(super) async fn register(&mut self, new: &Registration) -> Result<Registered, Fault> {
        let (user, token, key) = (&new.user, &new.token, new.key.as_ref());
        if let Some(key) = key
            && let Some(known) = self.alive_token(&key.hash, user.created_at).await?
        {
            return self.register_again(new, key, &known).await;
        }
        match self.create_user(user).await? {
            NameClaim::Claimed => {}
            NameClaim::Taken | NameClaim::Unknown => return Ok(Registered::NameTaken),
        }
        let first = TokenRecord::from(token);
        let family_key = first.family_key();
        let key_itself = key.map(|key| TokenRecord::of_key(key, token));
        let records: Vec<_> = [first].into_iter().chain(key_itself).collect();
        let tokens = self.shared.tokens.clone();
        self.put(&tokens, &records).await?;
        let family = Family::begin(token.hash, key.map(|key| key.hash), user.created_at);
        let family = FamilyRecord::new(family_key, &family, token.expires_at);
        self.put_family(family).await?;
        Ok(Registered::New)
    }

    async fn register_again(
        &mut self,
        new: &Registration,
        key: &RegistrationKey,
        known: &TokenRecord,
    ) -> Result<Registered, Fault> {
        let now = new.user.created_at;
        if !known.is_of(key) {
            return Ok(Registered::KeyOfOther);
        }
        let users = self.shared.users.clone();
        let id = UserId::from_bytes(known.user.bytes());
        let filter = doc! { "_id": user_key(id), "expiresAt": alive(now) };
        let Some(user) = self.one(&users, filter).await? else {
            return Ok(Registered::KeySpent);
        };
        let Some(user) = user.open(&self.shared.vault).await? else {
            return Ok(Registered::KeySpent);
        };
        let Some(found) = self.family_of(known).await? else {
            return Ok(Registered::KeySpent);
        };
        let mut family = found.family()?;
        let token = &new.token;
        let presented = known.presented()?;
        let Exchange::Renewed { dropped } = family.present(&presented, token.hash, now) else {
            return Ok(Registered::KeySpent);
        };
        let next = known.next(token);
        let lives_until = found.expires_at().max(token.expires_at);
        let family = FamilyRecord::new(found.key(), &family, lives_until);
        self.renew(&[next], family, &dropped).await?;
        Ok(Registered::Again(user))
    }

    pub(super) async fn create_refresh(&mut self, token: &RefreshToken) -> Result<(), Fault> {
        let tokens = self.shared.tokens.clone();
        let record = TokenRecord::from(token);
        let key = record.family_key();
        self.put(&tokens, &[record]).await?;
        let family = Family::begin(token.hash, None, 0);
        self.put_family(FamilyRecord::new(key, &family, token.expires_at))
            .await
    }

    pub(super) async fn rotate_refresh(
        &mut self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
    ) -> Result<Rotation, Fault> {
        let found = self.alive_token(used, now).await?;
        let Some(mut record) = found.filter(TokenRecord::is_token) else {
            return Ok(Rotation::Unknown);
        };
        let Some(found) = self.family_of(&record).await? else {
            return Ok(Rotation::Unknown);
        };
        let mut family = found.family()?;
        match family.present(&record.presented()?, next.hash, now) {
            Exchange::Renewed { dropped } => {
                record.exchanged(now, next.expires_at);
                let records = [record, TokenRecord::from(next)];
                let lives_until = found.expires_at().max(next.expires_at);
                let family = FamilyRecord::new(found.key(), &family, lives_until);
                self.renew(&records, family, &dropped).await?;
                Ok(Rotation::Rotated)
            }
            Exchange::Reused => {
                self.revoke(&record, found.key()).await?;
                Ok(Rotation::Reused)
            }
            Exchange::TooMany { retry_after_ms } => Ok(Rotation::TooMany { retry_after_ms }),
        }
    }

    pub(super) async fn log_out(
        &mut self,
        hash: &TokenHash,
        everywhere: bool,
        now: UnixMs,
    ) -> Result<Option<UserId>, Fault> {
        let found = self.alive_token(hash, now).await?;
        let Some(record) = found.filter(TokenRecord::is_token) else {
            return Ok(None);
        };
        let Some(found) = self.family_of(&record).await? else {
            return Ok(None);
        };
        let user = UserId::from_bytes(record.user.bytes());
        if everywhere {
            self.revoke_all(user).await?;
            return Ok(Some(user));
        }
        let mut family = found.family()?;
        match family.log_out(&record.presented()?, now) {
            LogOut::Dropped(dropped) => {
                let family = FamilyRecord::new(found.key(), &family, found.expires_at());
                self.renew(&[], family, &dropped).await?;
                Ok(None)
            }
            LogOut::Revoked => {
                self.revoke(&record, found.key()).await?;
                Ok(Some(user))
            }
        }
    }

    /// Removes the family of a token, and raises the generation of its account.
    async fn revoke(&mut self, token: &TokenRecord, family: Document) -> Result<(), Fault> {
        let families = self.shared.families.clone();
        let delete = families.delete_one(doc! { "_id": family });
        delete.session(&mut self.session).await?;
        self.raise_generation(UserId::from_bytes(token.user.bytes()))
            .await
    }

    pub(super) async fn put_recovery(
        &mut self,
        user: UserId,
        hash: &TokenHash,
    ) -> Result<bool, Fault> {
        let users = self.shared.users.clone();
        let Some(account) = self.one(&users, doc! { "_id": user_key(user) }).await? else {
            return Ok(false);
        };
        self.delete_recovery(user).await?;
        self.create_refresh(&RefreshToken {
            hash: *hash,
            family: RECOVERY_FAMILY,
            user,
            expires_at: unix_ms(account.expires_at),
        })
        .await?;
        Ok(true)
    }

    /// The document of a code that is in no list is removed when it expires.
    pub(super) async fn delete_recovery(&mut self, user: UserId) -> Result<(), Fault> {
        let families = self.shared.families.clone();
        let delete = families.delete_one(doc! { "_id": TokenRecord::recovery_key(user) });
        delete.session(&mut self.session).await?;
        Ok(())
    }

    pub(super) async fn recover(
        &mut self,
        hash: &TokenHash,
        first: &RefreshToken,
        now: UnixMs,
    ) -> Result<Option<User>, Fault> {
        let found = self.alive_token(hash, now).await?;
        let Some(code) = found.filter(TokenRecord::is_recovery) else {
            return Ok(None);
        };
        let Some(family) = self.family_of(&code).await? else {
            return Ok(None);
        };
        if !family.family()?.open.iter().any(|open| open.hash == *hash) {
            return Ok(None);
        }
        let id = UserId::from_bytes(code.user.bytes());
        self.revoke_all(id).await?;
        let users = self.shared.users.clone();
        let filter = doc! { "_id": user_key(id), "expiresAt": alive(now) };
        let Some(user) = self.one(&users, filter).await? else {
            return Ok(None);
        };
        let Some(user) = user.open(&self.shared.vault).await? else {
            return Ok(None);
        };
        self.create_refresh(&RefreshToken {
            user: id,
            ..first.clone()
        })
        .await?;
        Ok(Some(user))
    }

    /// Removes all families of the account but that of its recovery code, and raises its generation.
    async fn revoke_all(&mut self, user: UserId) -> Result<(), Fault> {
        let mut own = keys_of("user", &user_key(user));
        own.remove("$lte");
        own.insert("$lt", TokenRecord::recovery_key(user));
        let own = doc! { "_id": own };
        let delete = self.shared.families.delete_many(own);
        delete.session(&mut self.session).await?;
        self.raise_generation(user).await
    }

    async fn alive_token(
        &mut self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<TokenRecord>, Fault> {
        let tokens = self.shared.tokens.clone();
        let filter = doc! { "_id": token_key(hash), "expiresAt": alive(now) };
        self.one(&tokens, filter).await
    }

    async fn family_of(&mut self, token: &TokenRecord) -> Result<Option<FamilyRecord>, Fault> {
        let families = self.shared.families.clone();
        self.one(&families, doc! { "_id": token.family_key() })
            .await
    }

    async fn put_family(&mut self, family: FamilyRecord) -> Result<(), Fault> {
        let families = self.shared.families.clone();
        self.put(&families, &[family]).await
    }

    /// Stores tokens of a family and its list, and removes the tokens that were dropped from it.
    async fn renew(
        &mut self,
        records: &[TokenRecord],
        family: FamilyRecord,
        dropped: &[TokenHash],
    ) -> Result<(), Fault> {
        let tokens = self.shared.tokens.clone();
        if !records.is_empty() {
            self.put(&tokens, records).await?;
        }
        self.put_family(family).await?;
        if !dropped.is_empty() {
            let keys: Vec<Bson> = dropped.iter().map(token_key).collect();
            let delete = tokens.delete_many(doc! { "_id": { "$in": keys } });
            delete.session(&mut self.session).await?;
        }
        Ok(())
    }
}

impl Shared {
    /// Moves the expiry of accounts forward, of each account last: what belongs to it never expires
    /// before it does, wherever this stops. Each write only moves forward, so no transaction is
    /// needed.
    pub(super) async fn touch(
        &self,
        ids: &[UserId],
        expires_at: UnixMs,
    ) -> Result<Vec<UserId>, Fault> {
        let later = doc! { "$max": { "expiresAt": date(expires_at) } };
        let keys: Vec<Bson> = ids.iter().map(|id| user_key(*id)).collect();
        let users = doc! { "_id": { "$in": &keys } };
        let mut found = self.users.find(users.clone()).hint(by_key()).await?;
        let (mut gone, mut names) = (ids.to_vec(), Vec::new());
        while found.advance().await? {
            let user = found.deserialize_current().map(Some);
            let Some(user) = readable(USERS, user)? else {
                continue;
            };
            gone.retain(|id| *id.as_bytes() != user.id.bytes());
            names.push(user.name_key);
        }
        if names.is_empty() {
            return Ok(gone);
        }
        self.touch_tokens(ids, expires_at).await?;
        let names = doc! { "_id": { "$in": names }, "user": { "$in": keys } };
        let rested = doc! { "$max": { "expiresAt": date(rested_at(expires_at)) } };
        let update = self.usernames.update_many(names, rested);
        update.hint(by_key()).await?;
        let update = self.users.update_many(users, later);
        update.hint(by_key()).await?;
        Ok(gone)
    }

    /// Moves the expiry of the families of accounts forward, and of the tokens that can be exchanged.
    async fn touch_tokens(&self, ids: &[UserId], expires_at: UnixMs) -> Result<(), Fault> {
        let ranges = ids
            .iter()
            .map(|id| doc! { "_id": keys_of("user", &user_key(*id)) });
        let ranges: Vec<_> = ranges.collect();
        let found = self.families.find(doc! { "$or": ranges });
        let mut found = found.hint(by_key()).await?;
        let (mut families, mut tokens) = (Vec::new(), Vec::new());
        while found.advance().await? {
            let family = found.deserialize_current()?;
            tokens.extend(family.open_keys());
            families.push(family.key());
        }
        let later = doc! { "$max": { "expiresAt": date(expires_at) } };
        if !tokens.is_empty() {
            let filter = doc! { "_id": { "$in": tokens }, "request": Bson::Null };
            let update = self.tokens.update_many(filter, later.clone());
            update.hint(by_key()).await?;
        }
        if !families.is_empty() {
            let filter = doc! { "_id": { "$in": families } };
            let update = self.families.update_many(filter, later);
            update.hint(by_key()).await?;
        }
        Ok(())
    }
}
