//! The store on MongoDB, for several nodes that share it, or for one node with its data on another
//! machine.
//!
//! Collections and their keys are defined in `record`, their validators and indexes in `migration`.
//! Every unique rule is an `_id`, and every query of a call names the `_id` or a range that begins
//! with it, so that all rules hold and queries stay targeted when the collections are sharded by
//! `_id`. Only the sweeper and the list of active chats query every shard.
//!
//! **Durability.** Every write waits for a majority of the journals (`w: majority, j: true`).
//! Reads ask the primary for data that a majority has. A deposed primary may return old data for
//! some seconds, which is harmless: every promise depends on a write, and such a primary cannot
//! complete one. Where a read must come after a write or another read (`epochs`, pages of
//! messages), both are in one causally consistent session.
//!
//! **Atomicity.** A change of several documents is one transaction (`transaction`), so a node or a
//! server that dies at any step leaves all of it or nothing, and no half-done state needs repair.
//! The alternative, ordered steps on single documents, would be as safe only with a second set of
//! rules for the meaning of each half. Conflicts are retried from the start, with a growing pause;
//! seats are written lower user id first. A change of one document is one write.
//!
//! **Cancel safety.** Each call runs as a task of its own (`calls`), which continues when the
//! caller is dropped, ends at the configured deadline, and is counted: beyond the bound calls wait,
//! and fail if their deadline comes first. So calls cannot pile up when a server replies slowly.
//!
//! **Secrecy.** The server's oplog, change streams and copies keep what was erased. So the keys of chats,
//! and who people are, are stored only wrapped by a day key that is never stored here (`vault`).
//!
//! **Erasure.** Keys of chats have a collection of their own and decide what is readable: a message
//! is readable while the key of its chat exists and has not expired. TTL indexes remove documents
//! that no sweeper removed. Start reading at [`MongoStore::open`].

#![forbid(unsafe_code)]

mod anchor;
mod calls;
mod categories;
mod chats;
mod convert;
mod epochs;
mod fault;
mod messages;
pub mod migration;
mod open;
mod oplog;
mod record;
mod seats;
mod secrets;
mod sweep;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tokens;
mod transaction;
mod users;
mod vault;

use std::sync::{Arc, atomic::AtomicBool};

use futures_util::future::BoxFuture;
use mongodb::{
    Client, Collection, Database,
    bson::{Document, doc},
    options::ClientOptions,
};
use nowrong_base::metrics::{CallMetrics, Metrics};
use nowrong_store::{StoreError, wrapping::DayKeys};

use self::{
    calls::Calls,
    fault::Fault,
    record::{
        BlockRecord, CategoryRecord, ChatRecord, FamilyRecord, KeyRecord, MessageRecord,
        PartnersRecord, SeatRecord, TokenRecord, UserRecord, UsernameRecord,
    },
    transaction::Transaction,
    vault::Vault,
};
pub use open::{MongoOptions, OpenError, is_connection_string, key_file};

/// The store on MongoDB. When it is dropped, running calls still end by themselves; [`close`] waits
/// for them.
///
/// [`close`]: nowrong_store::MessageStore::close
#[derive(Debug)]
pub struct MongoStore {
    shared: Arc<Shared>,
    calls: Calls,
    metrics: CallMetrics,
}

impl MongoStore {
    /// Connects, and makes sure that the store can keep its promises on this MongoDB. The
    /// collections must be those made by [`migration`]. `keys` wrap what is stored; they may come later.
    ///
    /// # Errors
    /// [`OpenError`], one sentence that names the setting, within the timeout of `options` and a
    /// few seconds.
    pub async fn open(options: &MongoOptions, keys: Arc<dyn DayKeys>) -> Result<Self, OpenError> {
        Self::open_tuned(options, keys, |_| {}).await
    }

    async fn open_tuned(
        options: &MongoOptions,
        keys: Arc<dyn DayKeys>,
        tune: impl FnOnce(&mut ClientOptions),
    ) -> Result<Self, OpenError> {
        let database = open::connect(options, tune).await?;
        Ok(Self {
            shared: Arc::new(Shared::new(database, Vault::new(&options.secret, keys))),
            calls: Calls::new(options.connections_max, options.timeout),
            metrics: CallMetrics::default(),
        })
    }

    /// The store, with these metrics for the time and the failures of its calls.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = CallMetrics::registered(metrics, "store");
        self
    }

    /// The database, for [`migration`].
    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// Runs `work` as a task of its own, within the deadline.
    async fn call<T, Fut>(
        &self,
        call: &'static str,
        work: impl FnOnce(Arc<Shared>) -> Fut,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let run = self.calls.run(work(Arc::clone(&self.shared)));
        self.metrics.measure(call, run).await
    }

    /// Runs `work` in a transaction, as a task of its own; repeats it after each conflict with
    /// another transaction.
    async fn transact<T, F>(&self, call: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Transaction) -> BoxFuture<'a, Result<T, Fault>>
            + Send
            + Sync
            + 'static,
    {
        self.call(call, |shared| transaction::run(shared, work))
            .await
    }

    /// Waits for running calls, refuses later ones, and closes the connections.
    async fn shut(&self) {
        self.calls.close().await;
        self.shared.client.clone().shutdown().immediate(true).await;
    }
}

/// The collections, by their content.
#[derive(Debug)]
struct Shared {
    client: Client,
    database: Database,
    vault: Vault,
    users: Collection<UserRecord>,
    usernames: Collection<UsernameRecord>,
    categories: Collection<CategoryRecord>,
    chats: Collection<ChatRecord>,
    keys: Collection<KeyRecord>,
    seats: Collection<SeatRecord>,
    messages: Collection<MessageRecord>,
    tokens: Collection<TokenRecord>,
    families: Collection<FamilyRecord>,
    blocks: Collection<BlockRecord>,
    partners: Collection<PartnersRecord>,
    checks: Collection<Document>,
    /// Whether it was said that the oplog may not be read.
    is_oplog_closed: AtomicBool,
}

impl Shared {
    fn new(database: Database, vault: Vault) -> Self {
        Self {
            client: database.client().clone(),
            users: database.collection(record::USERS),
            usernames: database.collection(record::USERNAMES),
            categories: database.collection(record::CATEGORIES),
            chats: database.collection(record::CHATS),
            keys: database.collection(record::KEYS),
            seats: database.collection(record::SEATS),
            messages: database.collection(record::MESSAGES),
            tokens: database.collection(record::TOKENS),
            families: database.collection(record::FAMILIES),
            blocks: database.collection(record::BLOCKS),
            partners: database.collection(record::PARTNERS),
            checks: database.collection(record::CHECKS),
            is_oplog_closed: AtomicBool::new(false),
            database,
            vault,
        }
    }

    /// Writes something, to check whether writes work.
    async fn check(&self) -> Result<(), Fault> {
        let touch = doc! { "$currentDate": { "at": true } };
        let check = self.checks.update_one(doc! { "_id": "check" }, touch);
        check.upsert(true).await?;
        Ok(())
    }
}
