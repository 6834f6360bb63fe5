//! Names: who has one, and which ones rest.
//!
//! A name is found by its keyed hash. When its owner leaves it, the hash and the time until which it rests stay, and
//! a keyed hash of name and owner, by which an account that was renamed is known. Nothing here names a person, and
//! nothing of it is left when the rest is over.

use nowrong_core::record::UnixMs;
use nowrong_protocol::UserId;
use nowrong_store::NAME_REST_MS;
use redb::ReadableTable as _;

use super::{
    fault::Fault,
    record::{self, RestRecord},
    sealed,
    table::{Expiring, load},
    transaction::Transaction,
    vault::{Key, KeyId},
};

impl Transaction<'_> {
    /// The keyed hash under which a name is taken.
    pub(super) fn name_hash(&self, skeleton: &str) -> Result<[u8; 32], Fault> {
        Ok(sealed::name_hash(&self.names_key()?, skeleton))
    }

    fn names_key(&self) -> Result<Key, Fault> {
        let key = self.key(KeyId::Names);
        key.ok_or_else(|| Fault::Medium("the key of names is missing".to_owned()))
    }

    /// Whether `user` can have the name. Removes an account that has it but is gone for so long that the name has
    /// rested.
    pub(super) fn make_free(
        &mut self,
        name: &[u8; 32],
        user: UserId,
        now: UnixMs,
    ) -> Result<bool, Fault> {
        if let Some(owner) = self.name_owner(name)?
            && owner != user
        {
            let holder = self.account(owner)?;
            if holder.is_some_and(|holder| rested_at(holder.expires_at) > now) {
                return Ok(false);
            }
            self.remove_user(owner, now)?;
        }
        let rest: Option<RestRecord> = load(self.rests.read()?, name)?;
        let Some(rest) = rest.filter(|rest| rest.until > now) else {
            return Ok(true);
        };
        Ok(rest.owner == sealed::owner_hash(&self.names_key()?, name, user))
    }

    fn name_owner(&self, name: &[u8; 32]) -> Result<Option<UserId>, Fault> {
        let owner = self.names.read()?.get(name)?;
        Ok(owner.map(|id| UserId::from_bytes(*id.value())))
    }

    /// The name rests, if it is still the one of `owner`, who left it at `left_at`.
    pub(super) fn leave_name(
        &mut self,
        owner: UserId,
        name: &[u8; 32],
        left_at: UnixMs,
    ) -> Result<(), Fault> {
        if self.name_owner(name)? != Some(owner) {
            return Ok(());
        }
        self.names.write()?.remove(name)?;
        self.remove_rest(name)?;
        let rest = RestRecord {
            until: rested_at(left_at),
            owner: sealed::owner_hash(&self.names_key()?, name, owner),
        };
        self.rests
            .write()?
            .insert(name, &record::encode(&rest)[..])?;
        self.move_expiry(Expiring::Rest(*name), None, Some(rest.until))
    }

    /// The name rests no more, if it did.
    pub(super) fn remove_rest(&mut self, name: &[u8; 32]) -> Result<(), Fault> {
        let rest: Option<RestRecord> = load(self.rests.read()?, name)?;
        if let Some(rest) = rest {
            self.rests.write()?.remove(name)?;
            self.move_expiry(Expiring::Rest(*name), Some(rest.until), None)?;
        }
        Ok(())
    }
}

fn rested_at(left_at: UnixMs) -> UnixMs {
    left_at.saturating_add(NAME_REST_MS)
}
