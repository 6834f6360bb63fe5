//! The required collections, made by numbered steps, forward and back.
//!
//! Each step can be run again, completely or after an interruption at any point; `_migrations`
//! records the finished steps, after each step. So the next start repairs whatever a killed node
//! left half-done. One node migrates at a time: the lock is a document with a lease, renewed before
//! each step, so that a dead holder blocks the others only for one lease. Start reading at [`up`].

mod step;

use std::time::Duration;

use mongodb::{
    Collection, Database,
    bson::{Bson, DateTime, Document, doc},
    error::Error,
};
use nowrong_base::random;
use tokio::time::Instant;

use self::step::{STEPS, Step};
use super::{
    fault::{describe, is_duplicate},
    open,
};

/// The collection with the finished steps and the lock.
const MIGRATIONS: &str = "_migrations";

/// Key of the lock among the steps.
const LOCK: &str = "lock";

/// How long the lock is held without a renewal: longer than any step takes on collections with the
/// data of one day, and short enough to wait for.
const LEASE: Duration = Duration::from_secs(30);

/// How often the lock is tried.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// Why a migration failed. One sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The server failed.
    #[error("`store`: the migrations stopped: {0}")]
    Server(String),
    /// Another node holds the lock and keeps renewing it.
    #[error("`store`: another node has been migrating for {0:?}; try again when it is done")]
    Locked(Duration),
    /// The lease ran out while a step ran; another node may have taken over.
    #[error("`store`: a migration took longer than its lease; run it again")]
    Overtaken,
    /// Steps are missing and may not be run.
    #[error("`store` lacks the migration {0}; run `nowrong migrate up`, or set `migrate_at_start`")]
    Pending(&'static str),
    /// The newest step cannot be undone.
    #[error("the migration {0} cannot be undone")]
    Final(&'static str),
    /// The step was cut off on purpose.
    #[cfg(test)]
    #[error("cut off")]
    CutOff,
}

impl From<Error> for MigrationError {
    fn from(error: Error) -> Self {
        Self::Server(describe(&error.kind))
    }
}

/// A step and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number, from 1.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
    /// Its state.
    pub state: State,
}

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Done.
    Done,
    /// To be done.
    Pending,
    /// Not needed on this server, only on a sharded cluster.
    NotNeeded,
}

/// The state of every step, in order.
///
/// # Errors
/// When the server does not reply.
pub async fn status(database: &Database) -> Result<Vec<Status>, MigrationError> {
    Ok(Migrations::new(database, LEASE).await?.status().await?)
}

/// Runs the missing steps in order; returns their names.
///
/// # Errors
/// [`MigrationError`]; running it again is safe.
pub async fn up(database: &Database) -> Result<Vec<&'static str>, MigrationError> {
    Migrations::new(database, LEASE).await?.up().await
}

/// Undoes the newest finished step; returns its name, or `None` when there is none.
///
/// # Errors
/// [`MigrationError`]; running it again is safe.
pub async fn down(database: &Database) -> Result<Option<&'static str>, MigrationError> {
    Migrations::new(database, LEASE).await?.down().await
}

/// Makes sure that no step is missing, without changing anything.
///
/// # Errors
/// [`MigrationError::Pending`] when a step is missing.
pub async fn require(database: &Database) -> Result<(), MigrationError> {
    let all = status(database).await?;
    match all.iter().find(|step| step.state == State::Pending) {
        Some(step) => Err(MigrationError::Pending(step.name)),
        None => Ok(()),
    }
}

/// The migrations of one database, by one holder of the lock.
struct Migrations {
    database: Database,
    done: Collection<Document>,
    is_router: bool,
    holder: String,
    lease: Duration,
    /// After how many writes to stop, as if killed.
    #[cfg(test)]
    cut_after: Option<std::sync::Arc<std::sync::atomic::AtomicI32>>,
}

impl Migrations {
    async fn new(database: &Database, lease: Duration) -> Result<Self, MigrationError> {
        let hello = database.run_command(doc! { "hello": 1 }).await?;
        let holder = random::bytes::<8>().map(|byte| format!("{byte:02x}"));
        Ok(Self {
            database: database.clone(),
            done: database.collection(MIGRATIONS),
            is_router: open::is_router(&hello),
            holder: holder.concat(),
            lease,
            #[cfg(test)]
            cut_after: None,
        })
    }

    async fn status(&self) -> Result<Vec<Status>, Error> {
        let mut done = self.done.find(doc! { "_id": { "$gte": 0 } }).await?;
        let mut numbers = Vec::new();
        while done.advance().await? {
            numbers.extend(done.deserialize_current()?.get_i32("_id").ok());
        }
        let state =
            |step: &Step| match (numbers.contains(&step.number), step.is_for(self.is_router)) {
                (true, _) => State::Done,
                (false, true) => State::Pending,
                (false, false) => State::NotNeeded,
            };
        let steps = STEPS.iter().map(|step| Status {
            number: step.number,
            name: step.name,
            state: state(step),
        });
        Ok(steps.collect())
    }

    async fn up(&self) -> Result<Vec<&'static str>, MigrationError> {
        let is_missing = |all: &[Status]| all.iter().any(|step| step.state == State::Pending);
        // Without the lock, so that a start with nothing to do does not wait for other nodes.
        if !is_missing(&self.status().await?) {
            return Ok(Vec::new());
        }
        self.lock().await?;
        let outcome = self.up_locked().await;
        self.unlock_after(outcome).await
    }

    async fn up_locked(&self) -> Result<Vec<&'static str>, MigrationError> {
        let mut names = Vec::new();
        for (step, status) in STEPS.iter().zip(self.status().await?) {
            if status.state != State::Pending {
                continue;
            }
            self.renew().await?;
            self.run(step, step::Direction::Up).await?;
            let note = doc! { "$set": { "name": step.name }, "$currentDate": { "at": true } };
            let update = self.done.update_one(doc! { "_id": step.number }, note);
            update.upsert(true).await?;
            tracing::info!(step = step.name, "migrated");
            names.push(step.name);
        }
        Ok(names)
    }

    async fn down(&self) -> Result<Option<&'static str>, MigrationError> {
        self.lock().await?;
        let outcome = self.down_locked().await;
        self.unlock_after(outcome).await
    }

    async fn down_locked(&self) -> Result<Option<&'static str>, MigrationError> {
        let all = self.status().await?;
        let newest = all.iter().rposition(|step| step.state == State::Done);
        let Some(step) = newest.and_then(|index| STEPS.get(index)) else {
            return Ok(None);
        };
        if step.is_final {
            return Err(MigrationError::Final(step.name));
        }
        // The record of the step is removed first: after an interruption the step is pending and
        // can be run again.
        self.done.delete_one(doc! { "_id": step.number }).await?;
        self.run(step, step::Direction::Down).await?;
        Ok(Some(step.name))
    }

    async fn run(&self, step: &Step, direction: step::Direction) -> Result<(), MigrationError> {
        for command in step.commands(direction, self.database.name()) {
            #[cfg(test)]
            self.cut()?;
            let database = match command.on_admin {
                true => &self.database.client().database("admin"),
                false => &self.database,
            };
            let outcome = database.run_command(command.document.clone()).await;
            match outcome {
                Err(error) if command.is_harmless(&error) => {}
                outcome => drop(outcome?),
            }
        }
        #[cfg(test)]
        self.cut()?;
        Ok(())
    }

    /// Takes the lock; waits until its holder releases it or its lease ends.
    async fn lock(&self) -> Result<(), MigrationError> {
        let patience = self.lease * 2;
        let until = Instant::now() + patience;
        while !self.try_lock().await? {
            if Instant::now() > until {
                return Err(MigrationError::Locked(patience));
            }
            tokio::time::sleep(LOCK_POLL.min(self.lease)).await;
        }
        Ok(())
    }

    /// Uses the clock of the server, so that the clocks of the nodes do not matter.
    async fn try_lock(&self) -> Result<bool, Error> {
        let long_ago = doc! { "$setOnInsert": { "until": DateTime::from_millis(0) } };
        let create = self.done.update_one(doc! { "_id": LOCK }, long_ago);
        match create.upsert(true).await {
            // Two nodes created it at once.
            Err(error) if is_duplicate(&error) => {}
            outcome => drop(outcome?),
        }
        let is_free = doc! { "$lte": ["$until", "$$NOW"] };
        let free = doc! { "_id": LOCK, "$expr": is_free };
        let take = self.done.update_one(free, vec![self.hold()]).await?;
        Ok(take.matched_count > 0)
    }

    /// Renews the lease, unless another node took over meanwhile.
    async fn renew(&self) -> Result<(), MigrationError> {
        let own = doc! { "_id": LOCK, "holder": &self.holder };
        let update = self.done.update_one(own, vec![self.hold()]).await?;
        match update.matched_count {
            0 => Err(MigrationError::Overtaken),
            _ => Ok(()),
        }
    }

    fn hold(&self) -> Document {
        let lease = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        let until = doc! { "$add": ["$$NOW", Bson::Int64(lease)] };
        doc! { "$set": { "holder": &self.holder, "until": until } }
    }

    async fn unlock_after<T>(
        &self,
        outcome: Result<T, MigrationError>,
    ) -> Result<T, MigrationError> {
        #[cfg(test)]
        if matches!(outcome, Err(MigrationError::CutOff)) {
            return outcome;
        }
        let own = doc! { "_id": LOCK, "holder": &self.holder };
        // If it cannot be released now, its lease ends by itself.
        let _ = self.done.delete_one(own).await;
        outcome
    }

    /// Ends here as if killed, when the test asked for it.
    #[cfg(test)]
    fn cut(&self) -> Result<(), MigrationError> {
        use std::sync::atomic::Ordering;
        match &self.cut_after {
            Some(left) if left.fetch_sub(1, Ordering::SeqCst) <= 0 => Err(MigrationError::CutOff),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
