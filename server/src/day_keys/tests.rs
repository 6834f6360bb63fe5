//! Nodes that share their keys through a real Redis, restart, and lose what they can lose.

use std::{collections::HashSet, sync::atomic::AtomicU32};

use nowrong_broker::{Nodes as _, local::LocalBroker};
use nowrong_broker_redis::{
    RedisBroker,
    testing::{Server, node_at},
};
use nowrong_core::{
    day_keys::{LEAD_MS, WRAPS_MS},
    node::NodeStatus,
};
use nowrong_protocol::UserId;

use nowrong_store::{
    ChatStore as _, Opening, UserStore as _,
    conformance::{DAY, chat, tickets, user},
};
use nowrong_store_mongodb::{MongoStore, migration, testing::shared};

use super::*;

fn secret(text: &str) -> ClusterSecret {
    ClusterSecret::new(text.repeat(32)).unwrap()
}

/// A node with this folder, on this broker.
async fn node(
    folder: &Path,
    broker: &Arc<RedisBroker>,
    clock: &Clock,
) -> anyhow::Result<Arc<NodeKeys>> {
    let keys = NodeKeys::new(&secret("s"), clock.clone());
    keys.begin(on_redis(folder, broker), true).await?;
    Ok(keys)
}

fn on_redis<'a>(folder: &'a Path, broker: &Arc<RedisBroker>) -> KeyPlace<'a> {
    KeyPlace {
        folder: Some(folder),
        broker: broker.clone(),
        is_shared: true,
    }
}

fn on_its_own(folder: &Path) -> KeyPlace<'_> {
    KeyPlace {
        folder: Some(folder),
        broker: LocalBroker::new(),
        is_shared: false,
    }
}

async fn alone(folder: &Path, text: &str, clock: &Clock) -> anyhow::Result<Arc<NodeKeys>> {
    let keys = NodeKeys::new(&secret(text), clock.clone());
    keys.begin(on_its_own(folder), false).await?;
    Ok(keys)
}

fn serves(broker: &RedisBroker) {
    broker.set_status(NodeStatus {
        capacity: 1,
        ..NodeStatus::default()
    });
}

/// Waits until `one` sees that another node serves.
async fn sees_another(one: &RedisBroker) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !one
        .nodes()
        .iter()
        .any(|node| node.id != one.id() && node.status.capacity > 0)
    {
        assert!(Instant::now() < deadline, "it sees nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn ids(keys: &NodeKeys) -> HashSet<DayKeyId> {
    lock(&keys.state).ids()
}

fn wraps(keys: &NodeKeys) -> DayKeyId {
    keys.wrapping().unwrap().id
}

/// A store without accounts, which counts how often it was walked.
#[derive(Default)]
struct NoAccounts(AtomicU32);

#[async_trait]
impl WrappingStore for NoAccounts {
    async fn knows_secret(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn has_accounts(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn wrap_clear(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn rewrap(
        &self,
        after: Option<UserId>,
        _limit: usize,
    ) -> Result<Option<UserId>, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(match after {
            None => Some(UserId::from_bytes([1; 16])),
            Some(_) => None,
        })
    }
}

#[tokio::test]
async fn a_node_starts_again_with_the_keys_of_its_folder() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::default());
    let first = alone(folder.path(), "s", &clock).await.unwrap();
    let again = alone(folder.path(), "s", &clock).await.unwrap();
    assert_eq!((wraps(&first), ids(&first)), (wraps(&again), ids(&again)));
    let error = alone(folder.path(), "x", &clock)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("`cluster_secret` is not the one"),
        "{error}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let other = alone(elsewhere.path(), "s", &clock).await.unwrap();
    assert_ne!(wraps(&first), wraps(&other));
    assert_eq!(other.ask().await, Asked::Alone);
}

#[tokio::test]
async fn a_node_that_cannot_write_its_folder_says_so_and_wraps_nothing() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::default());
    let taken = folder.path().join("file");
    std::fs::write(&taken, "").unwrap();
    let keys = NodeKeys::new(&secret("s"), clock);
    let begun = keys.begin(on_its_own(&taken), true).await;
    let error = format!("{:#}", begun.unwrap_err());
    assert!(error.contains("day keys"), "{error}");
    assert_eq!(keys.wrapping(), None);
}

#[tokio::test]
async fn nodes_share_their_keys_also_after_redis_was_emptied() {
    let (server, clock) = (Server::start(&[]), Clock::default());
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let brokers = [
        node_at(&server.url(), "x").await,
        node_at(&server.url(), "x").await,
    ];
    let one = node(folders[0].path(), &brokers[0], &clock).await.unwrap();
    serves(&brokers[0]);
    let two = node(folders[1].path(), &brokers[1], &clock).await.unwrap();
    assert_eq!(ids(&one), ids(&two), "the second took the key of the first");
    server.redis.ask(&["FLUSHALL"]).unwrap();
    // Both brokers renew their leases; the third node finds nodes that serve, and no key.
    sees_another(&brokers[1]).await;
    let third = node_at(&server.url(), "x").await;
    sees_another(&third).await;
    let coming = tokio::spawn({
        let (folder, clock) = (folders[2].path().to_owned(), clock.clone());
        async move { node(&folder, &third, &clock).await }
    });
    one.tick().await;
    let three = coming.await.unwrap().unwrap();
    assert_eq!(ids(&three), ids(&one));
    // Nobody but its own folder has this key any more.
    server.redis.ask(&["FLUSHALL"]).unwrap();
    let again = node(folders[1].path(), &brokers[1], &clock).await.unwrap();
    assert_eq!(ids(&again), ids(&one));
}

#[tokio::test]
async fn where_something_is_stored_a_key_is_waited_for_even_when_nobody_is_seen() {
    let (server, clock) = (Server::start(&[]), Clock::default());
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let broker = node_at(&server.url(), "x").await;
    let one = node(folders[0].path(), &broker, &clock).await.unwrap();
    // The first node has told nobody that it serves, and Redis knows neither lease nor key.
    server.redis.ask(&["FLUSHALL"]).unwrap();
    let second = node_at(&server.url(), "x").await;
    let two = NodeKeys::new(&secret("s"), clock);
    let begun = two.begin(on_redis(folders[1].path(), &second), false);
    // It waits, so the other one can do its next tick.
    let (begun, ()) = tokio::join!(begun, one.tick());
    begun.unwrap();
    assert_eq!(ids(&two), ids(&one));
}

#[tokio::test]
async fn a_node_that_gets_no_key_of_the_others_or_has_another_secret_does_not_start() {
    let (server, clock) = (Server::start(&[]), Clock::default());
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (
        node_at(&server.url(), "x").await,
        node_at(&server.url(), "x").await,
    );
    serves(&first);
    sees_another(&second).await;
    let nothing = node(folder.path(), &second, &clock).await.unwrap_err();
    assert!(
        nothing.to_string().contains("none of their day keys"),
        "{nothing}"
    );

    let elsewhere = tempfile::tempdir().unwrap();
    node(elsewhere.path(), &first, &clock).await.unwrap();
    let keys = NodeKeys::new(&secret("x"), clock);
    let begun = keys.begin(on_redis(folder.path(), &second), true).await;
    let error = begun.unwrap_err().to_string();
    assert!(
        error.starts_with("`cluster_secret` is not that of the other nodes"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_that_were_left_under_a_secret_that_was_given_up_stop_nobody() {
    let (server, clock) = (Server::start(&[]), Clock::default());
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let broker = node_at(&server.url(), "x").await;
    let old = node(folders[0].path(), &broker, &clock).await.unwrap();
    let new = NodeKeys::new(&secret("x"), clock);
    let begun = new.begin(on_redis(folders[1].path(), &broker), true).await;
    begun.unwrap();
    assert_ne!(wraps(&new), wraps(&old));
    assert_eq!(lock(&new.state).strange, 1);
}

#[tokio::test]
async fn a_damaged_file_is_one_sentence_that_says_what_to_do() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::default());
    alone(folder.path(), "s", &clock).await.unwrap();
    let file = KeyFile::in_folder(folder.path()).path();
    let whole = std::fs::read(&file).unwrap();
    for damaged in [&whole[1..], &[&whole[..], &[0]].concat()] {
        std::fs::write(&file, damaged).unwrap();
        let error = alone(folder.path(), "s", &clock).await.unwrap_err();
        let said = format!("{error:#}");
        assert!(
            said.contains("day-keys") && said.contains("remove the file"),
            "{said}"
        );
    }
    let mut changed = whole;
    changed[20] ^= 1;
    std::fs::write(&file, &changed).unwrap();
    let said = alone(folder.path(), "s", &clock)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.starts_with("`cluster_secret` is not the one"),
        "{said}"
    );
}

#[tokio::test]
async fn two_that_are_first_at_once_both_come_up_and_know_both_keys() {
    let (server, clock) = (Server::start(&[]), Clock::default());
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (one, two) = (
        node_at(&server.url(), "x").await,
        node_at(&server.url(), "x").await,
    );
    let (one, two) = tokio::join!(
        node(folders[0].path(), &one, &clock),
        node(folders[1].path(), &two, &clock),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    one.tick().await;
    two.tick().await;
    assert_eq!(ids(&one), ids(&two));
    assert_eq!(one.ask().await, Asked::Answered);
}

#[tokio::test]
async fn a_key_that_redis_does_not_have_yet_does_not_wrap() {
    let (mut server, clock) = (Server::start(&[]), Clock::default());
    let folder = tempfile::tempdir().unwrap();
    let broker = node_at(&server.url(), "x").await;
    let keys = node(folder.path(), &broker, &clock).await.unwrap();
    let first = wraps(&keys);
    server.redis.kill().unwrap();
    clock.advance(Duration::from_millis(WRAPS_MS - LEAD_MS));
    keys.tick().await;
    assert_eq!(ids(&keys).len(), 2, "the next one is made");
    assert_eq!(keys.ask().await, Asked::Unanswered);
    clock.advance(Duration::from_millis(LEAD_MS));
    assert_eq!(wraps(&keys), first, "but only this one is with Redis");
}

#[tokio::test]
async fn a_key_is_destroyed_everywhere_after_a_walk_and_not_by_a_time_that_is_not_sure() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::default());
    let keys = alone(folder.path(), "s", &clock).await.unwrap();
    let (first, store) = (wraps(&keys), NoAccounts::default());
    let begun = clock.now();
    let dies_at = keys.get(first).unwrap().dies_at();
    for _ in 0..3 {
        clock.advance(Duration::from_millis(WRAPS_MS - LEAD_MS));
        keys.tick().await;
        keys.tidy(&store, begun).await;
    }
    assert!(
        keys.get(first).is_some(),
        "by the horizon no time has passed"
    );
    assert_eq!(store.0.load(Ordering::Relaxed), 0);
    keys.tidy(&store, dies_at - 1).await;
    assert_eq!(store.0.load(Ordering::Relaxed), 2, "the walk, in two steps");
    assert!(keys.get(first).is_some());
    keys.tidy(&store, dies_at).await;
    assert_eq!(keys.get(first), None);
    let file = KeyFile::in_folder(folder.path());
    let left = file.read().unwrap();
    let left = left
        .iter()
        .filter_map(|sealed| sealed::open(&keys.under, sealed));
    assert_eq!(left.map(|key| key.id).collect::<HashSet<_>>(), ids(&keys));
}

/// A store on a real MongoDB whose keys are those of a node.
async fn wrapping_store(folder: &Path, clock: &Clock) -> (MongoStore, Arc<NodeKeys>) {
    let keys = alone(folder, "s", clock).await.unwrap();
    let store = MongoStore::open(&shared(), keys.clone()).await.unwrap();
    migration::up(store.database()).await.unwrap();
    (store, keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_days_accounts_and_chats_stay_readable_while_their_keys_come_and_go() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::default());
    let (store, keys) = wrapping_store(folder.path(), &clock).await;
    let first = wraps(&keys);
    let mut ada = user(1, "Ada");
    ada.expires_at = clock.now() + 30 * DAY;
    store.create_user(&ada).await.unwrap();
    let mut open = Vec::new();
    for hour in 0..150_u64 {
        clock.advance(Duration::from_secs(60 * 60));
        keys.tick().await;
        keys.tidy(&store, clock.now()).await;
        let now = clock.now();
        if hour % 5 == 0 {
            let number = 1 + hour / 5;
            let mut one = chat(number, &[100 + number, 200 + number]);
            (one.started_at, one.expires_at) = (now, now + DAY);
            let opened = store.open_chat(&one, &tickets()).await.unwrap();
            assert_eq!(opened, Opening::Opened);
            open.push(one);
        }
        open.retain(|chat| chat.expires_at > now);
        for one in &open {
            let found = store.chat(one.id, now).await.unwrap();
            assert_eq!(found.as_ref(), Some(one), "after {hour} hours");
        }
        let found = store.user(ada.id, now).await.unwrap();
        assert_eq!(found.as_ref(), Some(&ada), "after {hour} hours");
        assert!(ids(&keys).len() <= 4, "{keys:?}");
    }
    assert_eq!(keys.get(first), None, "it was destroyed");
}
