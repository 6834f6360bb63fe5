//! How many messages a second the store takes: run by hand, in release, on the disk in question.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::store::{
    ChatStore, MessageStore,
    conformance::{at_once, chat, message},
    embedded::EmbeddedStore,
};

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
                    .open_chat(&chat(caller, &[2 * caller, 2 * caller + 1]))
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
