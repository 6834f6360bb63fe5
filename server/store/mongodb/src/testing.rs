//! Databases on the server that all tests share, for tests of this crate and of the crates that use
//! it.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use std::time::Duration;

use mongodb::bson::Document;
use nowrong_base::{privacy::Redacted, random};
use nowrong_protocol::ChatId;
use services::shared::{Setting, find};

use super::{
    MongoOptions, MongoStore,
    record::{CHATS, KEYS, chat_key},
};

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
    let store = open(url).await;
    let keys = store.database().collection::<Document>(KEYS);
    let shredded = keys.delete_one(doc! { "_id": chat_key(chat) });
    assert_eq!(shredded.await.unwrap().deleted_count, 1);
}

/// Makes the document of a chat in the database at `url` unreadable.
///
/// # Panics
/// When there is no such chat.
pub async fn garble(url: &str, chat: ChatId) {
    let store = open(url).await;
    let chats = store.database().collection::<Document>(CHATS);
    let garbled = doc! { "$set": { "epochs": ["garbled"] } };
    let garbled = chats.update_one(doc! { "_id": chat_key(chat) }, garbled);
    assert_eq!(garbled.await.unwrap().modified_count, 1);
}

async fn open(url: &str) -> MongoStore {
    let options = MongoOptions {
        url: Redacted::new(url.to_owned()),
        connections_max: 1,
        timeout: Duration::from_secs(30),
    };
    MongoStore::open(&options).await.unwrap()
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
    }
}
