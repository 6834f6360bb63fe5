//! Migrations: killed at any point, run by many nodes, undone.

use std::sync::{Arc, atomic::AtomicI32};

use super::{MigrationError, Migrations, State, down, require, status, up};
use crate::testing::{open, shared};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use std::time::Duration;

/// The steps that one server needs.
const NAMES: [&str; 5] = [
    "collections",
    "expiry",
    "spent tickets",
    "wrapped people",
    "tokens of accounts",
];

/// Longer than a step in a test, and short to wait for.
const LEASE: Duration = Duration::from_millis(500);

async fn database() -> Database {
    let store = open(&shared()).await;
    store.database().clone()
}

/// The result of the steps: collections with their validators and indexes.
async fn shape(database: &Database) -> Vec<String> {
    let list = doc! { "listCollections": 1, "cursor": { "batchSize": 1_000 } };
    let listed = database.run_command(list).await.unwrap();
    let listed = listed.get_document("cursor").unwrap();
    let mut shape = Vec::new();
    for collection in listed.get_array("firstBatch").unwrap() {
        let collection = collection.as_document().unwrap();
        let name = collection.get_str("name").unwrap();
        if name.starts_with("_m") {
            continue;
        }
        let indexes = doc! { "listIndexes": name };
        let indexes = database.run_command(indexes).await.unwrap();
        let indexes = indexes.get_document("cursor").unwrap();
        let mut indexes: Vec<String> = indexes
            .get_array("firstBatch")
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        indexes.sort();
        let options: &Document = collection.get_document("options").unwrap();
        shape.push(format!("{name} {options} {indexes:?}"));
    }
    shape.sort();
    shape
}

async fn states(database: &Database) -> Vec<State> {
    let all = status(database).await.unwrap();
    all.iter().map(|step| step.state).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_command_and_run_again_it_ends_right() {
    let whole = database().await;
    up(&whole).await.unwrap();
    let expected = shape(&whole).await;
    assert_eq!(expected.len(), 12);
    let database = database().await;
    let mut cuts = 0;
    loop {
        let mut cut = Migrations::new(&database, LEASE).await.unwrap();
        // Each run is cut later than the one before, and continues what that one left.
        cut.cut_after = Some(Arc::new(AtomicI32::new(cuts)));
        match cut.up().await {
            Err(MigrationError::CutOff) => cuts += 3,
            outcome => break drop(outcome.unwrap()),
        }
    }
    assert!(cuts > 9, "{cuts}");
    assert_eq!(shape(&database).await, expected);
    assert_eq!(
        states(&database).await,
        [
            State::Done,
            State::Done,
            State::NotNeeded,
            State::Done,
            State::Done,
            State::Done
        ]
    );
    require(&database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_start_at_once_one_migrates() {
    let database = database().await;
    let ups: Vec<_> = (0..5)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { up(&database).await.unwrap() })
        })
        .collect();
    let mut names = Vec::new();
    for one in ups {
        names.extend(one.await.unwrap());
    }
    assert_eq!(names, NAMES);
    assert_eq!(up(&database).await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_are_taken_back_from_the_newest_and_run_again() {
    let database = database().await;
    assert!(matches!(
        require(&database).await,
        Err(MigrationError::Pending("collections"))
    ));
    assert_eq!(down(&database).await.unwrap(), None);
    up(&database).await.unwrap();
    let expected = shape(&database).await;
    assert_eq!(down(&database).await.unwrap(), Some("tokens of accounts"));
    assert_eq!(down(&database).await.unwrap(), Some("wrapped people"));
    assert_eq!(down(&database).await.unwrap(), Some("spent tickets"));
    assert_eq!(down(&database).await.unwrap(), Some("expiry"));
    assert_eq!(
        states(&database).await,
        [
            State::Done,
            State::Pending,
            State::NotNeeded,
            State::Pending,
            State::Pending,
            State::Pending
        ]
    );
    assert!(
        !shape(&database)
            .await
            .concat()
            .contains("expireAfterSeconds")
    );
    assert_eq!(down(&database).await.unwrap(), Some("collections"));
    assert!(!shape(&database).await.concat().contains("jsonSchema"));
    assert_eq!(up(&database).await.unwrap(), NAMES);
    assert_eq!(shape(&database).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_lock_is_waited_for_until_its_lease_ends() {
    let database = database().await;
    let dead = Migrations::new(&database, LEASE).await.unwrap();
    dead.lock().await.unwrap();
    let next = Migrations::new(&database, LEASE).await.unwrap();
    assert!(!next.try_lock().await.unwrap());
    next.up().await.unwrap();
    assert!(matches!(dead.renew().await, Err(MigrationError::Overtaken)));
}
