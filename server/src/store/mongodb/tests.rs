//! The store on MongoDB against the suite of every store, on a real server, and against what only
//! it can suffer.

mod epochs;
mod expiry;
mod explain;
mod fault;
mod open;
mod shredded;

use std::{sync::Arc, time::Duration};

use services::shared::{Setting, find};

use super::{MongoOptions, MongoStore, migration};
use crate::{
    privacy::Redacted,
    random,
    store::conformance::{Subject, store_conformance},
};

store_conformance!(empty);

/// An empty store in a database of its own on the server that all tests share.
async fn empty() -> (Subject, ()) {
    let store = MongoStore::open(&shared()).await.unwrap();
    migration::up(store.database()).await.unwrap();
    (Arc::new(store), ())
}

/// A database of its own on the shared server.
pub(crate) fn shared() -> MongoOptions {
    options(&find(Setting::Mongodb).unwrap())
}

/// A new database on the server at `url`, as `services` names it.
fn options(url: &str) -> MongoOptions {
    let name = random::bytes::<8>().map(|byte| format!("{byte:02x}"));
    let url = url.replace("/?", &format!("/test_{}?", name.concat()));
    MongoOptions {
        url: Redacted::new(url),
        connections_max: 32,
        // Generous: machines that run tests are busy.
        timeout: Duration::from_secs(30),
    }
}
