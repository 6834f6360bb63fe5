//! Chat logs.

use std::sync::Arc;

use bytes::Bytes;
use nowrong_protocol::{ChatId, ClientMessageId, Position, limits::CHAT_MESSAGES_MAX};

use super::at_once;
use crate::{
    broker::{Appended, Broker, KnownMessage, LogSeed},
    store::Epoch,
};

const CHAT: ChatId = ChatId::from_bytes([3; 16]);

fn id(n: u64) -> ClientMessageId {
    ClientMessageId::v7(n, &[5; 10])
}

fn seed(number: u32, base: u64) -> LogSeed {
    LogSeed {
        epoch: Epoch { number, base },
        known: Vec::new(),
    }
}

/// A frame that says its own seq and sender.
fn frame(seq: u64, member: u8, n: u64) -> Bytes {
    format!("{seq} {member} {n}").into()
}

async fn append<B: Broker>(broker: &B, member: u8, n: u64) -> Appended {
    let encode = Box::new(move |position: Position| frame(position.seq, member, n));
    let appended = broker.append(CHAT, member, id(n), 1_000 + n, encode);
    appended.await.expect("append")
}

async fn frames<B: Broker>(broker: &B, after: u64, limit: usize) -> Option<Vec<(u64, Bytes)>> {
    broker
        .frames_after(CHAT, after, limit)
        .await
        .expect("frames")
}

fn new(seq: u64) -> Appended {
    Appended::New(Position::new(1, seq))
}

pub(crate) async fn positions_count_from_one_without_a_gap<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    for n in 1..=20 {
        assert_eq!(append(&*broker, (n % 2) as u8, n).await, new(n));
    }
}

pub(crate) async fn a_message_sent_again_is_the_same<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    append(&*broker, 0, 1).await;
    append(&*broker, 0, 2).await;
    let never = Box::new(|_| -> Bytes { panic!("it has a frame") });
    let again = broker
        .append(CHAT, 0, id(1), 9_999, never)
        .await
        .expect("append");
    assert_eq!(again, Appended::Again(Position::new(1, 1), 1_001));
    assert_eq!(
        append(&*broker, 1, 1).await,
        new(3),
        "ids are each sender's own"
    );
    assert_eq!(
        frames(&*broker, 0, 9).await.map(|frames| frames.len()),
        Some(3)
    );
}

pub(crate) async fn a_seeded_log_goes_on_where_the_store_stands<B: Broker>(broker: Arc<B>) {
    let known = KnownMessage {
        member: 1,
        client_message_id: id(7),
        position: Position::new(1, 4),
        at: 55,
    };
    let seed = LogSeed {
        known: vec![known],
        ..seed(3, 4)
    };
    broker.open_log(CHAT, seed).await.expect("open");
    assert_eq!(
        append(&*broker, 1, 7).await,
        Appended::Again(Position::new(1, 4), 55)
    );
    assert_eq!(
        append(&*broker, 1, 8).await,
        Appended::New(Position::new(3, 5))
    );
    assert_eq!(
        frames(&*broker, 4, 9).await,
        Some(vec![(5, frame(5, 1, 8))])
    );
    assert_eq!(frames(&*broker, 3, 9).await, None, "the store has it");
}

pub(crate) async fn an_open_log_stays_as_it_is<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    append(&*broker, 0, 1).await;
    broker.open_log(CHAT, seed(2, 9)).await.expect("open");
    assert_eq!(append(&*broker, 0, 2).await, new(2));
}

pub(crate) async fn g3_two_members_at_once_make_one_order<B: Broker>(broker: Arc<B>) {
    const EACH: u64 = 100;
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    let writers = at_once(&broker, 2, |broker, member| async move {
        let mut seqs = Vec::new();
        for n in 1..=EACH {
            match append(&*broker, member as u8, n).await {
                Appended::New(position) => seqs.push(position.seq),
                other => panic!("{other:?}"),
            }
            tokio::task::yield_now().await;
        }
        seqs
    });
    let writers = writers.await;
    assert!(
        writers.iter().all(|seqs| seqs.is_sorted()),
        "each sender's own order stands"
    );
    let mut all: Vec<u64> = writers.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=2 * EACH).collect::<Vec<_>>(), "no gap, no repeat");
    let frames = frames(&*broker, 0, 999).await.expect("held");
    assert_eq!(frames.len() as u64, 2 * EACH);
    for (expected, (seq, frame)) in (1..).zip(&frames) {
        assert_eq!(*seq, expected);
        assert!(
            frame.starts_with(format!("{seq} ").as_bytes()),
            "each frame says its position"
        );
    }
}

pub(crate) async fn frames_are_kept_until_the_store_must_be_asked<B: Broker>(broker: Arc<B>) {
    assert_eq!(frames(&*broker, 0, 9).await, None, "not open");
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    assert_eq!(frames(&*broker, 0, 9).await, Some(vec![]));
    for n in 1..=2_000 {
        append(&*broker, 0, n).await;
    }
    assert_eq!(frames(&*broker, 0, 9).await, None, "the tail is bounded");
    let newest = frames(&*broker, 1_900, 30).await.expect("held");
    let expected: Vec<_> = (1_901..=1_930).map(|n| (n, frame(n, 0, n))).collect();
    assert_eq!(
        newest, expected,
        "ascending, from the first, at most the limit"
    );
    assert_eq!(frames(&*broker, 2_000, 9).await, Some(vec![]));
    assert_eq!(frames(&*broker, 5_000, 9).await, Some(vec![]));
}

pub(crate) async fn a_frame_is_replaced<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    append(&*broker, 0, 1).await;
    append(&*broker, 0, 2).await;
    let gone = Bytes::from_static(b"gone");
    for seq in [1, 77] {
        broker
            .replace_frame(CHAT, seq, gone.clone())
            .await
            .expect("replace");
    }
    assert_eq!(
        frames(&*broker, 0, 9).await,
        Some(vec![(1, gone), (2, frame(2, 0, 2))])
    );
}

pub(crate) async fn a_closed_log_is_forgotten<B: Broker>(broker: Arc<B>) {
    assert_eq!(append(&*broker, 0, 1).await, Appended::NoLog);
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    append(&*broker, 0, 1).await;
    broker.close_log(CHAT).await.expect("close");
    broker
        .close_log(CHAT)
        .await
        .expect("closing again is harmless");
    assert_eq!(append(&*broker, 0, 2).await, Appended::NoLog);
    broker.open_log(CHAT, seed(2, 0)).await.expect("open");
    assert_eq!(
        append(&*broker, 0, 1).await,
        Appended::New(Position::new(2, 1))
    );
}

pub(crate) async fn a_chat_becomes_full<B: Broker>(broker: Arc<B>) {
    let last = CHAT_MESSAGES_MAX as u64;
    broker
        .open_log(CHAT, seed(1, last - 1))
        .await
        .expect("open");
    assert_eq!(append(&*broker, 0, 1).await, new(last));
    assert_eq!(append(&*broker, 0, 2).await, Appended::Full);
    let again = append(&*broker, 0, 1).await;
    assert_eq!(again, Appended::Again(Position::new(1, last), 1_001));
}
