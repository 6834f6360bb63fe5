//! The embedded store: the suite of every store, and faults that only it can have.

mod audit;
mod conversion;
mod crash;
mod disk;
mod journal;
mod media;
mod model;
mod open;
mod queue;
mod rate;
mod renewal;
mod secrecy;
mod tokens;

use std::{sync::Arc, time::Duration};

use nowrong_store::{conformance::Subject, store_conformance};
use tempfile::TempDir;

use super::{EmbeddedStore, journal::Filing};

/// Files all the time, in the smallest possible steps, so that every operation meets every stage of
/// a pass.
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
