//! The collections as they must be, in numbered steps, forward and back.
//!
//! Each step can be run again, whole or from any point where it was cut off; which are done stands
//! in `_migrations`, written after the step. So whoever is killed half-way leaves nothing that the
//! next start does not mend. One node at a time: the lock is a document with a lease, renewed
//! before each step, so that a dead holder is waited for and no longer. Start reading at [`up`].

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

/// Where the steps that are done are noted, and the lock.
const MIGRATIONS: &str = "_migrations";

/// Key of the lock among the steps.
const LOCK: &str = "lock";

/// How long the lock is held without a renewal: longer than any step takes on collections whose
/// contents live a day, short enough to wait for.
const LEASE: Duration = Duration::from_secs(30);

/// How often the lock is tried.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// What stands in a migration's way. One sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The server failed.
    #[error("`store`: the migrations stopped: {0}")]
    Server(String),
    /// Another node holds the lock and goes on renewing it.
    #[error("`store`: another node has been migrating for {0:?}; try again when it is done")]
    Locked(Duration),
    /// The lease ran out while a step ran; another node may have taken over.
    #[error("`store`: a migration took longer than its lease; run it again")]
    Overtaken,
    /// Steps are missing and may not be run.
    #[error("`store` lacks the migration {0}; run `nowrong migrate up`, or set `migrate_at_start`")]
    Pending(&'static str),
    /// The newest step cannot be taken back.
    #[error("the migration {0} cannot be taken back")]
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

/// A step and how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number, from 1.
    pub number: i32,
    /// What it makes.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Done.
    Done,
    /// To be done.
    Pending,
    /// For another kind of server: a sharded cluster.
    NotNeeded,
}

/// How every step stands, in order.
///
/// # Errors
/// When the server does not answer.
pub async fn status(database: &Database) -> Result<Vec<Status>, MigrationError> {
    Ok(Migrations::new(database, LEASE).await?.status().await?)
}

/// Runs the steps that are missing, in order; answers their names.
///
/// # Errors
/// [`MigrationError`]; running it again is safe.
pub async fn up(database: &Database) -> Result<Vec<&'static str>, MigrationError> {
    Migrations::new(database, LEASE).await?.up().await
}

/// Takes back the newest step that is done; answers its name, or `None` when none is.
///
/// # Errors
/// [`MigrationError`]; running it again is safe.
pub async fn down(database: &Database) -> Result<Option<&'static str>, MigrationError> {
    Migrations::new(database, LEASE).await?.down().await
}

/// Makes sure that nothing is missing, and changes nothing.
///
/// # Errors
/// [`MigrationError::Pending`] when something is.
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
    /// Where to stop as if killed: after so many writes.
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
        // Without a lock, so that a start with nothing to do waits for nobody.
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
        // The note goes first: cut off after it, the step is pending and can be run again.
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

    /// Takes the lock, or waits until its holder gives it back or its lease ends.
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

    /// By the clock of the server, so that the clocks of the nodes do not matter.
    async fn try_lock(&self) -> Result<bool, Error> {
        let long_ago = doc! { "$setOnInsert": { "until": DateTime::from_millis(0) } };
        let create = self.done.update_one(doc! { "_id": LOCK }, long_ago);
        match create.upsert(true).await {
            // Two created it at once.
            Err(error) if is_duplicate(&error) => {}
            outcome => drop(outcome?),
        }
        let is_free = doc! { "$lte": ["$until", "$$NOW"] };
        let free = doc! { "_id": LOCK, "$expr": is_free };
        let take = self.done.update_one(free, vec![self.hold()]).await?;
        Ok(take.matched_count > 0)
    }

    /// Makes the lease new, unless another node took over meanwhile.
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
        // If it cannot be given back now, its lease ends by itself.
        let _ = self.done.delete_one(own).await;
        outcome
    }

    /// Ends here as if killed, when the test said so.
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
