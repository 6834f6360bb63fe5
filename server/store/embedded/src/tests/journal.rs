//! The journal: waiting messages are filed exactly once, whatever happens in between.

use std::time::{Duration, Instant};

use nowrong_core::record::StoredMessage;
use nowrong_protocol::Position;
use nowrong_store::{
    ChatStore, MessageStore,
    conformance::{DAY, NOW, chat, chat_id, message, seqs, tickets},
};
use redb::ReadableTableMetadata;

use super::{RESTLESS, disk::Disk};
use crate::{EmbeddedStore, fault::Fault, journal::Filing, table};

/// Longer than any pass takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Never files by itself.
const IDLE: Filing = Filing {
    bytes: usize::MAX,
    age: Duration::MAX,
    ..RESTLESS
};

/// Rows, and messages that are filed.
fn counts(store: &EmbeddedStore) -> (u64, u64) {
    let count = |snapshot: &crate::Snapshot| {
        let rows = snapshot.table(table::JOURNAL)?.len()?;
        Ok((rows, snapshot.table(table::MESSAGES)?.len()?))
    };
    store.read("test", count).unwrap()
}

/// Waits until no row is left.
async fn filed(store: &EmbeddedStore) {
    let deadline = Instant::now() + PATIENCE;
    while counts(store).0 > 0 {
        assert!(Instant::now() < deadline, "{:?}", counts(store));
        store.check().await.unwrap();
    }
}

async fn open_chats(store: &EmbeddedStore, count: u64) {
    for number in 1..=count {
        let chat = chat(number, &[2 * number, 2 * number + 1]);
        store.open_chat(&chat, &tickets()).await.unwrap();
    }
}

async fn all(store: &EmbeddedStore, chat: u64) -> Vec<StoredMessage> {
    store
        .messages_after(chat_id(chat), Position::START, 1_000, NOW)
        .await
        .unwrap()
}

#[tokio::test]
async fn messages_wait_in_rows_until_a_pass_files_them() {
    let mut disk = Disk::filing(IDLE);
    let store = disk.open();
    open_chats(&store, 5).await;
    for seq in 1..=20 {
        let batch: Vec<_> = (1..=5).map(|chat| message(chat, 1, seq)).collect();
        store.append(&batch).await.unwrap();
    }
    assert_eq!(counts(&store), (20, 0));
    assert_eq!(store.shared.waiting.len(), 100);
    drop(store);
    disk.filing = RESTLESS;
    let store = disk.open();
    filed(&store).await;
    assert_eq!(counts(&store), (0, 100));
    assert_eq!(store.shared.waiting.len(), 0);
    for chat in 1..=5 {
        let expected: Vec<_> = (1..=20).map(|seq| message(chat, 1, seq)).collect();
        assert_eq!(all(&store, chat).await, expected);
    }
    // New rows follow the numbers of the removed ones.
    store.append(&[message(1, 1, 21)]).await.unwrap();
    drop(store);
    assert_eq!(all(&disk.open(), 1).await.len(), 21);
}

/// A crash between filing and the removal of the rows.
#[tokio::test]
async fn rows_that_are_read_again_change_nothing() {
    let mut disk = Disk::filing(IDLE);
    let store = disk.open();
    open_chats(&store, 3).await;
    for number in 1..=3 {
        let batch: Vec<_> = (1..=3).map(|seq| message(number, 1, seq)).collect();
        store.append(&batch).await.unwrap();
    }
    let erased = Position::new(1, 2);
    assert!(store.delete_message(chat_id(1), erased).await.unwrap());
    while store.sweep(NOW, 10).await.unwrap() > 0 {}
    let remove = |transaction: &mut crate::Transaction<'_>| {
        while !transaction.remove_chat(chat_id(3), 10)?.1 {}
        Ok(())
    };
    store.write("test", remove).await.unwrap();
    let before = [all(&store, 1).await, all(&store, 2).await];
    assert_eq!(counts(&store), (3, 3));
    disk.filing = RESTLESS;
    drop(store);
    let store = disk.open();
    assert_eq!([all(&store, 1).await, all(&store, 2).await], before);
    filed(&store).await;
    assert_eq!([all(&store, 1).await, all(&store, 2).await], before);
    assert_eq!(counts(&store), (0, 6), "the chat that is gone stays gone");
    assert!(before[0][1].is_deleted && before[0][1].sealed.is_empty());
}

/// A failed batch is repeated; its step of the pass did not happen.
#[tokio::test]
async fn a_pass_outlives_batches_that_fail() {
    let disk = Disk::filing(RESTLESS);
    let store = disk.open();
    open_chats(&store, 8).await;
    for seq in 1..=20 {
        let batch: Vec<_> = (1..=8).map(|chat| message(chat, 1, seq)).collect();
        let broken = store.write("test", |_| {
            Err::<(), _>(Fault::Corrupt("on purpose".to_owned()))
        });
        let (appended, broken) = tokio::join!(store.append(&batch), broken);
        assert!(appended.is_ok() && broken.is_err());
    }
    filed(&store).await;
    drop(store);
    let store = disk.open();
    assert_eq!(counts(&store), (0, 160));
    for chat in 1..=8 {
        assert_eq!(seqs(&all(&store, chat).await), (1..=20).collect::<Vec<_>>());
    }
}

/// The first message at a position stays, waiting or filed.
#[tokio::test]
async fn a_message_is_stored_once_whether_it_waits_or_is_filed() {
    for filing in [IDLE, RESTLESS] {
        let disk = Disk::filing(filing);
        let store = disk.open();
        open_chats(&store, 1).await;
        let twice = [message(1, 1, 1), message(1, 1, 1)];
        store.append(&twice).await.unwrap();
        store.append(&twice).await.unwrap();
        let mut other = message(1, 1, 1);
        other.member ^= 1;
        let stored = store.append(&[other]).await.unwrap();
        assert_eq!(stored.void, [chat_id(1)]);
        assert_eq!(all(&store, 1).await, [message(1, 1, 1)]);
        drop(store);
        assert_eq!(all(&disk.open(), 1).await, [message(1, 1, 1)]);
    }
}

/// A message with its own expiry is removed before its chat, even while it waits.
#[tokio::test]
async fn a_message_that_waits_expires() {
    let disk = Disk::filing(IDLE);
    let store = disk.open();
    open_chats(&store, 1).await;
    let brief = StoredMessage {
        expires_at: NOW + 1_000,
        ..message(1, 1, 1)
    };
    store.append(&[brief, message(1, 1, 2)]).await.unwrap();
    let left = store.messages_after(chat_id(1), Position::START, 10, NOW + 1_000);
    assert_eq!(seqs(&left.await.unwrap()), [2]);
    assert_eq!(store.sweep(NOW + 1_000, 10).await.unwrap(), 1);
    assert_eq!(seqs(&all(&store, 1).await), [2]);
    assert!(store.sweep(NOW + DAY, 10).await.unwrap() > 0);
    assert_eq!(counts(&store).1, 0);
}

#[tokio::test]
async fn the_longest_texts_of_one_batch_are_there_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    open_chats(&store, 1).await;
    // A text of 8,000 bytes, with its nonce, its length and its tag.
    let longest = |seq| StoredMessage {
        sealed: vec![seq as u8; 8_032].into(),
        ..message(1, 1, seq)
    };
    let batch: Vec<_> = (1..=200).map(longest).collect();
    store.append(&batch).await.unwrap();
    store.close().await;
    drop(store);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(all(&store, 1).await, batch);
}
