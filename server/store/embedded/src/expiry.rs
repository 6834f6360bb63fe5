//! The sweeper's work: removes what has expired, oldest first, through the expiry index.
//!
//! Correctness does not depend on it, since reads filter by time; it frees space and destroys keys.
//! Each entry of the index is moved together with its record, so each names a record that is due;
//! one that does not (because its chat was removed before) is dropped.

use nowrong_core::record::UnixMs;
use redb::ReadableTable;

use super::{
    fault::Fault,
    record::UserRecord,
    table::{self, Expiring, load},
    transaction::Transaction,
};

impl Transaction<'_> {
    /// Removes at most about `limit` records that expired at or before `now`: one record for a
    /// caller (such as an account) may be several here. Returns how many; 0 when nothing is due.
    pub(super) fn sweep(&mut self, now: UnixMs, limit: usize) -> Result<usize, Fault> {
        self.note_swept(now)?;
        let mut removed = 0;
        while removed < limit {
            let Some(entry) = self.next_due(now)? else {
                break;
            };
            removed += self.remove_due(&entry, now, limit - removed)?.max(1);
        }
        Ok(removed)
    }

    fn next_due(&self, now: UnixMs) -> Result<Option<Vec<u8>>, Fault> {
        let end = now.saturating_add(1).to_be_bytes();
        let first = self
            .expiry
            .read()?
            .range::<&[u8]>(..&end[..])?
            .next()
            .transpose()?;
        Ok(first.map(|(key, _)| key.value().to_vec()))
    }

    /// Removes the record that `entry` names, and the entry with it, unless it is a chat with more
    /// messages than `budget`.
    fn remove_due(&mut self, entry: &[u8], now: UnixMs, budget: usize) -> Result<usize, Fault> {
        let due = match Expiring::from_key(entry)? {
            Expiring::Chat(id) => {
                let (removed, is_gone) = self.remove_chat(id, budget)?;
                if !is_gone {
                    return Ok(removed);
                }
                removed
            }
            Expiring::User(id) => {
                let user: Option<UserRecord> = load(self.users.read()?, id.as_bytes())?;
                debug_assert!(user.is_none_or(|user| user.expires_at <= now));
                self.remove_user(id, now)?;
                1
            }
            Expiring::Refresh(hash) => {
                self.remove_refresh(&hash)?;
                1
            }
            Expiring::Recents(user) => {
                self.expire_recents(user, now)?;
                1
            }
            Expiring::Spent(user) => {
                self.remove_spent(user)?;
                1
            }
            Expiring::Rest(name) => {
                self.remove_rest(&name)?;
                1
            }
            Expiring::Message(key) => {
                self.file(table::chat(&key))?;
                usize::from(self.messages.write()?.remove(&key)?.is_some())
            }
        };
        self.expiry.write()?.remove(entry)?;
        Ok(due)
    }
}
