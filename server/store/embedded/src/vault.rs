//! The key vault: the keys of all chats, in a file of their own, so that a key can be destroyed.
//!
//! A database that copies pages on write leaves old copies behind; this file does not. It is an
//! array of 64-byte slots: chat id, key, checksum; all zeros when free. A slot is within one disk
//! sector, is overwritten in place, and is on the medium before the call returns. Destroying a key
//! makes every copy of its messages unreadable, on old pages and in backups too. The vault cannot
//! promise that for a medium that keeps old sectors internally (flash): it may hold a key a while
//! longer.
//!
//! The writer owns it; readers use [`Keys`]. The file never shrinks: it has 64 bytes for each of
//! the most chats that were ever open at once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::digest;
use nowrong_core::record::ChatKey;
use nowrong_protocol::ChatId;
use redb::StorageBackend;

use super::fault::Fault;

/// Bytes of a slot: 16 of the chat id, 32 of the key, 16 of the checksum. Divides a disk sector.
const SLOT_BYTES: usize = 64;

/// Slots by which the file grows: one page of 4 KiB.
const GROWTH_SLOTS: u64 = 64;

/// The first slot names the format.
const HEADER: &[u8; 16] = b"NOWRONG KEYS\0\0\0\x01";

/// The changes of a batch to the keys: the new key of a chat, or `None` to destroy it.
pub(super) type KeyChanges = HashMap<ChatId, Option<ChatKey>>;

/// The keys as readers see them.
#[derive(Debug, Default)]
pub(super) struct Keys(RwLock<HashMap<ChatId, ChatKey>>);

impl Keys {
    /// The key of a chat.
    pub(super) fn find(&self, chat: ChatId) -> Option<ChatKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&chat).cloned()
    }

    /// Whether a chat has a key.
    pub(super) fn has(&self, chat: ChatId) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.contains_key(&chat)
    }

    /// The chats that have a key.
    pub(super) fn chats(&self) -> Vec<ChatId> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.keys().copied().collect()
    }

    fn insert(&self, chat: ChatId, key: ChatKey) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(chat, key);
    }

    fn remove(&self, chat: ChatId) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&chat);
    }
}

/// The vault, owned by the writer.
#[derive(Debug)]
pub(super) struct Vault {
    file: Box<dyn StorageBackend>,
    slots: HashMap<ChatId, u64>,
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
        for (chat, _) in changes.iter().filter(|(_, key)| key.is_none()) {
            self.destroy(*chat)?;
        }
        let mut created = Vec::new();
        let written = self.create_all(changes, &mut created);
        if let Err(error) = written.and_then(|()| self.sync()) {
            self.free.extend(created.iter().map(|(_, _, slot)| slot));
            return Err(error.into());
        }
        for (chat, key, slot) in created {
            self.slots.insert(chat, slot);
            self.keys.insert(chat, key);
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
        created: &mut Vec<(ChatId, ChatKey, u64)>,
    ) -> io::Result<()> {
        let new = changes
            .iter()
            .filter_map(|(chat, key)| Some((*chat, key.clone()?)));
        for (chat, key) in new
            .filter(|(chat, _)| !self.keys.has(*chat))
            .collect::<Vec<_>>()
        {
            let slot = self.take_slot()?;
            created.push((chat, key.clone(), slot));
            self.write(slot, &encode(chat, &key))?;
        }
        Ok(())
    }

    fn destroy(&mut self, chat: ChatId) -> io::Result<()> {
        let Some(slot) = self.slots.get(&chat).copied() else {
            return Ok(());
        };
        self.keys.remove(chat);
        self.write(slot, &[0; SLOT_BYTES])?;
        self.slots.remove(&chat);
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
        self.file.write(0, HEADER)?;
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
        if !bytes.starts_with(HEADER) {
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
        if let Some((chat, key)) = decode(bytes) {
            self.slots.insert(chat, slot);
            self.keys.insert(chat, key);
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

fn encode(chat: ChatId, key: &ChatKey) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..16].copy_from_slice(chat.as_bytes());
    slot[16..48].copy_from_slice(&key.0);
    let sum = digest::digest(&digest::SHA256, &slot[..48]);
    slot[48..].copy_from_slice(&sum.as_ref()[..16]);
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(ChatId, ChatKey)> {
    let (chat, rest) = slot.split_first_chunk::<16>()?;
    let key = ChatKey(*rest.first_chunk()?);
    let chat = ChatId::from_bytes(*chat);
    (encode(chat, &key) == *slot).then_some((chat, key))
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

    fn chat(number: u8) -> ChatId {
        ChatId::from_bytes([number; 16])
    }

    fn key(number: u8) -> ChatKey {
        ChatKey([number ^ 0xa5; 32])
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
        assert_eq!(vault.keys().chats().len(), 100);
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
        assert!(holds(&key(1).0) && holds(&key(2).0));
        vault.apply(&HashMap::from([(chat(1), None)])).unwrap();
        assert!(!holds(&key(1).0) && holds(&key(2).0));
        assert!(!holds(chat(1).as_bytes()));
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
}
