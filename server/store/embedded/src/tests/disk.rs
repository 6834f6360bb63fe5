//! A disk with faults on command: full, failing to read, without power.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use redb::{Builder, StorageBackend};

use crate::{EmbeddedStore, journal::Filing, open::Medium, vault::Vault};

/// Unit of allocation, and of the data that a loss of power keeps or loses.
const BLOCK_BYTES: usize = 4_096;

/// Two files on one disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) database: Arc<DiskFile>,
    pub(super) keys: Arc<DiskFile>,
    pub(super) filing: Filing,
}

impl Disk {
    /// A new disk, for a store with this `filing`.
    pub(super) fn filing(filing: Filing) -> Self {
        Self {
            filing,
            ..Self::default()
        }
    }

    /// Opens a store on it.
    pub(super) fn open(&self) -> EmbeddedStore {
        let database = Arc::clone(&self.database);
        // Without a cache every lookup reads the disk.
        let reopen = move || {
            let file = Handle(Arc::clone(&database));
            Builder::new().set_cache_size(0).create_with_backend(file)
        };
        let medium = Medium {
            database: reopen().unwrap(),
            reopen: Box::new(reopen),
            vault: Vault::open(Box::new(Handle(Arc::clone(&self.keys)))).unwrap(),
            filing: self.filing,
            places: Vec::new(),
        };
        EmbeddedStore::start(medium).unwrap()
    }

    /// From now on no block can be allocated; allocated ones can be overwritten, as on a real disk.
    pub(super) fn set_full(&self, is_full: bool) {
        self.database.is_full.store(is_full, Ordering::SeqCst);
        self.keys.is_full.store(is_full, Ordering::SeqCst);
    }

    /// The disk after a loss of power: everything that was synced, and of the rest the blocks
    /// chosen by `is_kept`.
    pub(super) fn after_power_loss(&self, mut is_kept: impl FnMut() -> bool) -> Self {
        Self {
            database: Arc::new(self.database.after_power_loss(&mut is_kept)),
            keys: Arc::new(self.keys.after_power_loss(&mut is_kept)),
            filing: self.filing,
        }
    }
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct DiskFile {
    content: Mutex<Content>,
    pub(super) is_full: AtomicBool,
    pub(super) fails_reads: AtomicBool,
    pub(super) syncs: AtomicUsize,
}

#[derive(Default)]
struct Content {
    live: Vec<u8>,
    /// The content at the last sync.
    synced: Vec<u8>,
    /// Blocks written since.
    dirty: HashSet<usize>,
    allocated: HashSet<usize>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.live.len())
    }
}

impl DiskFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    fn after_power_loss(&self, is_kept: &mut impl FnMut() -> bool) -> Self {
        let mut content = self.content();
        let mut dirty: Vec<_> = content.dirty.drain().collect();
        dirty.sort_unstable();
        dirty.retain(|_| is_kept());
        content.copy_to_synced(dirty);
        let live = content.synced.clone();
        Self {
            content: Mutex::new(Content {
                synced: live.clone(),
                allocated: (0..live.len().div_ceil(BLOCK_BYTES)).collect(),
                live,
                dirty: HashSet::new(),
            }),
            ..Self::default()
        }
    }
}

impl Content {
    fn copy_to_synced(&mut self, blocks: impl IntoIterator<Item = usize>) {
        self.synced.resize(self.live.len(), 0);
        for block in blocks {
            let from = (block * BLOCK_BYTES).min(self.live.len());
            let to = (from + BLOCK_BYTES).min(self.live.len());
            self.synced[from..to].copy_from_slice(&self.live[from..to]);
        }
    }
}

/// The handle that redb and the vault have on a file; the file outlives it.
#[derive(Debug)]
struct Handle(Arc<DiskFile>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.content().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.fails_reads.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk cannot be read"));
        }
        let content = self.0.content();
        let offset = usize::try_from(offset).unwrap();
        let bytes = content.live.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0
            .content()
            .live
            .resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        let mut content = self.0.content();
        let dirty: Vec<_> = content.dirty.drain().collect();
        content.copy_to_synced(dirty);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.0.content();
        let offset = usize::try_from(offset).unwrap();
        let blocks = offset / BLOCK_BYTES..(offset + data.len()).div_ceil(BLOCK_BYTES);
        let is_allocated = blocks
            .clone()
            .all(|block| content.allocated.contains(&block));
        if self.0.is_full.load(Ordering::SeqCst) && !is_allocated {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.allocated.extend(blocks.clone());
        content.dirty.extend(blocks);
        content.live[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}
