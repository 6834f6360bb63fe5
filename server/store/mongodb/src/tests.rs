//! The store on MongoDB, on a real server: the suite of every store, and faults that only it can
//! have.

mod anchor;
mod epochs;
mod expiry;
mod explain;
mod fault;
mod open;
mod oplog;
mod shredded;
mod tokens;
mod wrapped;

use std::sync::Arc;

use nowrong_store::{conformance::Subject, store_conformance};

use super::{
    MongoOptions, MongoStore, migration,
    testing::{open, options, shared},
};

store_conformance!(empty);

/// An empty store in a new database on the server that all tests share.
async fn empty() -> (Subject, ()) {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    (Arc::new(store), ())
}
