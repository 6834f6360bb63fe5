//! The embedded store against the suite of every store, and against what only it can suffer.

mod crash;
mod disk;
mod journal;
mod media;
mod model;
mod open;
mod queue;
mod rate;
mod secrecy;

use std::{sync::Arc, time::Duration};

use nowrong_store::{conformance::Subject, store_conformance};
use tempfile::TempDir;

use super::{EmbeddedStore, journal::Filing};

/// Files without end, in steps as small as can be: whatever is done meets every stage of a pass.
const RESTLESS: Filing = Filing {
    bytes: 0,
    age: Duration::ZERO,
    rate: 0,
};

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

mod filing {
    use super::*;

    async fn empty() -> (Subject, ()) {
        (Arc::new(super::super::open::memory(RESTLESS).unwrap()), ())
    }

    store_conformance!(empty);
}
