//! The timekeeper with a real store and a clock that the test sets.

use std::path::PathBuf;

use nowrong_base::clock::MachineShift;
use nowrong_broker::local::LocalBroker;
use nowrong_broker_redis::testing::{Server, node_at};
use nowrong_store::MessageStore as _;
use nowrong_store_embedded::EmbeddedStore;
use nowrong_store_mongodb::{
    MongoStore, migration,
    testing::{open, shared},
};

use super::*;
use crate::disk::Disk;

const BOUNDS: Bounds = Bounds {
    off_max_ms: 60_000,
    hold_ms: 600_000,
};
const HOUR_MS: i64 = 3_600_000;

/// A machine's clock that a test makes wrong.
struct Machine {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Machine {
    fn ahead(ahead_ms: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let machine = Self {
            path,
            _folder: folder,
        };
        machine.jump(ahead_ms);
        machine
    }

    fn jump(&self, ahead_ms: i64) {
        std::fs::write(&self.path, ahead_ms.to_string()).unwrap();
    }

    fn clock(&self) -> Clock {
        Clock::with_machine(MachineShift::File(self.path.clone()))
    }
}

async fn mongodb() -> Arc<MongoStore> {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    Arc::new(store)
}

async fn keeper(store: Arc<dyn Store>, clock: &Clock) -> anyhow::Result<Arc<Timekeeper>> {
    let start = Start::learn(&*store, clock, BOUNDS).await?;
    let identity = store.identity().await?;
    let env = Environment {
        store,
        broker: LocalBroker::new(),
        clock: clock.clone(),
        metrics: Arc::default(),
        disk: Disk::none(),
    };
    Ok(Timekeeper::start(start, env, identity).await)
}

/// How far two times are apart, in seconds.
fn apart(one: UnixMs, other: UnixMs) -> u64 {
    one.abs_diff(other) / 1_000
}

#[tokio::test]
async fn the_stores_time_counts_and_a_machine_that_is_off_beyond_the_bound_does_not_start() {
    let store = mongodb().await;
    for (ahead_ms, starts) in [
        (45_000, true),
        (-45_000, true),
        (75_000, false),
        (-75_000, false),
        (25 * HOUR_MS, false),
        (-25 * HOUR_MS, false),
    ] {
        let clock = Machine::ahead(ahead_ms).clock();
        let keeper = keeper(store.clone(), &clock).await;
        let Ok(keeper) = keeper else {
            let error = keeper.err().unwrap();
            assert!(!starts, "{ahead_ms}: {error}");
            assert!(error.is::<StoodAside>(), "{error}");
            continue;
        };
        assert!(starts, "{ahead_ms}");
        let said = Anchor::time(&*store).await.unwrap().unwrap();
        assert!(apart(clock.now(), said) < 5, "its time is the store's");
        assert!(keeper.horizon().await.unwrap() <= said + 5_000);
    }
}

#[tokio::test]
async fn g8_a_machine_whose_clock_jumps_sweeps_by_the_stores_time_and_then_leaves() {
    let store = mongodb().await;
    for ahead_ms in [25 * HOUR_MS, -25 * HOUR_MS] {
        let machine = Machine::ahead(0);
        let clock = machine.clock();
        let keeper = keeper(store.clone(), &clock).await.unwrap();
        machine.jump(ahead_ms);
        keeper.look().await;
        let horizon = keeper.horizon().await.expect("its time is still right");
        let said = Anchor::time(&*store).await.unwrap().unwrap();
        assert!(apart(horizon, said) < 5);
        keeper.look().await;
        let aside = keeper.must_leave().await.to_string();
        assert!(
            aside.contains("`store`") && aside.contains("NTP"),
            "{aside}"
        );
        assert_eq!(keeper.horizon().await, None, "who leaves sweeps nothing");
        assert!(apart(clock.now(), said) < 5, "nor does its time change");
    }
}

#[tokio::test]
async fn g8_a_node_whose_time_differs_from_the_stores_sweeps_nothing() {
    let store = mongodb().await;
    let clock = Machine::ahead(0).clock();
    let keeper = keeper(store.clone(), &clock).await.unwrap();
    assert!(keeper.horizon().await.is_some());
    // As after a jump of the store's clock, seen by a node that has not looked yet.
    clock.begin_at(clock.now() + 25 * HOUR_MS as u64);
    assert_eq!(keeper.horizon().await, None, "before the look, too");
    keeper.look().await;
    assert_eq!(keeper.horizon().await, None);
    store.close().await;
    keeper.look().await;
    assert_eq!(keeper.horizon().await, None, "nor while it cannot ask");
}

#[tokio::test]
async fn a_node_alone_keeps_its_time_when_the_machines_clock_jumps() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
    let machine = Machine::ahead(0);
    let clock = machine.clock();
    let keeper = keeper(store, &clock).await.unwrap();
    let begun = clock.now();
    machine.jump(25 * HOUR_MS);
    keeper.look().await;
    assert!(apart(keeper.horizon().await.unwrap(), begun) < 5);
    machine.jump(-25 * HOUR_MS);
    keeper.look().await;
    assert!(apart(keeper.horizon().await.unwrap(), begun) < 5);
    assert!(apart(clock.now(), begun) < 5);
}

#[tokio::test]
async fn a_node_alone_begins_with_its_data_and_sweeps_nothing_after_a_doubtful_start() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
    let now = Clock::default().now();
    store.sweep(now, 10).await.unwrap();
    let behind = Machine::ahead(-1_000 * HOUR_MS).clock();
    keeper(store.clone(), &behind).await.unwrap();
    assert!(apart(behind.now(), now) < 5, "not before its data");
    let ahead = Machine::ahead(1_000 * HOUR_MS);
    let clock = ahead.clock();
    let keeper = keeper(store, &clock).await.unwrap();
    assert!(
        apart(clock.now(), now) > 3_000,
        "what has expired cannot be read"
    );
    assert_eq!(keeper.horizon().await, None, "but is not erased yet");
    ahead.jump(0);
    keeper.look().await;
    let aside = keeper.must_leave().await.to_string();
    assert!(aside.contains("start it again"), "{aside}");
}

#[tokio::test]
async fn a_database_that_was_replaced_under_a_running_node_is_noticed() {
    let store = mongodb().await;
    let keeper = keeper(store.clone(), &Clock::default()).await.unwrap();
    keeper.check_identity().await;
    assert!(!keeper.is_replaced.load(Ordering::Relaxed));
    store.database().drop().await.unwrap();
    keeper.check_identity().await;
    assert!(keeper.is_replaced.load(Ordering::Relaxed), "it is empty");
    migration::up(store.database()).await.unwrap();
    keeper.check_identity().await;
    assert!(keeper.is_replaced.load(Ordering::Relaxed), "another one");
}

#[tokio::test]
async fn nodes_tell_each_other_how_far_they_are_ahead_of_redis() {
    let server = Server::start(&[]);
    let (one, two) = (
        node_at(&server.url(), "x").await,
        node_at(&server.url(), "x").await,
    );
    let clock = Clock::default();
    let env = Environment {
        store: mongodb().await,
        broker: two,
        clock: clock.clone(),
        metrics: Arc::default(),
        disk: Disk::none(),
    };
    let start = Start::learn(&*env.store, &clock, BOUNDS).await.unwrap();
    let _keeper = Timekeeper::start(start, env, None).await;
    nowrong_broker_redis::testing::eventually(1, || async {
        nowrong_broker::Nodes::aheads(&*one).len()
    })
    .await;
    let (_, ahead_ms) = nowrong_broker::Nodes::aheads(&*one)[0];
    assert!(ahead_ms.abs() < 5_000, "{ahead_ms}");
}
