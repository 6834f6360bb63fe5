//! The embedded store: one redb file and one key vault in a folder, and nothing else to run.
//!
//! Writes go through a bounded queue to one thread, which commits all waiting writes in one
//! transaction with one fsync (`writer`); a call returns when its transaction is on the medium.
//! Reads see the last commit and never wait for a writer. Messages are written in order of arrival
//! and filed under their chats later, in large batches (`journal`). Who people are, and what
//! they write, is sealed (`sealed`) under keys that are kept outside the database (`vault`), so that destroying
//! one leaves no copy. Everything that expires has an
//! entry in one index (`expiry`); reads do not depend on the sweeper, they filter by time.
//!
//! Reads run on the calling task: the chats of a day are in the cache, where a lookup takes a few
//! microseconds, far less than handing it to another thread. Long reads (over `INLINE_RECORDS_MAX`)
//! go to the blocking pool. redb protects its pages against crashes, not against forgery: one-phase
//! commit is enough, because no outsider chooses the bytes of a page (bodies arrive sealed).

#![forbid(unsafe_code)]

mod anchor;
mod audit;
mod categories;
mod chats;
mod convert;
mod expiry;
mod fault;
mod journal;
mod lazy;
mod messages;
mod names;
mod open;
mod record;
mod renewal;
mod sealed;
mod seats;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod transaction;
mod users;
mod vault;
mod writer;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use nowrong_base::metrics::{CallMetrics, Metrics};

use nowrong_store::StoreError;
use redb::{Database, ReadableDatabase};

use self::{
    fault::Fault,
    journal::{Filing, Waiting},
    open::Medium,
    snapshot::Snapshot,
    transaction::Transaction,
    vault::Keys,
    writer::Writer,
};
pub use open::OpenError;

/// Most records that a read may return on the calling task: they take half a millisecond.
const INLINE_RECORDS_MAX: usize = 64;

/// The embedded store. Dropping it stops its writer after the queued jobs; [`close`] waits for
/// that.
///
/// [`close`]: nowrong_store::MessageStore::close
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    writer: Writer,
    calls: CallMetrics,
}

impl EmbeddedStore {
    /// Opens the store in the folder `dir`, which is created if needed: `nowrong.redb` and
    /// `keys.bin`, readable by the owner only. The whole file is checked on the way (about a second
    /// for 300 MB), so that damage is found now and not in the middle of a chat.
    ///
    /// # Errors
    /// [`OpenError`], which names the path and says what to do.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        open::folder(dir, Filing::default())
    }

    /// A store in memory, lost with this value: for tests.
    ///
    /// # Errors
    /// [`OpenError`] when the machine cannot start a thread.
    pub fn in_memory() -> Result<Self, OpenError> {
        open::memory(Filing::default())
    }

    /// The store, with these metrics for the time and the failures of its calls.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &Metrics) -> Self {
        self.calls = CallMetrics::registered(metrics, "store");
        self
    }

    /// Runs `work` in the next transaction and waits until it is on the medium.
    async fn write<T, F>(&self, call: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let run = self.writer.run(work, writer::Durability::Medium);
        self.calls.measure(call, run).await
    }

    /// Runs `work` in the next transaction; a crash may undo it as long as no durable write follows.
    async fn write_lazily<T, F>(&self, call: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let run = self.writer.run(work, writer::Durability::Memory);
        self.calls.measure(call, run).await
    }

    /// Reads from the last commit, on this task.
    fn read<T>(
        &self,
        call: &'static str,
        look: impl FnOnce(&Snapshot) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let read = self.shared.read(look);
        self.calls.note(call, begun, read.is_ok());
        read.inspect_err(|error| self.mend(error))
    }

    /// Reads up to `limit` records from the last commit, on the blocking pool if there are many.
    async fn read_many<T, F>(
        &self,
        call: &'static str,
        limit: usize,
        look: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot) -> Result<T, Fault> + Send + 'static,
    {
        if limit <= INLINE_RECORDS_MAX {
            return self.read(call, look);
        }
        let shared = Arc::clone(&self.shared);
        let read = async {
            let read = tokio::task::spawn_blocking(move || shared.read(look)).await;
            read.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
        };
        let read = self.calls.measure(call, read).await;
        read.inspect_err(|error| self.mend(error))
    }

    /// After a read that failed on the medium, the writer checks whether it must reopen the file.
    fn mend(&self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_)) {
            self.writer.nudge();
        }
    }

    /// Waits until the writer has done the queued jobs and closed the files.
    async fn shut(&self) {
        self.writer.close().await;
    }
}

/// The state that readers and the writer share.
#[derive(Debug)]
struct Shared {
    handle: RwLock<Handle>,
    keys: Arc<Keys>,
    waiting: Arc<Waiting>,
}

/// The database, if it is open.
enum Handle {
    Open(Database),
    /// The medium failed and the file could not be reopened yet.
    Failed(String),
    Closed,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Failed(_) => "Failed",
            Self::Closed => "Closed",
        })
    }
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&Snapshot) -> Result<T, Fault>) -> Result<T, StoreError> {
        let transaction = self.with_database(|database| Ok(database.begin_read()?))?;
        Ok(look(&Snapshot::new(transaction, Arc::clone(&self.keys)))?)
    }

    /// Hands the database to `begin`, which only begins a transaction: while it runs, the file
    /// cannot be reopened.
    fn with_database<T>(
        &self,
        begin: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match &*self.handle.read().unwrap_or_else(PoisonError::into_inner) {
            Handle::Open(database) => begin(database),
            Handle::Failed(reason) => Err(Fault::Medium(reason.clone())),
            Handle::Closed => Err(Fault::Medium(CLOSED.to_owned())),
        }
    }

    /// Replaces the database; dropping the old one closes its file, even for current readers.
    fn replace(&self, handle: Handle) {
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = handle;
    }
}

/// Why calls after `close` fail.
const CLOSED: &str = "it was closed";

impl EmbeddedStore {
    /// A store on `medium`.
    fn start(medium: Medium) -> Result<Self, Fault> {
        let (shared, writer) = Writer::start(medium)?;
        Ok(Self {
            shared,
            writer,
            calls: CallMetrics::default(),
        })
    }
}
