//! The state after a node died between beginning an epoch and setting its base, and related cases
//! that only MongoDB has.

use mongodb::bson::{Bson, Document, doc};
use nowrong_core::record::Epoch;
use nowrong_protocol::Position;
use nowrong_store::{
    ChatStore as _, MessageStore as _, Stored,
    conformance::{NOW, chat, chat_id, message, tickets},
};

use super::{MongoStore, migration, open, shared};
use crate::record::{EpochsRecord, chat_key};

/// A chat whose second epoch has begun but has no base, with messages of the first one.
async fn torn() -> MongoStore {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    let opened = chat(1, &[1, 2]);
    store.open_chat(&opened, &tickets()).await.unwrap();
    let sent: Vec<_> = (1..=3).map(|seq| message(1, 1, seq)).collect();
    store.append(&sent).await.unwrap();
    let next = doc! { "number": 2_i64, "base": Bson::Null };
    let bump = doc! { "$push": { "epochs": next } };
    let chats = store.database().collection::<Document>("ChatSessions");
    let bumped = chats.update_one(doc! { "_id": chat_key(opened.id) }, bump);
    assert_eq!(bumped.await.unwrap().modified_count, 1);
    store
}

const SECOND: Epoch = Epoch { number: 2, base: 3 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_a_chat_sets_a_missing_base() {
    let store = torn().await;
    // Stored before the base was set, so it counts; but its node is told to check again.
    let late = store.append(&[message(1, 1, 4)]).await.unwrap();
    assert_eq!(late.void, [chat_id(1)]);
    let epochs = store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs;
    assert_eq!(epochs[1], Epoch { number: 2, base: 4 });
    // The base is set once: later messages do not count any more.
    store.append(&[message(1, 1, 5)]).await.unwrap();
    let epochs = store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs;
    assert_eq!(epochs[1], Epoch { number: 2, base: 4 });

    let store = torn().await;
    let active = store.active_chats(None, 10, NOW).await.unwrap();
    assert_eq!(active[0].epochs[1], SECOND);

    let store = torn().await;
    let page = store.messages_before(chat_id(1), None, 10, NOW).await;
    assert_eq!(page.unwrap().len(), 3);
    let again = store.append(&[message(1, 1, 4)]).await.unwrap();
    assert_eq!(again.void, [chat_id(1)]);
    let page = store.messages_after(chat_id(1), Position::START, 10, NOW);
    assert_eq!(page.await.unwrap().len(), 3);
    let epochs = store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs;
    assert_eq!(epochs[1], SECOND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_base_is_never_replaced_by_a_node_that_found_none() {
    let store = torn().await;
    let chats = store.database().collection::<EpochsRecord>("ChatSessions");
    let key = doc! { "_id": chat_key(chat_id(1)) };
    let found = chats.find_one(key).await.unwrap().unwrap().epochs;
    let epochs = store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs;
    assert_eq!(epochs[1], SECOND);
    // A log may be open on that base by now, in which another message has this place.
    store.append(&[message(1, 1, 4)]).await.unwrap();
    let mut session = store.shared.client.start_session().await.unwrap();
    let set = store.shared.set_base(&mut session, chat_id(1), &found);
    set.await.unwrap();
    let epochs = store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs;
    assert_eq!(epochs[1], SECOND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_without_a_base_is_followed_by_none() {
    let store = torn().await;
    for last in [1, 2] {
        let begun = store.begin_epoch(chat_id(1), last, NOW).await;
        assert_eq!(begun.unwrap(), None);
    }
    store.chat(chat_id(1), NOW).await.unwrap();
    let stored = store.append(&[message(1, 2, 4)]).await.unwrap();
    assert_eq!(stored, Stored::default());
    let begun = store.begin_epoch(chat_id(1), 2, NOW).await.unwrap();
    assert_eq!(begun, Some(Epoch { number: 3, base: 4 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_never_had_a_base_is_corrupt_and_not_waited_for() {
    let store = torn().await;
    let chats = store.database().collection::<Document>("ChatSessions");
    let broken = doc! { "$set": { "epochs": [{ "number": 1_i64, "base": Bson::Null }] } };
    let broken = chats.update_one(doc! { "_id": chat_key(chat_id(1)) }, broken);
    broken.await.unwrap();
    let error = store.chat(chat_id(1), NOW).await.unwrap_err();
    assert!(error.to_string().contains("has no base"), "{error}");
}
