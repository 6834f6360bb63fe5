//! The write side: the tables of one write transaction, and the changes to keys and
//! journal that go with it.
//!
//! Each job of a batch runs on the same transaction and sees the changes of the jobs before it. The
//! operations of a job are defined beside their subject: `users`, `categories`, `chats`, `seats`,
//! `messages`, `expiry`.

use nowrong_core::record::UnixMs;
use nowrong_protocol::ChatId;
use redb::{ReadableTable as _, WriteTransaction};

use super::{
    fault::Fault,
    journal::{JournalChanges, Waiting},
    lazy::Lazy,
    sealed,
    table::{self, Expiring, FamilyMember, Id, MessageKey, Record, Wide},
    vault::{Key, KeyChanges, KeyId, Keys},
};

/// The version of the tables, in [`table::META`]. A file of an earlier one is renewed before (`renewal`).
pub(super) const SCHEMA: u64 = 3;

/// The tables of a write transaction, and the changes to the keys at its commit.
pub(super) struct Transaction<'t> {
    pub(super) users: Lazy<'t, Id, Record>,
    pub(super) generations: Lazy<'t, Id, u64>,
    pub(super) names: Lazy<'t, Wide, Id>,
    pub(super) rests: Lazy<'t, Wide, Record>,
    pub(super) refresh: Lazy<'t, Wide, Record>,
    pub(super) families: Lazy<'t, FamilyMember, ()>,
    pub(super) open_tokens: Lazy<'t, Wide, Record>,
    pub(super) registrations: Lazy<'t, Wide, Record>,
    pub(super) blocks: Lazy<'t, Wide, u64>,
    pub(super) blocked_by: Lazy<'t, Wide, ()>,
    pub(super) recents: Lazy<'t, Id, Record>,
    pub(super) categories: Lazy<'t, (u32, &'static str), Record>,
    pub(super) chats: Lazy<'t, Id, Record>,
    pub(super) active: Lazy<'t, Id, ()>,
    pub(super) seats: Lazy<'t, Id, Id>,
    pub(super) spent: Lazy<'t, Id, Record>,
    pub(super) messages: Lazy<'t, MessageKey, Record>,
    pub(super) expiry: Lazy<'t, &'static [u8], ()>,
    pub(super) journal: Lazy<'t, u64, Record>,
    meta: Lazy<'t, &'static str, u64>,
    keys: &'t Keys,
    key_changes: KeyChanges,
    pub(super) waiting: &'t Waiting,
    pub(super) journal_changes: JournalChanges,
}

impl<'t> Transaction<'t> {
    /// Begins a transaction; it opens the tables that it needs.
    pub(super) fn new(
        transaction: &'t WriteTransaction,
        keys: &'t Keys,
        waiting: &'t Waiting,
    ) -> Self {
        Self {
            users: Lazy::new(transaction, table::USERS),
            generations: Lazy::new(transaction, table::GENERATIONS),
            names: Lazy::new(transaction, table::NAMES),
            rests: Lazy::new(transaction, table::RESTS),
            refresh: Lazy::new(transaction, table::REFRESH),
            families: Lazy::new(transaction, table::FAMILIES),
            open_tokens: Lazy::new(transaction, table::OPEN_TOKENS),
            registrations: Lazy::new(transaction, table::REGISTRATIONS),
            blocks: Lazy::new(transaction, table::BLOCKS),
            blocked_by: Lazy::new(transaction, table::BLOCKED_BY),
            recents: Lazy::new(transaction, table::RECENTS),
            categories: Lazy::new(transaction, table::CATEGORIES),
            chats: Lazy::new(transaction, table::CHATS),
            active: Lazy::new(transaction, table::ACTIVE),
            seats: Lazy::new(transaction, table::SEATS),
            spent: Lazy::new(transaction, table::SPENT),
            messages: Lazy::new(transaction, table::MESSAGES),
            expiry: Lazy::new(transaction, table::EXPIRY),
            journal: Lazy::new(transaction, table::JOURNAL),
            meta: Lazy::new(transaction, table::META),
            keys,
            key_changes: KeyChanges::new(),
            waiting,
            journal_changes: JournalChanges::default(),
        }
    }

    /// Opens every table and creates missing ones: readers expect that all exist.
    pub(super) fn create_tables(&self) -> Result<(), Fault> {
        self.users.read()?;
        self.generations.read()?;
        self.names.read()?;
        self.rests.read()?;
        self.refresh.read()?;
        self.families.read()?;
        self.open_tokens.read()?;
        self.registrations.read()?;
        self.blocks.read()?;
        self.blocked_by.read()?;
        self.recents.read()?;
        self.categories.read()?;
        self.chats.read()?;
        self.active.read()?;
        self.seats.read()?;
        self.spent.read()?;
        self.messages.read()?;
        self.expiry.read()?;
        self.journal.read()?;
        self.meta.read()?;
        Ok(())
    }

    /// Whether this fact about the file was noted with [`Self::set`].
    pub(super) fn is_set(&self, fact: &str) -> Result<bool, Fault> {
        Ok(self.meta.read()?.get(fact)?.is_some())
    }

    /// Notes a fact about the file.
    pub(super) fn set(&mut self, fact: &str) -> Result<(), Fault> {
        self.meta.write()?.insert(fact, 1)?;
        Ok(())
    }

    /// Marks a new file with the current version of the tables; refuses a file of another version.
    pub(super) fn check_schema(&mut self) -> Result<(), Fault> {
        let found = self
            .meta
            .read()?
            .get("schema")?
            .map(|version| version.value());
        match found {
            Some(SCHEMA) => {}
            None => drop(self.meta.write()?.insert("schema", SCHEMA)?),
            Some(other) => {
                let detail = format!("it has schema {other}, this server knows {SCHEMA}");
                return Err(Fault::Corrupt(detail));
            }
        }
        Ok(())
    }

    /// Changes one number, so that the commit has to write.
    pub(super) fn touch(&mut self) -> Result<(), Fault> {
        let count = self
            .meta
            .read()?
            .get("checks")?
            .map_or(0, |count| count.value());
        self.meta.write()?.insert("checks", count.wrapping_add(1))?;
        Ok(())
    }

    /// A fact about the file.
    pub(super) fn meta(&self, name: &str) -> Result<Option<u64>, Fault> {
        Ok(self.meta.read()?.get(name)?.map(|value| value.value()))
    }

    /// Notes a fact about the file.
    pub(super) fn set_meta(&mut self, name: &str, value: u64) -> Result<(), Fault> {
        self.meta.write()?.insert(name, value)?;
        Ok(())
    }

    /// Whether a chat has a key; a chat without one counts as expired.
    pub(super) fn has_key(&self, chat: ChatId) -> bool {
        let id = KeyId::Chat(chat);
        match self.key_changes.get(&id) {
            Some(change) => change.is_some(),
            None => self.keys.has(id),
        }
    }

    /// The key of this owner.
    pub(super) fn key(&self, id: KeyId) -> Option<Key> {
        match self.key_changes.get(&id) {
            Some(change) => change.clone(),
            None => self.keys.find(id),
        }
    }

    /// Gives this owner its key, with the commit.
    pub(super) fn create_key(&mut self, id: KeyId, key: Key) {
        self.key_changes.insert(id, Some(key));
    }

    /// Destroys the key of this owner, with the commit.
    pub(super) fn destroy_key(&mut self, id: KeyId) {
        self.key_changes.insert(id, None);
    }

    /// Destroys the keys of chats and accounts that do not exist: a crash came between key and commit.
    pub(super) fn destroy_stray_keys(&mut self) -> Result<(), Fault> {
        for id in self.keys.owners() {
            let exists = match id {
                KeyId::Chat(chat) => self.chats.read()?.get(chat.as_bytes())?.is_some(),
                KeyId::User(user) => self.users.read()?.get(user.as_bytes())?.is_some(),
                KeyId::Names => true,
            };
            if !exists {
                self.destroy_key(id);
            }
        }
        Ok(())
    }

    /// Makes the key that hashes names, if there is none yet.
    pub(super) fn create_names_key(&mut self) -> Result<(), Fault> {
        if self.key(KeyId::Names).is_none() {
            self.create_key(KeyId::Names, sealed::new_key()?);
        }
        Ok(())
    }

    /// Moves the expiry entry of `what` from one time to another; `None` means that there is none.
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
            self.expiry.write()?.remove(&what.key(at)[..])?;
        }
        if let Some(at) = to {
            self.expiry.write()?.insert(&what.key(at)[..], ())?;
        }
        Ok(())
    }

    /// Closes the tables; returns the changes to the keys and to the journal.
    pub(super) fn into_changes(self) -> (KeyChanges, JournalChanges) {
        (self.key_changes, self.journal_changes)
    }
}
