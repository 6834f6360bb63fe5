//! Real servers and brokers on them, for tests of this crate and of the crates that use it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses some of it, and a test that cannot start has failed"
)]

use std::sync::Arc;
use std::time::Duration;

use nowrong_base::{metrics::Metrics, random};
use services::{
    redis::Redis,
    shared::{Setting, find},
};
use tempfile::TempDir;

use super::{ConnectError, LEASE, Realm, RedisBroker, RedisUrl, hex};

/// A Redis that one test owns: empty at first, and ended with the test.
pub struct Server {
    /// The server itself.
    pub redis: Redis,
    _folder: TempDir,
}

impl Server {
    /// Starts it with these flags.
    pub fn start(flags: &[&str]) -> Self {
        let program = find(Setting::RedisProgram).expect("the program redis-server");
        let folder = TempDir::new().expect("a folder");
        let redis = Redis::start(program.as_ref(), folder.path(), flags).expect("it starts");
        Self {
            redis,
            _folder: folder,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.redis.url()
    }

    pub(crate) fn ask(&self, words: &[&str]) -> String {
        self.redis.ask(words).expect("redis answers")
    }

    pub(crate) fn calls(&self, name: &str) -> u64 {
        self.redis.calls(name).expect("redis answers")
    }
}

/// A broker with a namespace of its own.
pub(crate) async fn broker_at(url: &str) -> Arc<RedisBroker> {
    let namespace = hex(&random::bytes::<8>());
    node_at(url, &namespace).await
}

/// A broker with this namespace.
pub async fn node_at(url: &str, namespace: &str) -> Arc<RedisBroker> {
    connect(url, namespace).await.expect("redis")
}

pub(crate) async fn connect(url: &str, namespace: &str) -> Result<Arc<RedisBroker>, ConnectError> {
    connect_with(url, namespace, "the store of all tests").await
}

/// As [`connect`], for a node with this store.
pub(crate) async fn connect_with(
    url: &str,
    namespace: &str,
    store: &str,
) -> Result<Arc<RedisBroker>, ConnectError> {
    let url: RedisUrl = url.parse().expect("a URL of Redis");
    let realm = Realm {
        prefix: namespace.parse().expect("a prefix"),
        store: store.to_owned(),
    };
    RedisBroker::connect(&url, &realm, &Metrics::default()).await
}

/// Asks until the answer is `wanted`, which takes at most a lease and two renewals.
pub async fn eventually<T, F>(wanted: T, ask: impl Fn() -> F)
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = T>,
{
    let asking = async {
        let mut answer = ask().await;
        while answer != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = ask().await;
        }
    };
    let deadline = LEASE + Duration::from_secs(10);
    let is_done = tokio::time::timeout(deadline, asking).await.is_ok();
    assert!(is_done, "{:?} instead of {wanted:?}", ask().await);
}
