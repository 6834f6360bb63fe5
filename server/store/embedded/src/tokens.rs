//! Refresh tokens and registrations. The list of a family decides which of its tokens can be
//! exchanged; tokens that cannot stay until they expire, so that a theft is noticed.

use nowrong_core::{
    record::{RefreshToken, Registration, RegistrationKey, TokenHash, UnixMs, User},
    refresh::{Exchange, Family, LogOut, Presented, RECOVERY_FAMILY},
};
use nowrong_protocol::UserId;
use nowrong_store::{NameClaim, Registered, Rotation};
use redb::ReadableTable;

use super::{
    fault::Fault,
    record::{self, RefreshRecord, RegistrationRecord},
    snapshot::Snapshot,
    table::{self, Expiring, bounds, family_hash, family_key, load},
    transaction::Transaction,
};

impl Transaction<'_> {
    /// Creates an account with its first token, or finds the one that the same request has made.
    pub(super) fn register(&mut self, new: &Registration) -> Result<Registered, Fault> {
        let (user, token) = (&new.user, &new.token);
        if let Some(key) = &new.key
            && let Some(known) = self.registration(&key.hash, user.created_at)?
        {
            return self.register_again(new, key, &known);
        }
        match self.create_user(user)? {
            NameClaim::Claimed => {}
            NameClaim::Taken | NameClaim::Unknown => return Ok(Registered::NameTaken),
        }
        self.put_refresh(token)?;
        let key = new.key.as_ref();
        let family = Family::begin(token.hash, key.map(|key| key.hash), user.created_at);
        self.put_family(user.id, &token.family, &family)?;
        if let Some(key) = key {
            self.put_registration(key, token)?;
        }
        Ok(Registered::New)
    }

    fn registration(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RegistrationRecord>, Fault> {
        let record: Option<RegistrationRecord> = load(self.registrations.read()?, hash)?;
        Ok(record.filter(|record| record.expires_at > now))
    }

    fn register_again(
        &mut self,
        new: &Registration,
        key: &RegistrationKey,
        known: &RegistrationRecord,
    ) -> Result<Registered, Fault> {
        let now = new.user.created_at;
        if known.request != key.request {
            return Ok(Registered::KeyOfOther);
        }
        let user = self.user(known.user)?;
        let Some(user) = user.filter(|user| user.expires_at > now) else {
            return Ok(Registered::KeySpent);
        };
        let mut family = self.family(user.id, &known.family)?;
        let presented = Presented {
            hash: key.hash,
            replaced_at: Some(now),
            is_listed: true,
        };
        let next = RefreshToken {
            user: user.id,
            family: known.family,
            ..new.token.clone()
        };
        let Exchange::Renewed { dropped } = family.present(&presented, next.hash, now) else {
            return Ok(Registered::KeySpent);
        };
        self.renew(&next, &family, &dropped)?;
        Ok(Registered::Again(user))
    }

    fn put_registration(
        &mut self,
        key: &RegistrationKey,
        token: &RefreshToken,
    ) -> Result<(), Fault> {
        // One that has expired may not be swept yet.
        self.remove_registration(&key.hash)?;
        let record = RegistrationRecord {
            user: token.user,
            family: token.family,
            request: key.request,
            expires_at: key.expires_at,
        };
        self.registrations
            .write()?
            .insert(&key.hash, &record::encode(&record)[..])?;
        self.move_expiry(Expiring::Refresh(key.hash), None, Some(key.expires_at))
    }

    fn remove_registration(&mut self, hash: &TokenHash) -> Result<(), Fault> {
        let record: Option<RegistrationRecord> = load(self.registrations.read()?, hash)?;
        let Some(record) = record else {
            return Ok(());
        };
        self.registrations.write()?.remove(hash)?;
        self.move_expiry(Expiring::Refresh(*hash), Some(record.expires_at), None)
    }

    /// Stores the first token of a family.
    pub(super) fn create_refresh(&mut self, token: &RefreshToken) -> Result<(), Fault> {
        self.put_refresh(token)?;
        let family = Family::begin(token.hash, None, 0);
        self.put_family(token.user, &token.family, &family)
    }

    fn put_refresh(&mut self, token: &RefreshToken) -> Result<(), Fault> {
        let record = RefreshRecord {
            token: token.clone(),
            replaced_at: None,
            is_listed: false,
        };
        self.families.write()?.insert(&family_key(token), ())?;
        self.put_record(&record)
    }

    /// Writes a token and its expiry, whether or not there is one.
    fn put_record(&mut self, record: &RefreshRecord) -> Result<(), Fault> {
        let token = &record.token;
        let old: Option<RefreshRecord> = load(self.refresh.read()?, &token.hash)?;
        self.refresh
            .write()?
            .insert(&token.hash, &record::encode(record)[..])?;
        self.move_expiry(
            Expiring::Refresh(token.hash),
            old.map(|old| old.token.expires_at),
            Some(token.expires_at),
        )
    }

    fn family(&self, user: UserId, family: &[u8; 16]) -> Result<Family, Fault> {
        let key = table::family(user, family);
        // An older server kept no list: its tokens join an empty one.
        Ok(load(self.open_tokens.read()?, &key)?.unwrap_or_default())
    }

    fn put_family(
        &mut self,
        user: UserId,
        family: &[u8; 16],
        record: &Family,
    ) -> Result<(), Fault> {
        self.open_tokens
            .write()?
            .insert(&table::family(user, family), &record::encode(record)[..])?;
        Ok(())
    }

    /// Stores a token that was exchanged for another one of its family.
    fn renew(
        &mut self,
        next: &RefreshToken,
        family: &Family,
        dropped: &[TokenHash],
    ) -> Result<(), Fault> {
        self.put_refresh(next)?;
        self.put_family(next.user, &next.family, family)?;
        for hash in dropped {
            self.remove_refresh(hash)?;
        }
        Ok(())
    }

    pub(super) fn rotate_refresh(
        &mut self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
    ) -> Result<Rotation, Fault> {
        let Some(mut record) = self.alive_token(used, now)? else {
            return Ok(Rotation::Unknown);
        };
        let presented = record.presented();
        let (user, id) = (record.token.user, record.token.family);
        let mut family = self.family(user, &id)?;
        match family.present(&presented, next.hash, now) {
            Exchange::Renewed { dropped } => {
                record.replaced_at = record.replaced_at.or(Some(now));
                record.is_listed = true;
                record.token.expires_at = record.token.expires_at.max(next.expires_at);
                self.put_record(&record)?;
                self.renew(next, &family, &dropped)?;
                Ok(Rotation::Rotated)
            }
            Exchange::Reused => {
                self.remove_family(&table::family(user, &id))?;
                self.raise_generation(user)?;
                Ok(Rotation::Reused)
            }
            Exchange::TooMany { retry_after_ms } => Ok(Rotation::TooMany { retry_after_ms }),
        }
    }

    fn alive_token(&self, hash: &TokenHash, now: UnixMs) -> Result<Option<RefreshRecord>, Fault> {
        let found = self.alive_record(hash, now)?;
        Ok(found.filter(|record| record.token.family != RECOVERY_FAMILY))
    }

    /// A token or a recovery code.
    fn alive_record(&self, hash: &TokenHash, now: UnixMs) -> Result<Option<RefreshRecord>, Fault> {
        let found = load::<_, RefreshRecord>(self.refresh.read()?, hash)?;
        Ok(found.filter(|record| record.token.expires_at > now))
    }

    pub(super) fn put_recovery(&mut self, user: UserId, hash: &TokenHash) -> Result<bool, Fault> {
        let Some(account) = self.account(user)? else {
            return Ok(false);
        };
        self.delete_recovery(user)?;
        self.create_refresh(&RefreshToken {
            hash: *hash,
            family: RECOVERY_FAMILY,
            user,
            expires_at: account.expires_at,
        })?;
        Ok(true)
    }

    pub(super) fn delete_recovery(&mut self, user: UserId) -> Result<(), Fault> {
        self.remove_family(&table::family(user, &RECOVERY_FAMILY))
    }

    pub(super) fn recover(
        &mut self,
        hash: &TokenHash,
        first: &RefreshToken,
        now: UnixMs,
    ) -> Result<Option<User>, Fault> {
        let found = self.alive_record(hash, now)?;
        let Some(code) = found.filter(|code| code.token.family == RECOVERY_FAMILY) else {
            return Ok(None);
        };
        let user = self.user(code.token.user)?;
        let Some(user) = user.filter(|user| user.expires_at > now) else {
            return Ok(None);
        };
        self.revoke_all(user.id)?;
        self.create_refresh(&RefreshToken {
            user: user.id,
            ..first.clone()
        })?;
        let generation = self.generation(user.id)?;
        Ok(Some(User { generation, ..user }))
    }

    pub(super) fn log_out(
        &mut self,
        hash: &TokenHash,
        everywhere: bool,
        now: UnixMs,
    ) -> Result<Option<UserId>, Fault> {
        let Some(record) = self.alive_token(hash, now)? else {
            return Ok(None);
        };
        let (user, id) = (record.token.user, record.token.family);
        if everywhere {
            self.revoke_all(user)?;
            return Ok(Some(user));
        }
        let mut family = self.family(user, &id)?;
        match family.log_out(&record.presented(), now) {
            LogOut::Dropped(dropped) => {
                self.put_family(user, &id, &family)?;
                for hash in dropped {
                    self.remove_refresh(&hash)?;
                }
                Ok(None)
            }
            LogOut::Revoked => {
                self.remove_family(&table::family(user, &id))?;
                self.raise_generation(user)?;
                Ok(Some(user))
            }
        }
    }

    /// Removes all tokens of the account but its recovery code, and raises its generation.
    fn revoke_all(&mut self, user: UserId) -> Result<(), Fault> {
        let (low, high) = bounds::<64>(user.as_bytes());
        let code = table::family(user, &RECOVERY_FAMILY);
        let mut hashes = Vec::new();
        for entry in self.families.read()?.range::<&[u8; 64]>(&low..=&high)? {
            let key = entry?.0;
            if !key.value().starts_with(&code) {
                hashes.push(family_hash(key.value()));
            }
        }
        for hash in hashes {
            self.remove_refresh(&hash)?;
        }
        self.raise_generation(user)
    }

    /// Moves the expiry of the tokens of `user` that can be exchanged forward.
    pub(super) fn touch_tokens(&mut self, user: UserId, expires_at: UnixMs) -> Result<(), Fault> {
        let (low, high) = bounds::<32>(user.as_bytes());
        let mut hashes = Vec::new();
        for entry in self.open_tokens.read()?.range::<&[u8; 32]>(&low..=&high)? {
            let family: Family = record::decode(entry?.1.value())?;
            hashes.extend(family.open.into_iter().map(|open| open.hash));
        }
        for hash in hashes {
            let found: Option<RefreshRecord> = load(self.refresh.read()?, &hash)?;
            if let Some(mut record) = found.filter(|it| it.token.expires_at < expires_at) {
                record.token.expires_at = expires_at;
                self.put_record(&record)?;
            }
        }
        Ok(())
    }

    /// Removes the tokens whose key in `families` begins with `prefix`: a user, or user and family.
    pub(super) fn remove_family(&mut self, prefix: &[u8]) -> Result<(), Fault> {
        let (low, high) = bounds::<64>(prefix);
        let found = self.families.read()?.range::<&[u8; 64]>(&low..=&high)?;
        let hashes: Result<Vec<_>, Fault> = found
            .map(|entry| Ok(family_hash(entry?.0.value())))
            .collect();
        for hash in hashes? {
            self.remove_refresh(&hash)?;
        }
        Ok(())
    }

    /// Removes one token, and the list of its family with the last one; or the registration whose
    /// key has this hash.
    pub(super) fn remove_refresh(&mut self, hash: &TokenHash) -> Result<(), Fault> {
        let Some(record) = load::<_, RefreshRecord>(self.refresh.read()?, hash)? else {
            return self.remove_registration(hash);
        };
        let token = &record.token;
        self.refresh.write()?.remove(hash)?;
        self.families.write()?.remove(&family_key(token))?;
        let family = table::family(token.user, &token.family);
        let (low, high) = bounds::<64>(&family);
        let is_last = {
            let mut left = self.families.read()?.range::<&[u8; 64]>(&low..=&high)?;
            left.next().is_none()
        };
        if is_last {
            self.open_tokens.write()?.remove(&family)?;
        }
        self.move_expiry(Expiring::Refresh(*hash), Some(token.expires_at), None)
    }
}

impl Snapshot {
    pub(super) fn refresh(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RefreshToken>, Fault> {
        let record: Option<RefreshRecord> = load(&self.table(table::REFRESH)?, hash)?;
        Ok(record
            .map(|record| record.token)
            .filter(|token| token.expires_at > now && token.family != RECOVERY_FAMILY))
    }
}
