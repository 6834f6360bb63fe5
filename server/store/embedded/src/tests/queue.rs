//! The writer's queue: group commit, isolation, dropped callers, a full queue.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use nowrong_protocol::Position;
use nowrong_store::{
    ChatStore, MessageStore, StoreError,
    conformance::{NOW, chat, chat_id, cursors, message, seqs, tickets},
};

use super::disk::Disk;
use crate::{EmbeddedStore, writer::QUEUE_JOBS_MAX};

/// A job that keeps the writer busy until the returned value is dropped. Returns when the writer
/// has the job.
async fn occupy(store: &Arc<EmbeddedStore>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let hold = move |_: &mut super::super::Transaction<'_>| {
            started.take().map(|started| started.send(()));
            let _ = released.recv();
            Ok(())
        };
        store.write_lazily("test", hold).await
    });
    has_started.await.unwrap();
    release
}

async fn stored(store: &EmbeddedStore, chat: u64) -> Vec<u64> {
    seqs(
        &store
            .messages_after(chat_id(chat), Position::START, 10_000, NOW)
            .await
            .unwrap(),
    )
}

#[tokio::test]
async fn all_that_wait_share_one_sync() {
    let disk = Disk::default();
    let store = Arc::new(disk.open());
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let release = occupy(&store).await;
    // Fewer than a task can queue before tokio makes it yield.
    let messages: Vec<_> = (1..=100).map(|seq| [message(1, 1, seq)]).collect();
    let mut appends = join_all(messages.iter().map(|message| store.append(message)));
    assert!((&mut appends).now_or_never().is_none());
    let syncs = || disk.database.syncs.load(Ordering::SeqCst);
    let before = syncs();
    drop(release);
    assert!(appends.await.iter().all(Result::is_ok));
    // One, and one more when the file has to grow.
    assert!(
        (1..=2).contains(&(syncs() - before)),
        "{}",
        syncs() - before
    );
    assert_eq!(stored(&store, 1).await.len(), 100);
}

#[tokio::test]
async fn cursors_alone_cost_no_sync() {
    let disk = Disk::default();
    let store = disk.open();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let before = disk.database.syncs.load(Ordering::SeqCst);
    for seq in 1..=100 {
        let at = Position::new(1, seq);
        store.save_cursors(&[cursors(1, 0, at, at)]).await.unwrap();
    }
    let saved = store.chat(chat_id(1), NOW).await.unwrap().unwrap();
    assert_eq!(saved.members[0].read, Position::new(1, 100));
    // One, when the file had to grow.
    let syncs = disk.database.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 1, "{syncs}");
}

#[tokio::test]
async fn a_corrupt_record_fails_its_own_job_only() {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store
        .open_chat(&chat(2, &[3, 4]), &tickets())
        .await
        .unwrap();
    let damage = |transaction: &mut super::super::Transaction<'_>| {
        transaction
            .chats
            .write()?
            .insert(chat_id(1).as_bytes(), &b"\x01?"[..])?;
        Ok(())
    };
    store.write("test", damage).await.unwrap();
    let release = occupy(&store).await;
    // The middle one stores its first message before it reaches the corrupt record.
    let jobs = [
        vec![message(2, 1, 1)],
        vec![message(2, 1, 2), message(1, 1, 1)],
        vec![message(2, 1, 3)],
    ];
    let mut appends = join_all(jobs.iter().map(|messages| store.append(messages)));
    assert!((&mut appends).now_or_never().is_none());
    drop(release);
    let answers = appends.await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(
        matches!(answers[1], Err(StoreError::Corrupt(_))),
        "{answers:?}"
    );
    assert_eq!(stored(&store, 2).await, [1, 3]);
}

#[tokio::test]
async fn a_job_that_panics_fails_and_the_store_goes_on() {
    let disk = Disk::default();
    let store = disk.open();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let answer: Result<(), _> = store.write("test", |_| panic!("on purpose")).await;
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
    while store.append(&[message(1, 1, 1)]).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stored(&store, 1).await, [1]);
}

#[tokio::test]
async fn a_dropped_caller_leaves_its_write_whole() {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let release = occupy(&store).await;
    let batch: Vec<_> = (1..=5).map(|seq| message(1, 1, seq)).collect();
    assert!(store.append(&batch).now_or_never().is_none());
    drop(release);
    store.append(&[message(1, 1, 6)]).await.unwrap();
    assert_eq!(stored(&store, 1).await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn closing_does_what_is_queued() {
    let disk = Disk::default();
    let store = Arc::new(disk.open());
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let release = occupy(&store).await;
    let messages: Vec<_> = (1..=20).map(|seq| [message(1, 1, seq)]).collect();
    let mut appends = join_all(messages.iter().map(|message| store.append(message)));
    assert!((&mut appends).now_or_never().is_none());
    let mut close = store.close();
    assert!((&mut close).now_or_never().is_none());
    drop(release);
    close.await;
    assert!(appends.await.iter().all(Result::is_ok));
    let refused = store.append(&[message(1, 1, 21)]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert_eq!(stored(&disk.open(), 1).await.len(), 20);
}

#[tokio::test]
async fn a_queue_that_stays_full_is_unavailable() {
    let mut store = EmbeddedStore::in_memory().unwrap();
    store.writer.queue_wait = Duration::from_millis(10);
    let store = Arc::new(store);
    let release = occupy(&store).await;
    let checks: Vec<_> = (0..QUEUE_JOBS_MAX)
        .map(|_| Box::pin(store.check()))
        .collect();
    let mut checks = join_all(checks);
    assert!((&mut checks).now_or_never().is_none());
    let refused = store.check().await.unwrap_err();
    assert!(refused.to_string().contains("queue is full"), "{refused}");
    drop(release);
    assert!(checks.await.iter().all(Result::is_ok));
}
