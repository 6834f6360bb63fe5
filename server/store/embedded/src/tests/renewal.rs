//! Room that is given back.

use std::{fs, path::Path};

use bytes::Bytes;
use nowrong_core::record::StoredMessage;
use nowrong_store::{
    ChatStore, MessageStore, UserStore,
    conformance::{DAY, NOW, chat, chat_id, end, message, seqs, tickets, user, user_id},
};

use crate::EmbeddedStore;

fn size(dir: &Path) -> u64 {
    fs::metadata(dir.join("nowrong.redb")).unwrap().len()
}

/// Stores 32 MB of texts in a chat, among accounts and a chat that stay, and erases that chat.
async fn flood(store: &EmbeddedStore) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store
        .open_chat(&chat(2, &[3, 4]), &tickets())
        .await
        .unwrap();
    for batch in 0..40 {
        let number = 100 + batch;
        let account = user(number, &format!("user {number}"));
        store.create_user(&account).await.unwrap();
        let large: Vec<_> = (1..=100)
            .map(|seq| StoredMessage {
                sealed: Bytes::from(vec![7; 8_000]),
                ..message(1, 1, 100 * batch + seq)
            })
            .collect();
        store.append(&large).await.unwrap();
        store.append(&[message(2, 1, batch + 1)]).await.unwrap();
    }
    store.end_chat(chat_id(1), &end(NOW + 1_000)).await.unwrap();
    while store.sweep(NOW + 1_000, 1_000).await.unwrap() > 0 {}
}

async fn is_whole(store: &EmbeddedStore) {
    for number in 100..140 {
        let found = store.user(user_id(number), NOW).await.unwrap();
        assert_eq!(found, Some(user(number, &format!("user {number}"))));
    }
    let found = store.messages_before(chat_id(2), None, 100, NOW).await;
    assert_eq!(seqs(&found.unwrap()), (1..=40).collect::<Vec<_>>());
    assert_eq!(store.seat(user_id(3), NOW).await.unwrap(), Some(chat_id(2)));
    assert_eq!(store.chat(chat_id(1), NOW).await.unwrap(), None);
}

#[tokio::test]
async fn the_next_start_gives_back_the_room_that_a_flood_took() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    flood(&store).await;
    store.close().await;
    drop(store);
    let before = size(dir.path());
    assert!(before > 32_000_000, "{before}");
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let after = size(dir.path());
    println!("{before} bytes, then {after}");
    assert!(after < 4_000_000, "{after}");
    is_whole(&store).await;
    store.close().await;
    drop(store);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    is_whole(&store).await;
    while store.sweep(NOW + 60 * DAY, 1_000).await.unwrap() > 0 {}
    assert_eq!(store.user(user_id(100), NOW).await.unwrap(), None);
}
