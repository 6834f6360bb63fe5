//! Transactions: several documents in one step, repeated from the start after a conflict.
//!
//! Reads see one snapshot, writes are committed with a majority or not at all. A lost answer to a
//! commit is safe: committing again is idempotent and returns the outcome. The caller's deadline
//! (`calls`) bounds the repetitions.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use mongodb::{
    ClientSession, Collection,
    bson::{Document, doc, serialize_to_document},
    error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT},
    options::ReadConcern,
};
use nowrong_base::random;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Shared,
    fault::{DUPLICATE_KEY, Fault, write_error},
    record::by_key,
};

/// Longest pause before the second attempt; it doubles with each further one. Conflicting
/// transactions take a few milliseconds.
const PAUSE: Duration = Duration::from_millis(4);

/// How often the pause doubles at most: up to 128 ms, so that a hundred transactions on the same
/// document all succeed within the deadline.
const DOUBLINGS_MAX: u32 = 5;

/// A running transaction.
pub(super) struct Transaction {
    pub(super) shared: Arc<Shared>,
    pub(super) session: ClientSession,
    /// How many attempts were made before.
    pub(super) attempt: u32,
}

/// Runs `work` until it is committed or fails for another reason than a conflict.
pub(super) async fn run<T, F>(shared: Arc<Shared>, work: F) -> Result<T, Fault>
where
    F: for<'a> Fn(&'a mut Transaction) -> BoxFuture<'a, Result<T, Fault>>,
{
    let (value, _session) = run_in_session(shared, work).await?;
    Ok(value)
}

/// As [`run`], but also returns the session: reads in it are not older than the commit.
pub(super) async fn run_in_session<T, F>(
    shared: Arc<Shared>,
    work: F,
) -> Result<(T, ClientSession), Fault>
where
    F: for<'a> Fn(&'a mut Transaction) -> BoxFuture<'a, Result<T, Fault>>,
{
    let session = shared.client.start_session().await?;
    let mut transaction = Transaction {
        shared,
        session,
        attempt: 0,
    };
    loop {
        match transaction.attempt(&work).await {
            Err(fault) if fault.is_conflict() => transaction.pause().await,
            outcome => return Ok((outcome?, transaction.session)),
        }
    }
}

impl Transaction {
    async fn attempt<T, F>(&mut self, work: &F) -> Result<T, Fault>
    where
        F: for<'a> Fn(&'a mut Self) -> BoxFuture<'a, Result<T, Fault>>,
    {
        let start = self.session.start_transaction();
        start.read_concern(ReadConcern::snapshot()).await?;
        match work(self).await {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(fault) => {
                // The server aborts it by itself if this does not reach it.
                let _ = self.session.abort_transaction().await;
                Err(fault)
            }
        }
    }

    async fn commit(&mut self) -> Result<(), Error> {
        loop {
            match self.session.commit_transaction().await {
                Err(error)
                    if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                        && !error.contains_label(TRANSIENT_TRANSACTION_ERROR) =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn pause(&mut self) {
        let longest = PAUSE * 2_u32.pow(self.attempt.min(DOUBLINGS_MAX));
        self.attempt += 1;
        let micros = random::below(longest.as_micros() as u32);
        tokio::time::sleep(Duration::from_micros(micros.into())).await;
    }

    /// The document that matches: by key, like every query of a transaction.
    pub(super) async fn one<T>(
        &mut self,
        collection: &Collection<T>,
        filter: Document,
    ) -> Result<Option<T>, Fault>
    where
        T: DeserializeOwned + Send + Sync,
    {
        let find = collection.find_one(filter).hint(by_key());
        let find = find.session(&mut self.session);
        Ok(find.await?)
    }

    /// All documents that match, by key.
    pub(super) async fn all<T>(
        &mut self,
        collection: &Collection<T>,
        filter: Document,
    ) -> Result<Vec<T>, Fault>
    where
        T: DeserializeOwned + Send + Sync,
    {
        let mut found = Vec::new();
        let find = collection.find(filter).hint(by_key());
        let find = find.session(&mut self.session);
        let mut cursor = find.await?;
        while let Some(document) = cursor.next(&mut self.session).await {
            found.push(document?);
        }
        Ok(found)
    }

    /// Writes each record under its key, whether or not there is one: one command for all of them.
    pub(super) async fn put<T>(
        &mut self,
        collection: &Collection<T>,
        records: &[T],
    ) -> Result<(), Fault>
    where
        T: Serialize + Send + Sync,
    {
        let mut updates = Vec::with_capacity(records.len());
        for record in records {
            let record = serialize_to_document(record).map_err(Error::from)?;
            let key = record.get("_id").cloned();
            updates.push(doc! { "q": { "_id": key }, "u": record, "upsert": true });
        }
        // The driver's own bulk write needs MongoDB 8.
        let command = doc! { "update": collection.name(), "updates": updates };
        let put = self.shared.database.run_command(command);
        match write_error(&put.session(&mut self.session).await?) {
            None => Ok(()),
            Some(DUPLICATE_KEY) => Err(Fault::Conflict),
            Some(_) => Err(Fault::Refused("a write")),
        }
    }
}
