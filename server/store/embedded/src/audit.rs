//! Counts what should be gone: by the expiry index, and by the records themselves, should one have no entry in it.
//!
//! Ids of version 7 begin with the time, so the oldest records come first in every table but that of names, and a
//! bounded look sees those that are overdue.

use std::ops::Bound;

use nowrong_core::record::UnixMs;
use nowrong_protocol::ChatId;
use nowrong_store::Overdue;
use redb::ReadableTable as _;
use serde::de::DeserializeOwned;

use super::{
    fault::Fault,
    record::{self, ChatRecord, RestRecord, UserRecord},
    snapshot::Snapshot,
    table::{self, Expiring, bounds, load},
    vault::KeyId,
};

impl Snapshot {
    /// Counts what expired at or before `before`, at most `limit` of each kind.
    pub(super) fn overdue(&self, before: UnixMs, limit: usize) -> Result<Overdue, Fault> {
        let indexed = self.indexed(before, limit)?;
        let accounts = self.due(table::USERS, limit, |user: &UserRecord| {
            user.expires_at <= before
        })?;
        let chats = self.due(table::CHATS, limit, |chat: &ChatRecord| {
            chat.expires_at <= before
        })?;
        let names = self.due(table::RESTS, limit, |rest: &RestRecord| {
            rest.until <= before
        })?;
        Ok(Overdue {
            names: indexed.names.max(names),
            accounts: indexed.accounts.max(accounts),
            chats: indexed.chats.max(chats),
            messages: indexed.messages + self.orphan_messages(limit)?,
            keys: self.orphan_keys(before, limit)?,
            ..indexed
        })
    }

    fn indexed(&self, before: UnixMs, limit: usize) -> Result<Overdue, Fault> {
        let mut found = Overdue::default();
        let end = before.saturating_add(1).to_be_bytes();
        let index = self.table(table::EXPIRY)?;
        for entry in index.range::<&[u8]>(..&end[..])?.take(limit) {
            let count = match Expiring::from_key(entry?.0.value())? {
                Expiring::User(_) => &mut found.accounts,
                Expiring::Chat(_) => &mut found.chats,
                Expiring::Message(_) => &mut found.messages,
                Expiring::Refresh(_) => &mut found.tokens,
                Expiring::Rest(_) => &mut found.names,
                Expiring::Recents(_) | Expiring::Spent(_) => &mut found.others,
            };
            *count += 1;
        }
        Ok(found)
    }

    fn due<K: redb::Key + 'static, R: DeserializeOwned>(
        &self,
        table: redb::TableDefinition<'static, K, table::Record>,
        limit: usize,
        is_due: impl Fn(&R) -> bool,
    ) -> Result<u64, Fault> {
        let mut count = 0;
        for entry in self.table(table)?.iter()?.take(limit) {
            count += u64::from(is_due(&record::decode(entry?.1.value())?));
        }
        Ok(count)
    }

    /// How many chats are gone of which messages are left.
    fn orphan_messages(&self, limit: usize) -> Result<u64, Fault> {
        let (messages, chats) = (self.table(table::MESSAGES)?, self.table(table::CHATS)?);
        let (mut count, mut after) = (0, None::<ChatId>);
        for _ in 0..limit {
            let last = after.map(|chat| bounds::<28>(chat.as_bytes()).1);
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let next = messages
                .range::<&[u8; 28]>((from, Bound::Unbounded))?
                .next();
            let Some((key, _)) = next.transpose()? else {
                break;
            };
            let chat = table::chat(key.value());
            count += u64::from(chats.get(chat.as_bytes())?.is_none());
            after = Some(chat);
        }
        Ok(count)
    }

    /// How many keys belong to nothing. A key is there a moment before its record is, so young ones do not count.
    fn orphan_keys(&self, before: UnixMs, limit: usize) -> Result<u64, Fault> {
        let (users, chats) = (self.table(table::USERS)?, self.table(table::CHATS)?);
        let mut owners = self.keys.owners();
        owners.retain(|owner| owner.made_at() <= Some(before));
        let mut count = 0;
        for owner in owners.into_iter().take(limit) {
            let is_needed = match owner {
                KeyId::Chat(chat) => {
                    let chat: Option<ChatRecord> = load(&chats, chat.as_bytes())?;
                    chat.is_some_and(|chat| chat.expires_at > before)
                }
                KeyId::User(user) => users.get(user.as_bytes())?.is_some(),
                KeyId::Names => true,
            };
            count += u64::from(!is_needed);
        }
        Ok(count)
    }
}

impl KeyId {
    /// When its owner was made, by the id; `None` for a key that is nobody's.
    fn made_at(&self) -> Option<UnixMs> {
        let id = match self {
            Self::Chat(chat) => chat.as_bytes(),
            Self::User(user) => user.as_bytes(),
            Self::Names => return None,
        };
        let mut time = [0; 8];
        time[2..].copy_from_slice(&id[..6]);
        Some(u64::from_be_bytes(time))
    }
}
