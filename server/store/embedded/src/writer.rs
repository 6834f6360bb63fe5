//! The writer: one thread that owns all write transactions and the key vault.
//!
//! It takes all waiting jobs, at most [`BATCH_JOBS_MAX`], runs them in one transaction, writes the
//! keys, commits with one fsync and replies to all (group commit). A job decides by the data that
//! it sees, so its logical outcome (such as a taken name) affects no other job; if a job meets a
//! corrupt record, the batch runs again one by one, so that only this job fails. When the medium
//! fails, the whole batch fails with [`StoreError::Unavailable`], the file is reopened (redb
//! refuses to continue after an IO error) and writes are refused for [`SUSPENSION`], while reads
//! continue. So they are as long as a file of the store is not in its place.
//!
//! Invariant: a job gets `Ok` only after its commit is on the medium, and a key is on the medium
//! before the commit of its chat. Dropping a caller changes nothing: once queued, its job is done,
//! and the result is dropped.
//!
//! Messages that a batch appends go into the journal, and each batch does a step of filing
//! (`journal`).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nowrong_store::StoreError;
use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    CLOSED, Handle, Shared,
    fault::Fault,
    journal::Journal,
    open::{Medium, Place},
    transaction::Transaction,
    vault::Vault,
};

/// Jobs that may wait: four full batches, a few dozen milliseconds of work. When it is full callers
/// wait, at most [`QUEUE_WAIT_MAX`], and then get [`StoreError::Unavailable`].
pub(super) const QUEUE_JOBS_MAX: usize = 4_096;

/// How long a caller waits for a place in a full queue: after a longer wait its client would have
/// given up.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Most jobs of one transaction, to bound its memory and how long the first job waits for the last.
const BATCH_JOBS_MAX: usize = 1_024;

/// How long writes are refused after the medium failed: reopening reads the whole file, and with a
/// full disk this must not happen for each call.
const SUSPENSION: Duration = Duration::from_millis(500);

/// The durability that a job needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// On the medium before the answer.
    Medium,
    /// Visible; on the medium with the next durable commit.
    Memory,
}

/// The callers' end of the queue.
#[derive(Debug)]
pub(super) struct Writer {
    queue: RwLock<Option<mpsc::Sender<Box<dyn Job>>>>,
    /// [`QUEUE_WAIT_MAX`], except in tests.
    pub(super) queue_wait: Duration,
    /// Cancelled when the thread has closed the files.
    done: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(medium: Medium) -> Result<(Arc<Shared>, Self), Fault> {
        let journal = Journal::new(medium.filing);
        let shared = Arc::new(Shared {
            handle: RwLock::new(Handle::Closed),
            keys: Arc::clone(medium.vault.keys()),
            waiting: Arc::clone(journal.waiting()),
        });
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS_MAX);
        let mut thread = Thread {
            shared: Arc::clone(&shared),
            vault: medium.vault,
            journal,
            reopen: medium.reopen,
            places: medium.places,
            is_lost: false,
            suspended: None,
        };
        thread.adopt(medium.database)?;
        let done = CancellationToken::new();
        let guard = done.clone().drop_guard();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                thread.run(jobs);
                drop(thread);
                drop(guard);
            })?;
        let writer = Self {
            queue: RwLock::new(Some(queue)),
            queue_wait: QUEUE_WAIT_MAX,
            done,
            thread: Some(thread),
        };
        Ok((shared, writer))
    }

    /// Queues `work` and waits for its outcome.
    ///
    /// # Cancel safety
    /// Dropped before it was queued, the work is not done; after that, it is.
    pub(super) async fn run<T, F>(&self, work: F, durability: Durability) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let queue = self.queue().ok_or_else(closed)?;
        let place = tokio::time::timeout(self.queue_wait, queue.reserve())
            .await
            .map_err(|_| StoreError::Unavailable("its queue is full".to_owned()))?
            .map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        place.send(Box::new(Work {
            work,
            durability,
            outcome: None,
            reply,
        }));
        drop(queue);
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Wakes an idle writer so that it reopens a failed file.
    pub(super) fn nudge(&self) {
        let Some(queue) = self.queue() else {
            return;
        };
        let (reply, _) = oneshot::channel();
        // If the queue is full, the thread is awake anyway.
        let _ = queue.try_send(Box::new(Work {
            work: |_: &mut Transaction<'_>| Ok(()),
            durability: Durability::Memory,
            outcome: None,
            reply,
        }));
    }

    /// Accepts no more jobs, and returns when the queued ones are done and the files closed.
    pub(super) async fn close(&self) {
        drop(self.take_queue());
        self.done.cancelled().await;
    }

    /// Returns when the thread has ended, in whatever way.
    pub(super) async fn ended(&self) {
        self.done.cancelled().await;
    }

    fn queue(&self) -> Option<mpsc::Sender<Box<dyn Job>>> {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        queue.clone()
    }

    fn take_queue(&self) -> Option<mpsc::Sender<Box<dyn Job>>> {
        let mut queue = self.queue.write().unwrap_or_else(PoisonError::into_inner);
        queue.take()
    }
}

/// The thread never waits for a caller, so this waits for one batch at most.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.take_queue());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged there; here it can be ignored.
            let _ = thread.join();
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable(CLOSED.to_owned())
}

/// Work for a transaction, and the caller that waits for it. It may run more than once, each time
/// in a fresh transaction.
trait Job: Send {
    fn durability(&self) -> Durability;

    /// Does the work and keeps its outcome.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), Fault>;

    /// Sends the caller the outcome, or why it was not committed.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Work<T, F> {
    work: F,
    durability: Durability,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&mut Transaction<'_>) -> Result<T, Fault> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), Fault> {
        self.outcome = Some((self.work)(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        // Nobody listens when the caller was dropped.
        let _ = reply.send(committed.and_then(|()| outcome.ok_or_else(closed)));
    }
}

/// The state of the thread.
struct Thread {
    shared: Arc<Shared>,
    vault: Vault,
    journal: Journal,
    reopen: Box<dyn Fn() -> Result<Database, redb::DatabaseError> + Send>,
    places: Vec<Place>,
    /// Whether a file is no longer in its place, as the log was told.
    is_lost: bool,
    /// Since when writes are refused, and why.
    suspended: Option<(Instant, String)>,
}

impl Thread {
    fn run(&mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_JOBS_MAX
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.perform(batch);
        }
        self.finish();
    }

    /// Runs a batch and replies to its jobs.
    fn perform(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if let Err(fault) = self.look_for_files() {
            return refuse(batch, || StoreError::Unavailable(fault.to_string()));
        }
        let done = match self.attempt(&mut batch) {
            Err(Fault::Corrupt(_)) if batch.len() > 1 => {
                return batch.into_iter().for_each(|job| self.perform(vec![job]));
            }
            Err(Fault::Medium(reason)) => {
                self.suspend(&reason);
                Err(Fault::Medium(reason))
            }
            other => other,
        };
        match done {
            Ok(()) => batch.into_iter().for_each(|job| job.answer(Ok(()))),
            Err(Fault::Corrupt(detail)) => {
                tracing::error!(%detail, "the store met a corrupt record");
                refuse(batch, || StoreError::Corrupt(detail.clone()));
            }
            Err(Fault::Medium(reason)) => refuse(batch, || StoreError::Unavailable(reason.clone())),
        }
    }

    /// Makes sure that what is written will be found again; says in the log once when it would not.
    fn look_for_files(&mut self) -> Result<(), Fault> {
        let found = self.places.iter().try_for_each(Place::check);
        match (&found, self.is_lost) {
            (Err(fault), false) => tracing::error!(%fault, "the store writes nothing"),
            (Ok(()), true) => tracing::info!("the files of the store are back, so it writes again"),
            _ => {}
        }
        self.is_lost = found.is_err();
        found
    }

    /// Runs a batch, unless writes are suspended. A panic of the storage layer counts as a failed
    /// medium.
    fn attempt(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        self.resume()?;
        let attempt = AssertUnwindSafe(|| self.commit(batch));
        catch_unwind(attempt)
            .unwrap_or_else(|_| Err(Fault::Medium("the storage layer panicked".to_owned())))
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        let mut write = self.begin()?;
        if batch
            .iter()
            .all(|job| job.durability() == Durability::Memory)
        {
            write.set_durability(redb::Durability::None)?;
        }
        let mut transaction = Transaction::new(&write, &self.shared.keys, &self.shared.waiting);
        for job in batch {
            job.run(&mut transaction)?;
        }
        self.journal.write(&mut transaction)?;
        let (key_changes, journal_changes) = transaction.into_changes();
        self.vault.apply(&key_changes)?;
        write.commit()?;
        self.journal.apply(journal_changes);
        Ok(())
    }

    /// Begins a transaction; first reopens the file if redb gave it up after a failed read.
    fn begin(&mut self) -> Result<WriteTransaction, Fault> {
        match self.try_begin() {
            Ok(transaction) => Ok(transaction),
            Err(_) => {
                self.reopen()?;
                self.try_begin()
            }
        }
    }

    fn try_begin(&self) -> Result<WriteTransaction, Fault> {
        self.shared
            .with_database(|database| Ok(database.begin_write()?))
    }

    /// Accepts writes again once they were suspended for long enough.
    fn resume(&mut self) -> Result<(), Fault> {
        match &self.suspended {
            Some((since, reason)) if since.elapsed() < SUSPENSION => {
                Err(Fault::Medium(reason.clone()))
            }
            _ => {
                self.suspended = None;
                Ok(())
            }
        }
    }

    /// Refuses writes for a while, and reopens the file so that reads continue.
    fn suspend(&mut self, reason: &str) {
        if self.suspended.is_some() {
            return;
        }
        tracing::error!(reason, "the store cannot write");
        if let Err(fault) = self.reopen() {
            tracing::error!(%fault, "the store cannot be reopened");
        }
        self.suspended = Some((Instant::now(), reason.to_owned()));
    }

    fn reopen(&mut self) -> Result<(), Fault> {
        // The old one is dropped first: it holds the lock on the file.
        self.shared
            .replace(Handle::Failed("its file is being reopened".to_owned()));
        let reopened = (self.reopen)()
            .map_err(Fault::from)
            .and_then(|database| self.adopt(database));
        if let Err(fault) = &reopened {
            self.shared.replace(Handle::Failed(fault.to_string()));
        }
        reopened
    }

    /// Puts a freshly opened database into use: with all its tables, without keys of chats that
    /// were never committed, and with the waiting messages of its journal.
    fn adopt(&mut self, database: Database) -> Result<(), Fault> {
        let write = database.begin_write()?;
        let mut transaction = Transaction::new(&write, &self.shared.keys, &self.shared.waiting);
        transaction.create_tables()?;
        transaction.check_schema()?;
        transaction.destroy_stray_keys()?;
        transaction.create_names_key()?;
        self.journal.load(&transaction)?;
        let (key_changes, _) = transaction.into_changes();
        self.vault.apply(&key_changes)?;
        write.commit()?;
        self.shared.replace(Handle::Open(database));
        Ok(())
    }

    /// Syncs lazily written records to the medium and closes the database.
    fn finish(&mut self) {
        let last: Result<(), Fault> = self.try_begin().and_then(|last| Ok(last.commit()?));
        if let Err(fault) = last {
            tracing::warn!(%fault, "the store was closed without its last cursors");
        }
        self.shared.replace(Handle::Closed);
    }
}

fn refuse(batch: Vec<Box<dyn Job>>, error: impl Fn() -> StoreError) {
    for job in batch {
        job.answer(Err(error()));
    }
}
