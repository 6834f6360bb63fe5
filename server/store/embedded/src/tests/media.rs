//! Media that fail: a full disk, a disk that cannot be read, a loss of power.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use nowrong_core::record::StoredMessage;
use nowrong_protocol::Position;
use nowrong_store::{
    ChatStore, MessageStore, StoreError, UserStore,
    conformance::{NOW, at_once, chat, chat_id, message, seqs, tickets, user, user_id},
};

use super::{RESTLESS, disk::Disk};
use crate::EmbeddedStore;

/// Longer than the store takes to retry.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that soon fills a disk.
fn large(seq: u64) -> StoredMessage {
    StoredMessage {
        sealed: Bytes::from(vec![seq as u8; 8_000]),
        ..message(1, 1, seq)
    }
}

async fn stored(store: &EmbeddedStore) -> Vec<u64> {
    seqs(
        &store
            .messages_after(chat_id(1), Position::START, 10_000, NOW)
            .await
            .unwrap(),
    )
}

/// Waits until the store accepts writes again.
async fn recovered(store: &EmbeddedStore) {
    let deadline = Instant::now() + PATIENCE;
    while store.check().await.is_err() {
        assert!(Instant::now() < deadline, "the store did not recover");
        tokio::task::yield_now().await;
    }
}

/// Appends until the store refuses; returns the acked messages.
async fn fill(store: &EmbeddedStore, from: u64) -> BTreeSet<u64> {
    let mut acked = BTreeSet::new();
    for seq in from..from + 10_000 {
        match store.append(&[large(seq)]).await {
            Ok(_) => assert!(acked.insert(seq)),
            Err(StoreError::Unavailable(_)) => return acked,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk never got full");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_what_was_acked_and_recovers() {
    let disk = Disk::default();
    let store = disk.open();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let mut acked = BTreeSet::from([1]);
    store.append(&[large(1)]).await.unwrap();
    for round in 1..=3 {
        disk.set_full(true);
        acked.extend(fill(&store, round * 10_000).await);
        // Reads still work; no acked message is missing, and none is stored incompletely.
        assert!(acked.is_subset(&stored(&store).await.into_iter().collect()));
        assert!(store.check().await.is_err());
        disk.set_full(false);
        recovered(&store).await;
        store
            .append(&[large(round * 10_000 + 9_999)])
            .await
            .unwrap();
        acked.insert(round * 10_000 + 9_999);
    }
    store.close().await;
    let store = disk.open();
    assert!(acked.is_subset(&stored(&store).await.into_iter().collect()));
}

#[tokio::test]
async fn a_vault_that_cannot_grow_opens_no_chat_and_takes_no_seat() {
    let disk = Disk::default();
    let store = disk.open();
    let chats = || (1..=200_u64).map(|number| chat(number, &[2 * number, 2 * number + 1]));
    disk.keys.is_full.store(true, Ordering::SeqCst);
    let mut refused = None;
    for chat in chats() {
        if store.open_chat(&chat, &tickets()).await.is_err() {
            refused = Some(chat);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(store.chat(refused.id, NOW).await.unwrap(), None);
    assert_eq!(
        store.seat(refused.members[0].user, NOW).await.unwrap(),
        None
    );
    disk.set_full(false);
    recovered(&store).await;
    for chat in chats() {
        store.open_chat(&chat, &tickets()).await.unwrap();
        assert_eq!(store.chat(chat.id, NOW).await.unwrap(), Some(chat));
    }
}

#[tokio::test]
async fn a_disk_that_could_not_be_read_for_a_while_is_read_again() {
    let disk = Disk::default();
    let store = disk.open();
    store.create_user(&user(1, "Ada")).await.unwrap();
    drop(store);
    let store = disk.open();
    disk.database.fails_reads.store(true, Ordering::SeqCst);
    assert!(store.user(user_id(1), NOW).await.is_err());
    assert!(store.create_user(&user(2, "Bob")).await.is_err());
    disk.database.fails_reads.store(false, Ordering::SeqCst);
    // A read alone repairs it: the read wakes the writer.
    let deadline = Instant::now() + PATIENCE;
    while store.user(user_id(1), NOW).await.is_err() {
        assert!(Instant::now() < deadline, "the store did not recover");
        tokio::task::yield_now().await;
    }
    recovered(&store).await;
}

/// After every loss of power, whichever blocks it kept, all acked messages are there, and the chats
/// have their keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acked_survives_a_loss_of_power() {
    let seed = RandomState::new().build_hasher().finish();
    println!("seed {seed:#x}");
    let mut random = Random(seed | 1);
    let mut disk = Disk::default();
    let mut acked = Vec::new();
    for round in 1..=25_u64 {
        if round > 10 {
            disk.filing = RESTLESS;
        }
        let store = Arc::new(disk.open());
        store
            .open_chat(&chat(round, &[2 * round, 2 * round + 1]), &tickets())
            .await
            .unwrap();
        for (chat, seq) in &acked {
            let at = Position::new(1, seq - 1);
            let found = store
                .messages_after(chat_id(*chat), at, 1, NOW)
                .await
                .unwrap();
            assert_eq!(
                found,
                [message(*chat, 1, *seq)],
                "seed {seed:#x}, round {round}"
            );
            let key = store.chat(chat_id(*chat), NOW).await.unwrap().unwrap().key;
            assert_eq!(key, self::chat(*chat, &[]).key);
        }
        let writer = Arc::clone(&store);
        let cut = random.below(40);
        let until_cut = at_once(1..=cut, move |seq| {
            let store = Arc::clone(&writer);
            async move {
                store
                    .append(&[message(round, 1, seq)])
                    .await
                    .map(|_| (round, seq))
            }
        });
        // Some more are under way, and not acked, when the power fails.
        let late = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.append(&[message(round, 1, 1_000)]).await }
        });
        acked.extend(until_cut.await.into_iter().map(Result::unwrap));
        disk = disk.after_power_loss(|| random.below(2) == 0);
        late.await.unwrap().unwrap();
    }
}

/// xorshift64: enough to draw cases, and the seed is printed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
