//! Accounts: names, blocks and recent partners. Their tokens are in `tokens`.

use async_trait::async_trait;
use nowrong_core::record::{Generation, RefreshToken, Registration, TokenHash, UnixMs, User};
use nowrong_protocol::UserId;
use nowrong_store::{Avoid, NameClaim, Registered, Rotation, StoreError, UserStore};
use redb::ReadableTable;

use super::{
    EmbeddedStore,
    fault::Fault,
    record::{self, RecentsRecord, UserRecord},
    sealed,
    snapshot::Snapshot,
    table::{self, Expiring, bounds, load, pair, second},
    transaction::Transaction,
    vault::KeyId,
};

/// Most recent partners that are remembered: more would not change the matches.
const RECENTS_MAX: usize = 50;

/// How long a recent partner is remembered, in milliseconds: 7 days.
const RECENT_LIFETIME_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

#[async_trait]
impl UserStore for EmbeddedStore {
    async fn create_user(&self, user: &User) -> Result<NameClaim, StoreError> {
        let user = user.clone();
        self.write("create_user", move |transaction| {
            transaction.create_user(&user)
        })
        .await
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, StoreError> {
        let registration = registration.clone();
        self.write("register", move |transaction| {
            transaction.register(&registration)
        })
        .await
    }

    async fn user(&self, id: UserId, now: UnixMs) -> Result<Option<User>, StoreError> {
        self.read("user", |snapshot| snapshot.user(id, now))
    }

    async fn update_user(&self, user: &User, now: UnixMs) -> Result<NameClaim, StoreError> {
        let user = user.clone();
        self.write("update_user", move |transaction| {
            transaction.update_user(&user, now)
        })
        .await
    }

    async fn touch(&self, ids: &[UserId], expires_at: UnixMs) -> Result<Vec<UserId>, StoreError> {
        let ids = ids.to_vec();
        self.write("touch", move |transaction| {
            let mut gone = Vec::new();
            for id in &ids {
                if !transaction.touch_user(*id, expires_at)? {
                    gone.push(*id);
                }
            }
            Ok(gone)
        })
        .await
    }

    async fn generations(&self, ids: &[UserId]) -> Result<Vec<(UserId, Generation)>, StoreError> {
        self.read("generations", |snapshot| snapshot.generations(ids))
    }

    async fn delete_user(&self, id: UserId, now: UnixMs) -> Result<(), StoreError> {
        self.write("delete_user", move |transaction| {
            transaction.remove_user(id, now)
        })
        .await
    }

    async fn create_refresh(&self, token: &RefreshToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.write("create_refresh", move |transaction| {
            transaction.create_refresh(&token)
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
        self.write("rotate_refresh", move |transaction| {
            transaction.rotate_refresh(&used, &next, now)
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
        self.write("log_out", move |transaction| {
            transaction.log_out(&hash, everywhere, now)
        })
        .await
    }

    async fn put_recovery(&self, user: UserId, hash: &TokenHash) -> Result<bool, StoreError> {
        let hash = *hash;
        self.write("put_recovery", move |transaction| {
            transaction.put_recovery(user, &hash)
        })
        .await
    }

    async fn delete_recovery(&self, user: UserId) -> Result<(), StoreError> {
        self.write("delete_recovery", move |transaction| {
            transaction.delete_recovery(user)
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
        self.write("recover", move |transaction| {
            transaction.recover(&hash, &first, now)
        })
        .await
    }

    async fn refresh(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RefreshToken>, StoreError> {
        self.read("refresh", |snapshot| snapshot.refresh(hash, now))
    }

    async fn avoid(&self, user: UserId, now: UnixMs) -> Result<Avoid, StoreError> {
        self.read("avoid", |snapshot| snapshot.avoid(user, now))
    }

    async fn block(&self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), StoreError> {
        self.write("block", move |transaction| {
            transaction.block(blocker, blocked, now)
        })
        .await
    }
}

impl Transaction<'_> {
    /// Creates an account.
    pub(super) fn create_user(&mut self, user: &User) -> Result<NameClaim, Fault> {
        let name = self.name_hash(&user.skeleton)?;
        if !self.make_free(&name, user.id, user.created_at)? {
            return Ok(NameClaim::Taken);
        }
        let old = load(self.users.read()?, user.id.as_bytes())?;
        self.put_user(old.as_ref(), user, user.created_at)?;
        Ok(NameClaim::Claimed)
    }

    fn update_user(&mut self, user: &User, now: UnixMs) -> Result<NameClaim, Fault> {
        let Some(old) = self.account(user.id)? else {
            return Ok(NameClaim::Unknown);
        };
        let name = self.name_hash(&user.skeleton)?;
        if !self.make_free(&name, user.id, now)? {
            return Ok(NameClaim::Taken);
        }
        let user = User {
            expires_at: user.expires_at.max(old.expires_at),
            ..user.clone()
        };
        self.put_user(Some(&old), &user, now)?;
        Ok(NameClaim::Claimed)
    }

    fn touch_user(&mut self, id: UserId, expires_at: UnixMs) -> Result<bool, Fault> {
        let Some(old) = self.account(id)? else {
            return Ok(false);
        };
        if expires_at > old.expires_at {
            let record = UserRecord {
                expires_at,
                ..old.clone()
            };
            self.put_account(id, Some(&old), &record)?;
            self.touch_tokens(id, expires_at)?;
        }
        Ok(true)
    }

    /// The record of an account that has its key; one without is gone.
    pub(super) fn account(&self, id: UserId) -> Result<Option<UserRecord>, Fault> {
        let record: Option<UserRecord> = load(self.users.read()?, id.as_bytes())?;
        Ok(record.filter(|_| self.key(KeyId::User(id)).is_some()))
    }

    /// An account, expired or not.
    pub(super) fn user(&self, id: UserId) -> Result<Option<User>, Fault> {
        let record: Option<UserRecord> = load(self.users.read()?, id.as_bytes())?;
        let Some((record, key)) = record.zip(self.key(KeyId::User(id))) else {
            return Ok(None);
        };
        record.open(id, &key, self.generation(id)?).map(Some)
    }

    /// Seals an account, under its key if it has one already, and stores it; its old name rests if it is another.
    fn put_user(
        &mut self,
        old: Option<&UserRecord>,
        user: &User,
        now: UnixMs,
    ) -> Result<(), Fault> {
        let id = KeyId::User(user.id);
        let key = match self.key(id) {
            Some(key) => key,
            None => {
                let key = sealed::new_key()?;
                self.create_key(id, key.clone());
                key
            }
        };
        let record = UserRecord::seal(user, self.name_hash(&user.skeleton)?, &key)?;
        if let Some(old) = old
            && old.name != record.name
        {
            self.leave_name(user.id, &old.name, now)?;
        }
        self.remove_rest(&record.name)?;
        self.put_account(user.id, old, &record)
    }

    fn put_account(
        &mut self,
        id: UserId,
        old: Option<&UserRecord>,
        record: &UserRecord,
    ) -> Result<(), Fault> {
        self.names.write()?.insert(&record.name, id.as_bytes())?;
        self.users
            .write()?
            .insert(id.as_bytes(), &record::encode(record)[..])?;
        let expired = old.map(|old| old.expires_at);
        self.move_expiry(Expiring::User(id), expired, Some(record.expires_at))
    }

    /// Removes an account with its key and everything that belongs to it, as far as it still exists. Its name
    /// rests from `now` on, or from when it expired.
    pub(super) fn remove_user(&mut self, id: UserId, now: UnixMs) -> Result<(), Fault> {
        self.destroy_key(KeyId::User(id));
        if let Some(user) = load::<_, UserRecord>(self.users.read()?, id.as_bytes())? {
            self.users.write()?.remove(id.as_bytes())?;
            self.leave_name(id, &user.name, now.min(user.expires_at))?;
            self.move_expiry(Expiring::User(id), Some(user.expires_at), None)?;
        }
        self.generations.write()?.remove(id.as_bytes())?;
        self.seats.write()?.remove(id.as_bytes())?;
        self.remove_family(id.as_bytes())?;
        self.remove_blocks(id)?;
        self.forget_partners(id)
    }

    /// How often the account was revoked.
    pub(super) fn generation(&self, id: UserId) -> Result<Generation, Fault> {
        let raised = self.generations.read()?.get(id.as_bytes())?;
        Ok(raised.map_or(0, |raised| raised.value()))
    }

    /// What was issued for the account until now counts no more. An account that is gone has none.
    pub(super) fn raise_generation(&mut self, id: UserId) -> Result<(), Fault> {
        if self.users.read()?.get(id.as_bytes())?.is_none() {
            return Ok(());
        }
        let next = self.generation(id)?.saturating_add(1);
        self.generations.write()?.insert(id.as_bytes(), next)?;
        Ok(())
    }

    fn block(&mut self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), Fault> {
        let key = pair(blocker, blocked);
        if self.blocks.read()?.get(&key)?.is_none() {
            self.blocks.write()?.insert(&key, now)?;
            self.blocked_by
                .write()?
                .insert(&pair(blocked, blocker), ())?;
        }
        Ok(())
    }

    /// Removes the blocks in both directions: ids are never used again, so those made against the
    /// user are moot.
    fn remove_blocks(&mut self, user: UserId) -> Result<(), Fault> {
        let (low, high) = bounds::<32>(user.as_bytes());
        let made: Result<Vec<_>, Fault> = (self.blocks.read()?.range::<&[u8; 32]>(&low..=&high)?)
            .map(|entry| Ok(second(entry?.0.value())))
            .collect();
        let suffered: Result<Vec<_>, Fault> =
            (self.blocked_by.read()?.range::<&[u8; 32]>(&low..=&high)?)
                .map(|entry| Ok(second(entry?.0.value())))
                .collect();
        for blocked in made? {
            self.blocks.write()?.remove(&pair(user, blocked))?;
            self.blocked_by.write()?.remove(&pair(blocked, user))?;
        }
        for blocker in suffered? {
            self.blocks.write()?.remove(&pair(blocker, user))?;
            self.blocked_by.write()?.remove(&pair(user, blocker))?;
        }
        Ok(())
    }

    /// Puts `partner` first among the recent partners of `user`.
    pub(super) fn remember(
        &mut self,
        user: UserId,
        partner: UserId,
        at: UnixMs,
    ) -> Result<(), Fault> {
        self.change_recents(user, |partners| {
            partners.retain(|(known, _)| *known != partner);
            partners.insert(0, (partner, at));
            partners.truncate(RECENTS_MAX);
        })
    }

    /// Drops the recent partners of `user` that are too old.
    pub(super) fn expire_recents(&mut self, user: UserId, now: UnixMs) -> Result<(), Fault> {
        self.change_recents(user, |partners| {
            partners.retain(|(_, at)| is_recent(*at, now))
        })
    }

    /// Drops the recent partners of `user`, and `user` from theirs.
    fn forget_partners(&mut self, user: UserId) -> Result<(), Fault> {
        let mut partners = Vec::new();
        self.change_recents(user, |recent| partners = std::mem::take(recent))?;
        for (partner, _) in partners {
            self.change_recents(partner, |recent| recent.retain(|(known, _)| *known != user))?;
        }
        Ok(())
    }

    /// Rewrites the recent partners of `user`; their expiry entry is that of the oldest.
    fn change_recents(
        &mut self,
        user: UserId,
        change: impl FnOnce(&mut Vec<(UserId, UnixMs)>),
    ) -> Result<(), Fault> {
        let mut record: RecentsRecord =
            load(self.recents.read()?, user.as_bytes())?.unwrap_or_default();
        let from = expiry(&record);
        change(&mut record.partners);
        if record.partners.is_empty() {
            self.recents.write()?.remove(user.as_bytes())?;
        } else {
            self.recents
                .write()?
                .insert(user.as_bytes(), &record::encode(&record)[..])?;
        }
        self.move_expiry(Expiring::Recents(user), from, expiry(&record))
    }
}

fn expiry(record: &RecentsRecord) -> Option<UnixMs> {
    let oldest = record.partners.iter().map(|(_, at)| *at).min()?;
    Some(oldest.saturating_add(RECENT_LIFETIME_MS))
}

fn is_recent(at: UnixMs, now: UnixMs) -> bool {
    at.saturating_add(RECENT_LIFETIME_MS) > now
}

impl Snapshot {
    fn user(&self, id: UserId, now: UnixMs) -> Result<Option<User>, Fault> {
        let record: Option<UserRecord> = load(&self.table(table::USERS)?, id.as_bytes())?;
        let alive = record.filter(|record| record.expires_at > now);
        let Some((record, key)) = alive.zip(self.keys.find(KeyId::User(id))) else {
            return Ok(None);
        };
        record.open(id, &key, self.generation(id)?).map(Some)
    }

    fn generation(&self, id: UserId) -> Result<Generation, Fault> {
        let raised = self.table(table::GENERATIONS)?.get(id.as_bytes())?;
        Ok(raised.map_or(0, |raised| raised.value()))
    }

    fn generations(&self, ids: &[UserId]) -> Result<Vec<(UserId, Generation)>, Fault> {
        let users = self.table(table::USERS)?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            if users.get(id.as_bytes())?.is_some() {
                found.push((*id, self.generation(*id)?));
            }
        }
        Ok(found)
    }

    fn avoid(&self, user: UserId, now: UnixMs) -> Result<Avoid, Fault> {
        let (low, high) = bounds::<32>(user.as_bytes());
        let mut blocked = Vec::new();
        for entry in self
            .table(table::BLOCKS)?
            .range::<&[u8; 32]>(&low..=&high)?
        {
            blocked.push(second(entry?.0.value()));
        }
        for entry in self
            .table(table::BLOCKED_BY)?
            .range::<&[u8; 32]>(&low..=&high)?
        {
            blocked.push(second(entry?.0.value()));
        }
        blocked.sort_unstable();
        blocked.dedup();
        let recents: Option<RecentsRecord> = load(&self.table(table::RECENTS)?, user.as_bytes())?;
        let recent = (recents.unwrap_or_default().partners.into_iter())
            .filter(|(_, at)| is_recent(*at, now))
            .map(|(partner, _)| partner)
            .collect();
        Ok(Avoid { blocked, recent })
    }
}
