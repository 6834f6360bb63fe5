//! What follows when the key of a chat was destroyed, or the chat itself removed, by another hand than
//! the sweep's: messages that arrive later, and seats that are left behind.

use mongodb::bson::{Document, doc};
use nowrong_store::{
    ChatStore as _, MessageStore as _, Opening,
    conformance::{NOW, chat, chat_id, end, message, tickets, user_id},
};

use super::{migration, open, shared};
use crate::record::{CHATS, KEYS, MESSAGES, chat_key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_what_is_stored_after_the_shredding_is_not_left_behind() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    for (number, people) in [(1, [1, 2]), (2, [3, 4])] {
        let opened = chat(number, &people);
        store.open_chat(&opened, &tickets()).await.unwrap();
    }
    let keys = store.database().collection::<Document>(KEYS);
    let shred = keys.delete_one(doc! { "_id": chat_key(chat_id(1)) });
    assert_eq!(shred.await.unwrap().deleted_count, 1);
    let batch = [message(1, 1, 1), message(2, 1, 1), message(1, 1, 2)];
    let stored = store.append(&batch).await.unwrap();
    assert_eq!(stored.gone, [chat_id(1)]);
    let left = store.database().collection::<Document>(MESSAGES);
    let count = |chat| left.count_documents(doc! { "_id.chat": chat_key(chat_id(chat)) });
    assert_eq!(count(1).await.unwrap(), 0);
    assert_eq!(count(2).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_what_is_stored_after_its_chat_was_removed_is_never_called_stored() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    let opened = chat(1, &[1, 2]);
    store.open_chat(&opened, &tickets()).await.unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    let chats = store.database().collection::<Document>(CHATS);
    let removed = chats.delete_one(doc! { "_id": chat_key(opened.id) });
    assert_eq!(removed.await.unwrap().deleted_count, 1);
    let stored = store.append(&[message(1, 1, 1), message(1, 1, 2)]).await;
    assert_eq!(
        stored.unwrap().gone,
        [opened.id],
        "it has a key, but no chat"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_kept_in_the_seat_of_a_shredded_chat() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    let shredded = chat(1, &[1, 2]);
    store.open_chat(&shredded, &tickets()).await.unwrap();
    let keys = store.database().collection::<Document>(KEYS);
    let shred = keys.delete_one(doc! { "_id": chat_key(shredded.id) });
    assert_eq!(shred.await.unwrap().deleted_count, 1);
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    let next = chat(2, &[1, 3]);
    let opening = store.open_chat(&next, &tickets()).await.unwrap();
    assert_eq!(opening, Opening::Opened);
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), Some(next.id));
    // The end of the old chat frees the seats that are still in it, and no other.
    let ended = store.end_chat(shredded.id, &end(NOW + 1_000)).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), Some(next.id));
}
