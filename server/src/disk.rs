//! The room on the disk of the embedded store, and whether the node takes anything new.
//!
//! Below the mark (`limits.disk_free_min_mb`) there are no new accounts and no new messages, so that what erases
//! still has room to work: the store writes before it removes. Somebody calls [`Disk::look`] at intervals; everybody
//! else asks an atomic. Start reading at [`Disk::is_full`].

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use nowrong_base::{lock::lock, metrics::Metrics};
use nowrong_core::disk::HighWater;

/// How often the disk is looked at: a system call of some microseconds.
pub const DISK_TICK: Duration = Duration::from_secs(2);

/// How long somebody should wait who was refused, in milliseconds: a disk seldom has room again sooner.
pub const DISK_RETRY_MS: u32 = 10_000;

/// The disk of the data folder. A node that stores nothing on one has [`Disk::none`].
#[derive(Debug)]
pub struct Disk {
    folder: Option<PathBuf>,
    mark: Mutex<HighWater>,
    free: AtomicU64,
    is_full: AtomicBool,
    /// Whether it was said that it cannot be looked at.
    is_unknown: AtomicBool,
}

impl Disk {
    /// No disk: never full.
    pub fn none() -> Arc<Self> {
        Arc::new(Self::of(None, 0))
    }

    /// The disk that `folder` is on, which counts as full below `least` bytes of room, as found now. Publishes
    /// `nowrong_disk_free_bytes`.
    pub fn watched(folder: &Path, least: u64, metrics: &Metrics) -> Arc<Self> {
        let disk = Arc::new(Self::of(Some(folder.to_owned()), least));
        disk.look();
        let (asked, text) = (disk.clone(), "Bytes of room on the disk of the data folder");
        metrics.gauge("disk_free_bytes", text, move || {
            i64::try_from(asked.free.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
        });
        disk
    }

    fn of(folder: Option<PathBuf>, least: u64) -> Self {
        Self {
            folder,
            mark: Mutex::new(HighWater::new(least)),
            free: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            is_unknown: AtomicBool::new(false),
        }
    }

    /// Whether there is too little room for anything new. Costs nothing.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Looks how much room there is. May wait for the disk. One that cannot be looked at stays as it was.
    pub fn look(&self) {
        let Some(folder) = &self.folder else { return };
        match free_bytes(folder) {
            Ok(free) => {
                self.is_unknown.store(false, Ordering::Relaxed);
                self.note(free);
            }
            Err(error) => {
                if !self.is_unknown.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "how much room the disk has cannot be found out");
                }
            }
        }
    }

    /// Says it once, and once more when it is over.
    fn note(&self, free: u64) {
        self.free.store(free, Ordering::Relaxed);
        let is_full = lock(&self.mark).observe(free);
        match (self.is_full.swap(is_full, Ordering::Relaxed), is_full) {
            (false, true) => tracing::error!(
                free_bytes = free,
                "the disk of the data folder is nearly full: no new accounts and no new messages until there is room (`limits.disk_free_min_mb`)"
            ),
            (true, false) => tracing::info!(free_bytes = free, "the disk has room again"),
            _ => {}
        }
    }
}

fn free_bytes(folder: &Path) -> Result<u64, rustix::io::Errno> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
impl Disk {
    /// A disk that a test fills.
    pub fn for_test(least: u64) -> Arc<Self> {
        Arc::new(Self::of(None, least))
    }

    /// As if this much room were found.
    pub fn has_free(&self, free: u64) {
        self.note(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_real_disk_is_found_and_published() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::default();
        let disk = Disk::watched(folder.path(), 1, &metrics);
        assert!(!disk.is_full());
        let free = disk.free.load(Ordering::Relaxed);
        assert!(free > 1_000_000, "{free}");
        let text = metrics.text();
        assert!(text.contains("\nnowrong_disk_free_bytes "), "{text}");
        let metrics = Metrics::default();
        assert!(Disk::watched(folder.path(), u64::MAX, &metrics).is_full());
    }

    #[test]
    fn a_disk_that_cannot_be_looked_at_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::watched(folder.path(), u64::MAX, &Metrics::default());
        drop(folder);
        disk.look();
        assert!(disk.is_full() && disk.is_unknown.load(Ordering::Relaxed));
        assert!(!Disk::none().is_full());
    }
}
