//! The write side: the tables of one write transaction, and the changes to keys and
//! journal that go with it.
//!
//! Each job of a batch runs on the same draft and sees what the jobs before it did. What a job may
//! do is written beside its subject: `users`, `categories`, `chats`, `seats`, `messages`, `expiry`.

use nowrong_protocol::ChatId;
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    fault::Fault,
    journal::{JournalChanges, Waiting},
    table::{self, Expiring, FamilyMember, Id, MessageKey, Record, Wide},
    vault::{KeyChanges, Keys},
};
use crate::store::{ChatKey, UnixMs};

/// The version of the tables, in [`table::META`].
const SCHEMA: u64 = 2;

/// A version whose tables are as they are now, but for those that it lacks.
const SCHEMA_BEFORE: u64 = 1;

/// Every table, open for writing, and what becomes of the keys when the transaction is committed.
pub(super) struct Draft<'t> {
    pub(super) users: Table<'t, Id, Record>,
    pub(super) names: Table<'t, &'static str, Id>,
    pub(super) refresh: Table<'t, Wide, Record>,
    pub(super) families: Table<'t, FamilyMember, ()>,
    pub(super) blocks: Table<'t, Wide, u64>,
    pub(super) blocked_by: Table<'t, Wide, ()>,
    pub(super) recents: Table<'t, Id, Record>,
    pub(super) categories: Table<'t, (u32, &'static str), Record>,
    pub(super) chats: Table<'t, Id, Record>,
    pub(super) active: Table<'t, Id, ()>,
    pub(super) seats: Table<'t, Id, Id>,
    pub(super) spent: Table<'t, Id, Record>,
    pub(super) messages: Table<'t, MessageKey, Record>,
    pub(super) expiry: Table<'t, &'static [u8], ()>,
    pub(super) journal: Table<'t, u64, Record>,
    meta: Table<'t, &'static str, u64>,
    keys: &'t Keys,
    key_changes: KeyChanges,
    pub(super) waiting: &'t Waiting,
    pub(super) journal_changes: JournalChanges,
}

impl<'t> Draft<'t> {
    /// Opens every table of `transaction`, creating those that do not exist.
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        keys: &'t Keys,
        waiting: &'t Waiting,
    ) -> Result<Self, Fault> {
        Ok(Self {
            users: transaction.open_table(table::USERS)?,
            names: transaction.open_table(table::NAMES)?,
            refresh: transaction.open_table(table::REFRESH)?,
            families: transaction.open_table(table::FAMILIES)?,
            blocks: transaction.open_table(table::BLOCKS)?,
            blocked_by: transaction.open_table(table::BLOCKED_BY)?,
            recents: transaction.open_table(table::RECENTS)?,
            categories: transaction.open_table(table::CATEGORIES)?,
            chats: transaction.open_table(table::CHATS)?,
            active: transaction.open_table(table::ACTIVE)?,
            seats: transaction.open_table(table::SEATS)?,
            spent: transaction.open_table(table::SPENT)?,
            messages: transaction.open_table(table::MESSAGES)?,
            expiry: transaction.open_table(table::EXPIRY)?,
            journal: transaction.open_table(table::JOURNAL)?,
            meta: transaction.open_table(table::META)?,
            keys,
            key_changes: KeyChanges::new(),
            waiting,
            journal_changes: JournalChanges::default(),
        })
    }

    /// Marks a file that is new, or of the version before, with the version of the tables; refuses a file of another version.
    pub(super) fn check_schema(&mut self) -> Result<(), Fault> {
        let found = self.meta.get("schema")?.map(|version| version.value());
        match found {
            Some(SCHEMA) => {}
            None | Some(SCHEMA_BEFORE) => drop(self.meta.insert("schema", SCHEMA)?),
            Some(other) => {
                let detail = format!("it has schema {other}, this server knows {SCHEMA}");
                return Err(Fault::Corrupt(detail));
            }
        }
        Ok(())
    }

    /// Changes one number, so that the commit has to write.
    pub(super) fn touch(&mut self) -> Result<(), Fault> {
        let count = self.meta.get("checks")?.map_or(0, |count| count.value());
        self.meta.insert("checks", count.wrapping_add(1))?;
        Ok(())
    }

    /// Whether a chat has a key; one without is as good as expired.
    pub(super) fn has_key(&self, chat: ChatId) -> bool {
        match self.key_changes.get(&chat) {
            Some(change) => change.is_some(),
            None => self.keys.has(chat),
        }
    }

    /// Gives a chat its key, with the commit.
    pub(super) fn create_key(&mut self, chat: ChatId, key: ChatKey) {
        self.key_changes.insert(chat, Some(key));
    }

    /// Destroys the key of a chat, with the commit.
    pub(super) fn destroy_key(&mut self, chat: ChatId) {
        self.key_changes.insert(chat, None);
    }

    /// Destroys the keys of chats that do not exist: a crash came between key and commit.
    pub(super) fn destroy_stray_keys(&mut self) -> Result<(), Fault> {
        for chat in self.keys.chats() {
            if self.chats.get(chat.as_bytes())?.is_none() {
                self.destroy_key(chat);
            }
        }
        Ok(())
    }

    /// Moves the expiry entry of `what` from one time to another; `None` is no entry.
    pub(super) fn move_expiry(
        &mut self,
        what: Expiring,
        from: Option<UnixMs>,
        to: Option<UnixMs>,
    ) -> Result<(), Fault> {
        if from == to {
            return Ok(());
        }
        if let Some(at) = from {
            self.expiry.remove(&what.key(at)[..])?;
        }
        if let Some(at) = to {
            self.expiry.insert(&what.key(at)[..], ())?;
        }
        Ok(())
    }

    /// Closes the tables; answers what becomes of the keys and of the journal.
    pub(super) fn into_changes(self) -> (KeyChanges, JournalChanges) {
        (self.key_changes, self.journal_changes)
    }
}
