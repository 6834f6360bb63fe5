//! Messages that arrive after the key of their chat was destroyed.

use mongodb::bson::{Document, doc};
use nowrong_store::{
    ChatStore as _, MessageStore as _,
    conformance::{chat, chat_id, message, tickets},
};

use super::{MongoStore, migration, shared};
use crate::record::{KEYS, MESSAGES, chat_key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_what_is_stored_after_the_shredding_is_not_left_behind() {
    let store = MongoStore::open(&shared()).await.unwrap();
    migration::up(store.database()).await.unwrap();
    for (number, people) in [(1, [1, 2]), (2, [3, 4])] {
        let opened = chat(number, &people);
        store.open_chat(&opened, &tickets()).await.unwrap();
    }
    let keys = store.database().collection::<Document>(KEYS);
    let shred = keys.delete_one(doc! { "_id": chat_key(chat_id(1)) });
    assert_eq!(shred.await.unwrap().deleted_count, 1);
    let batch = [message(1, 1, 1), message(2, 1, 1), message(1, 1, 2)];
    store.append(&batch).await.unwrap();
    let left = store.database().collection::<Document>(MESSAGES);
    let count = |chat| left.count_documents(doc! { "_id.chat": chat_key(chat_id(chat)) });
    assert_eq!(count(1).await.unwrap(), 0);
    assert_eq!(count(2).await.unwrap(), 1);
}
