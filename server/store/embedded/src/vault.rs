//! The key vault: the keys of all chats and accounts, in a file of their own, so that a key can be destroyed.
//!
//! A database that copies pages on write leaves old copies behind; this file does not. It is an
//! array of 64-byte slots: id, key, checksum; all zeros when free. The checksum tells whose key it is
//! ([`KeyId`]). A slot is within one disk sector, is overwritten in place, and is on the medium before
//! the call returns. Destroying a key makes every copy of what it sealed unreadable, on old pages and in
//! backups too. The vault cannot promise that for a medium that keeps old sectors internally (flash): it
//! may hold a key a while longer.
//!
//! The writer owns it; readers use [`Keys`]. The file never shrinks: it has 64 bytes for each of
//! the most chats and accounts that ever were at once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::digest;
use nowrong_base::privacy::Redacted;
use nowrong_core::record::ChatKey;
use nowrong_protocol::{ChatId, UserId};
use redb::StorageBackend;

use super::fault::Fault;

/// Bytes of a slot: 16 of the id, 32 of the key, 16 of the checksum. Divides a disk sector.
const SLOT_BYTES: usize = 64;

/// Slots by which the file grows: one page of 4 KiB.
const GROWTH_SLOTS: u64 = 64;

/// The first slot names the format.
const HEADER: &[u8; 16] = b"NOWRONG KEYS\0\0\0\x02";

/// The format in which all keys were those of chats; the slots of chats are the same.
const HEADER_BEFORE: &[u8; 16] = b"NOWRONG KEYS\0\0\0\x01";

/// 32 random bytes that seal.
pub(super) type Key = Redacted<[u8; 32]>;

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum KeyId {
    /// Seals the messages of a chat, and who its members are.
    Chat(ChatId),
    /// Seals who a user is.
    User(UserId),
    /// Hashes the names that are taken.
    Names,
}

impl KeyId {
    /// The id in the slot.
    fn bytes(&self) -> [u8; 16] {
        match self {
            Self::Chat(id) => *id.as_bytes(),
            Self::User(id) => *id.as_bytes(),
            Self::Names => [0; 16],
        }
    }

    /// What the checksum of the slot has in addition to its bytes.
    fn label(&self) -> &'static [u8] {
        match self {
            Self::Chat(_) => b"",
            Self::User(_) => b"user",
            Self::Names => b"names",
        }
    }

    /// All owners that a slot with this id can have.
    fn all(id: [u8; 16]) -> [Self; 3] {
        let (chat, user) = (ChatId::from_bytes(id), UserId::from_bytes(id));
        [Self::Chat(chat), Self::User(user), Self::Names]
    }
}

/// The changes of a batch to the keys: a new key, or `None` to destroy it.
pub(super) type KeyChanges = HashMap<KeyId, Option<Key>>;

/// The keys as readers see them.
#[derive(Debug, Default)]
pub(super) struct Keys(RwLock<HashMap<KeyId, Key>>);

impl Keys {
    /// The key of this owner.
    pub(super) fn find(&self, id: KeyId) -> Option<Key> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&id).cloned()
    }

    /// The key of a chat.
    pub(super) fn chat(&self, chat: ChatId) -> Option<ChatKey> {
        let key = self.find(KeyId::Chat(chat))?;
        Some(ChatKey(*key.expose()))
    }

    /// Whether there is a key of this owner.
    pub(super) fn has(&self, id: KeyId) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.contains_key(&id)
    }

    /// The owners of all keys.
    pub(super) fn owners(&self) -> Vec<KeyId> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.keys().copied().collect()
    }

    fn insert(&self, id: KeyId, key: Key) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(id, key);
    }

    fn remove(&self, id: KeyId) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&id);
    }
}

/// The vault, owned by the writer.
#[derive(Debug)]
pub(super) struct Vault {
    file: Box<dyn StorageBackend>,
    slots: HashMap<KeyId, u64>,
    free: Vec<u64>,
    /// Whether something was written since the last sync.
    is_dirty: bool,
    keys: Arc<Keys>,
}

impl Vault {
    /// Opens the vault in `file`, which may be empty. Slots that a crash left incomplete are
    /// cleared: no call that wrote them has returned.
    pub(super) fn open(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let mut vault = Self {
            file,
            slots: HashMap::new(),
            free: Vec::new(),
            is_dirty: false,
            keys: Arc::default(),
        };
        if vault.file.len()? == 0 {
            vault.create()?;
        } else {
            vault.load()?;
        }
        Ok(vault)
    }

    /// The keys, for readers.
    pub(super) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Writes `changes` and waits until they are on the medium; readers see them afterwards. A
    /// destroyed key is gone for readers even if the medium fails.
    pub(super) fn apply(&mut self, changes: &KeyChanges) -> Result<(), Fault> {
        for (id, key) in changes {
            // One that was destroyed and made again within the batch has another key now.
            if key.is_none() || self.keys.find(*id) != *key {
                self.destroy(*id)?;
            }
        }
        let mut created = Vec::new();
        let written = self.create_all(changes, &mut created);
        if let Err(error) = written.and_then(|()| self.sync()) {
            self.free.extend(created.iter().map(|(_, _, slot)| slot));
            return Err(error.into());
        }
        for (id, key, slot) in created {
            self.slots.insert(id, slot);
            self.keys.insert(id, key);
        }
        Ok(())
    }

    /// Syncs all writes to the medium, once for a whole batch.
    fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        Ok(())
    }

    fn write(&mut self, slot: u64, bytes: &[u8; SLOT_BYTES]) -> io::Result<()> {
        self.is_dirty = true;
        self.file.write(slot * SLOT_BYTES as u64, bytes)
    }

    fn create_all(
        &mut self,
        changes: &KeyChanges,
        created: &mut Vec<(KeyId, Key, u64)>,
    ) -> io::Result<()> {
        let new = changes
            .iter()
            .filter_map(|(id, key)| Some((*id, key.clone()?)));
        for (id, key) in new
            .filter(|(id, _)| !self.keys.has(*id))
            .collect::<Vec<_>>()
        {
            let slot = self.take_slot()?;
            created.push((id, key.clone(), slot));
            self.write(slot, &encode(id, &key))?;
        }
        Ok(())
    }

    fn destroy(&mut self, id: KeyId) -> io::Result<()> {
        let Some(slot) = self.slots.get(&id).copied() else {
            return Ok(());
        };
        self.keys.remove(id);
        self.write(slot, &[0; SLOT_BYTES])?;
        self.slots.remove(&id);
        self.free.push(slot);
        Ok(())
    }

    fn take_slot(&mut self) -> io::Result<u64> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        let used = self.file.len()? / SLOT_BYTES as u64;
        self.file.set_len(offset(used + GROWTH_SLOTS))?;
        self.free.extend((used + 1..used + GROWTH_SLOTS).rev());
        Ok(used)
    }

    fn create(&mut self) -> io::Result<()> {
        self.file.set_len(offset(GROWTH_SLOTS))?;
        self.file.write(0, &header())?;
        self.file.sync_data()?;
        self.free.extend((1..GROWTH_SLOTS).rev());
        Ok(())
    }

    fn load(&mut self) -> io::Result<()> {
        let len = self.file.len()?;
        let mut bytes = [0; SLOT_BYTES];
        if len >= SLOT_BYTES as u64 {
            self.file.read(0, &mut bytes)?;
        }
        if bytes.starts_with(HEADER_BEFORE) {
            self.write(0, &header())?;
        } else if !bytes.starts_with(HEADER) {
            let detail = "it does not begin as a key vault";
            return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
        }
        let slots = len.div_ceil(SLOT_BYTES as u64);
        self.file.set_len(offset(slots))?;
        for slot in (1..slots).rev() {
            self.file.read(offset(slot), &mut bytes)?;
            self.load_slot(slot, &bytes)?;
        }
        self.sync()
    }

    fn load_slot(&mut self, slot: u64, bytes: &[u8; SLOT_BYTES]) -> io::Result<()> {
        if let Some((id, key)) = decode(bytes) {
            self.slots.insert(id, slot);
            self.keys.insert(id, key);
            return Ok(());
        }
        if *bytes != [0; SLOT_BYTES] {
            tracing::warn!(slot, "an incomplete slot of the key vault is cleared");
            self.write(slot, &[0; SLOT_BYTES])?;
        }
        self.free.push(slot);
        Ok(())
    }
}

fn offset(slot: u64) -> u64 {
    slot * SLOT_BYTES as u64
}

fn header() -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..HEADER.len()].copy_from_slice(HEADER);
    slot
}

fn encode(id: KeyId, key: &Key) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..16].copy_from_slice(&id.bytes());
    slot[16..48].copy_from_slice(key.expose());
    let mut sum = digest::Context::new(&digest::SHA256);
    sum.update(&slot[..48]);
    sum.update(id.label());
    slot[48..].copy_from_slice(&sum.finish().as_ref()[..16]);
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(KeyId, Key)> {
    let (id, rest) = slot.split_first_chunk::<16>()?;
    let key = Key::new(*rest.first_chunk()?);
    let owners = KeyId::all(*id).into_iter();
    let owner = { owners }.find(|owner| encode(*owner, &key) == *slot)?;
    Some((owner, key))
}

#[cfg(test)]
mod tests {
    use redb::backends::FileBackend;

    use super::*;

    fn open(path: &std::path::Path) -> io::Result<Vault> {
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Vault::open(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn chat(number: u8) -> KeyId {
        KeyId::Chat(ChatId::from_bytes([number; 16]))
    }

    fn user(number: u8) -> KeyId {
        KeyId::User(UserId::from_bytes([number; 16]))
    }

    fn key(number: u8) -> Key {
        Key::new([number ^ 0xa5; 32])
    }

    #[test]
    fn keys_survive_reopening_and_slots_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.bin");
        let mut vault = open(&path).unwrap();
        for number in 1..=200 {
            vault
                .apply(&HashMap::from([(chat(number), Some(key(number)))]))
                .unwrap();
        }
        let full = std::fs::metadata(&path).unwrap().len();
        vault
            .apply(&(1..=100).map(|number| (chat(number), None)).collect())
            .unwrap();
        let mut vault = open(&path).unwrap();
        assert_eq!(vault.keys().find(chat(100)), None);
        assert_eq!(vault.keys().find(chat(101)), Some(key(101)));
        assert_eq!(vault.keys().owners().len(), 100);
        for number in 1..=100 {
            vault
                .apply(&HashMap::from([(chat(number), Some(key(number)))]))
                .unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), full);
    }

    #[test]
    fn a_destroyed_key_is_nowhere_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.bin");
        let mut vault = open(&path).unwrap();
        let holds = |needle: &[u8]| {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        };
        vault
            .apply(&HashMap::from([
                (chat(1), Some(key(1))),
                (chat(2), Some(key(2))),
            ]))
            .unwrap();
        assert!(holds(key(1).expose()) && holds(key(2).expose()));
        vault.apply(&HashMap::from([(chat(1), None)])).unwrap();
        assert!(!holds(key(1).expose()) && holds(key(2).expose()));
        assert!(!holds(&chat(1).bytes()));
    }

    #[test]
    fn a_slot_cut_short_is_cleared_and_a_foreign_file_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.bin");
        open(&path)
            .unwrap()
            .apply(&HashMap::from([(chat(1), Some(key(1)))]))
            .unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[64 + 20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(open(&path).unwrap().keys().find(chat(1)), None);
        assert_eq!(std::fs::read(&path).unwrap()[64..128], [0; 64]);
        std::fs::write(
            &path,
            b"something else that is long enough to be looked at, and then more",
        )
        .unwrap();
        assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_chat_an_account_and_the_names_have_keys_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.bin");
        let all = [chat(0), user(0), KeyId::Names];
        let keys = (1..).map(key);
        let made = all.into_iter().zip(keys.map(Some)).collect();
        open(&path).unwrap().apply(&made).unwrap();
        let mut vault = open(&path).unwrap();
        for (id, key) in &made {
            assert_eq!(vault.keys().find(*id), *key, "{id:?}");
        }
        vault.apply(&HashMap::from([(user(0), None)])).unwrap();
        let vault = open(&path).unwrap();
        assert!(!vault.keys().has(user(0)));
        assert!(vault.keys().has(chat(0)) && vault.keys().has(KeyId::Names));
    }

    #[test]
    fn a_key_that_is_made_again_replaces_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.bin");
        let mut vault = open(&path).unwrap();
        for number in [1, 2] {
            let change = HashMap::from([(user(7), Some(key(number)))]);
            vault.apply(&change).unwrap();
        }
        assert_eq!(open(&path).unwrap().keys().find(user(7)), Some(key(2)));
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(32).any(|window| window == key(1).expose()));
    }

    #[test]
    fn a_vault_of_chats_alone_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.bin");
        let change = HashMap::from([(chat(1), Some(key(1)))]);
        open(&path).unwrap().apply(&change).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[..16].copy_from_slice(HEADER_BEFORE);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(open(&path).unwrap().keys().find(chat(1)), Some(key(1)));
        assert!(std::fs::read(&path).unwrap().starts_with(HEADER));
    }
}
