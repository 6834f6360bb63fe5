//! The embedded store against the suite of every store, and against what only it can suffer.

mod crash;
mod disk;
mod media;
mod model;
mod open;
mod queue;
mod rate;
mod secrecy;

use std::sync::Arc;

use tempfile::TempDir;

use super::EmbeddedStore;
use crate::store::conformance::{Subject, store_conformance};

mod in_memory {
    use super::*;

    async fn empty() -> (Subject, ()) {
        (Arc::new(EmbeddedStore::in_memory().unwrap()), ())
    }

    store_conformance!(empty);
}

mod on_file {
    use super::*;

    async fn empty() -> (Subject, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Arc::new(EmbeddedStore::open(dir.path()).unwrap()), dir)
    }

    store_conformance!(empty);
}
