//! Databases on the server that all tests share, for tests of this crate and of the crates that use
//! it.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mongodb::bson::Document;
use nowrong_base::{privacy::Redacted, random, secret::ClusterSecret};
use nowrong_core::day_keys::{DayKey, DayKeyId};
use nowrong_protocol::ChatId;
use nowrong_store::wrapping::{Asked, DayKeys};
use services::shared::{Setting, find};

use super::{
    MongoOptions, MongoStore,
    record::{CHATS, KEYS, chat_key},
};

mod spy;

pub use spy::{SealedBody, Spy};

/// For commands to a server.
pub use mongodb::bson::doc;

/// A database of its own on the shared server.
pub fn shared() -> MongoOptions {
    options(&find(Setting::Mongodb).unwrap())
}

/// Destroys the key of a chat in the database at `url`, as a sweep or an operator would.
///
/// # Panics
/// When there is no such key.
pub async fn shred(url: &str, chat: ChatId) {
    let store = open_at(url).await;
    let keys = store.database().collection::<Document>(KEYS);
    let shredded = keys.delete_one(doc! { "_id": chat_key(chat) });
    assert_eq!(shredded.await.unwrap().deleted_count, 1);
}

/// Makes the document of a chat in the database at `url` unreadable.
///
/// # Panics
/// When there is no such chat.
pub async fn garble(url: &str, chat: ChatId) {
    let store = open_at(url).await;
    let chats = store.database().collection::<Document>(CHATS);
    let garbled = doc! { "$set": { "epochs": ["garbled"] } };
    let garbled = chats.update_one(doc! { "_id": chat_key(chat) }, garbled);
    assert_eq!(garbled.await.unwrap().modified_count, 1);
}

async fn open_at(url: &str) -> MongoStore {
    let options = MongoOptions {
        url: Redacted::new(url.to_owned()),
        connections_max: 1,
        timeout: Duration::from_secs(30),
        secret: secret(),
    };
    open(&options).await
}

/// The store with these options, and with keys for tests.
///
/// # Panics
/// When it cannot be opened.
pub async fn open(options: &MongoOptions) -> MongoStore {
    MongoStore::open(options, Arc::new(TestKeys::default()))
        .await
        .unwrap()
}

/// The secret of all tests.
///
/// # Panics
/// Never.
pub fn secret() -> ClusterSecret {
    ClusterSecret::new(services::CLUSTER_SECRET.to_owned()).unwrap()
}

/// Day keys for tests: always the same one, unless it is forgotten or replaced.
#[derive(Debug, Default)]
pub struct TestKeys {
    newest: AtomicU32,
    is_forgotten: AtomicBool,
    is_alone: bool,
    asked: AtomicU32,
}

impl TestKeys {
    /// Those of a node without others.
    pub fn alone() -> Self {
        Self {
            is_alone: true,
            ..Self::default()
        }
    }

    /// From now on no key is known.
    pub fn forget(&self) {
        self.is_forgotten.store(true, Ordering::Relaxed);
    }

    /// From now on they are known again.
    pub fn remember(&self) {
        self.is_forgotten.store(false, Ordering::Relaxed);
    }

    /// From now on another key wraps. Returns its name.
    pub fn turn(&self) -> DayKeyId {
        self.newest.fetch_add(1, Ordering::Relaxed);
        self.newest().id
    }

    /// How often others were asked.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    fn newest(&self) -> DayKey {
        key(self.newest.load(Ordering::Relaxed))
    }
}

fn key(number: u32) -> DayKey {
    let mut id = [0; 8];
    id[..4].copy_from_slice(&number.to_be_bytes());
    DayKey {
        id: DayKeyId(id),
        bytes: [number as u8; 32],
        wraps_from: 0,
    }
}

#[async_trait]
impl DayKeys for TestKeys {
    fn wrapping(&self) -> Option<DayKey> {
        let is_known = !self.is_forgotten.load(Ordering::Relaxed);
        is_known.then(|| self.newest())
    }

    fn get(&self, id: DayKeyId) -> Option<DayKey> {
        let is_known = !self.is_forgotten.load(Ordering::Relaxed);
        let mut all = (0..=self.newest.load(Ordering::Relaxed)).map(key);
        all.find(|key| is_known && key.id == id)
    }

    async fn ask(&self) -> Asked {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.is_alone {
            true => Asked::Alone,
            false => Asked::Answered,
        }
    }
}

/// A new database on the server at `url`, as `services` names it.
pub(crate) fn options(url: &str) -> MongoOptions {
    let name = random::bytes::<8>().map(|byte| format!("{byte:02x}"));
    let url = url.replace("/?", &format!("/test_{}?", name.concat()));
    MongoOptions {
        url: Redacted::new(url),
        connections_max: 32,
        // Generous: machines that run tests are busy.
        timeout: Duration::from_secs(30),
        secret: secret(),
    }
}
