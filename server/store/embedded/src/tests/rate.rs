//! How many messages and accounts a second the store accepts: run by hand, in release, on the disk in question.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nowrong_core::record::StoredMessage;
use nowrong_store::{
    ChatStore, MessageStore, UserStore,
    conformance::{at_once, chat, message, tickets, user},
};

use crate::EmbeddedStore;

const PERIOD: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn appended_messages_a_second() {
    for callers in [1, 16, 256] {
        let dir = tempfile::tempdir_in(".").unwrap();
        let store = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
        let begun = Instant::now();
        let counts = at_once(1..=callers, |caller: u64| {
            let store = Arc::clone(&store);
            async move {
                store
                    .open_chat(&chat(caller, &[2 * caller, 2 * caller + 1]), &tickets())
                    .await
                    .unwrap();
                let mut seq = 0;
                while begun.elapsed() < PERIOD {
                    seq += 1;
                    store.append(&[message(caller, 1, seq)]).await.unwrap();
                }
                seq
            }
        })
        .await;
        let sum: u64 = counts.iter().sum();
        let rate = sum as f64 / begun.elapsed().as_secs_f64();
        println!("{callers:>4} callers: {rate:>8.0} messages/s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn registrations_a_second() {
    for callers in [1, 16, 256_u64] {
        let dir = tempfile::tempdir_in(".").unwrap();
        let store = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
        let begun = Instant::now();
        let counts = at_once(1..=callers, |caller: u64| {
            let store = Arc::clone(&store);
            async move {
                let mut made = 0;
                while begun.elapsed() < PERIOD {
                    made += 1;
                    let number = caller << 32 | made;
                    let account = user(number, &format!("name {number}"));
                    store.create_user(&account).await.unwrap();
                }
                made
            }
        })
        .await;
        let sum: u64 = counts.iter().sum();
        let rate = sum as f64 / begun.elapsed().as_secs_f64();
        println!("{callers:>4} callers: {rate:>8.0} registrations/s");
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn time_to_open() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    for batch in 0..200 {
        let messages: Vec<_> = (1..=1_000)
            .map(|seq| StoredMessage {
                sealed: Bytes::from(vec![7; 1_000]),
                ..message(1, 1, 1_000 * batch + seq)
            })
            .collect();
        store.append(&messages).await.unwrap();
    }
    store.close().await;
    let bytes = std::fs::metadata(dir.path().join("nowrong.redb"))
        .unwrap()
        .len();
    let begun = Instant::now();
    drop(EmbeddedStore::open(dir.path()).unwrap());
    println!("{} MB: {:?}", bytes / 1_000_000, begun.elapsed());
}
