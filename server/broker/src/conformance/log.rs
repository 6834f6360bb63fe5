//! Chat logs.

use std::sync::Arc;

use bytes::Bytes;
use nowrong_core::record::{Draft, Epoch, KnownMessage};
use nowrong_protocol::{ChatId, ClientMessageId, Position, limits::CHAT_MESSAGES_MAX};

use super::{Conforming, at_once};
use crate::{AppendOutcome, Broker, Incarnation, LogRead, LogSeed};

const CHAT: ChatId = ChatId::from_bytes([3; 16]);

fn id(n: u64) -> ClientMessageId {
    ClientMessageId::v7(n, &[5; 10])
}

pub fn seed(number: u32, base: u64) -> LogSeed {
    LogSeed {
        epoch: Epoch { number, base },
        known: Vec::new(),
        incarnation: None,
    }
}

/// Message `n` of a member.
pub fn draft(member: u8, n: u64) -> Draft {
    Draft {
        member,
        client_message_id: id(n),
        at: 1_000 + n,
        reply_to: None,
        sealed: Bytes::from(format!("{member} {n}")),
        expires_at: 9_000 + n,
    }
}

async fn append_in<B: Broker>(broker: &B, epoch: u32, member: u8, n: u64) -> AppendOutcome {
    let draft = draft(member, n);
    let placed = broker
        .append(CHAT, epoch, &draft, true)
        .await
        .expect("append");
    assert_eq!(placed.elsewhere, [], "there is no other node");
    placed.outcome
}

/// The memory of the broker, as named when there is no log.
pub async fn memory<B: Broker>(broker: &B) -> Incarnation {
    let chat = ChatId::from_bytes([0xee; 16]);
    let read = broker.read_log(chat, 1, 0).await.expect("read");
    match read.outcome {
        LogRead::NoLog(memory) => memory,
        other => panic!("{other:?}"),
    }
}

async fn append<B: Broker>(broker: &B, member: u8, n: u64) -> AppendOutcome {
    append_in(broker, 1, member, n).await
}

fn new(seq: u64) -> AppendOutcome {
    AppendOutcome::New(Position::new(1, seq))
}

pub async fn positions_count_from_one_without_a_gap<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    for n in 1..=20 {
        assert_eq!(append(&*broker, (n % 2) as u8, n).await, new(n));
    }
}

pub async fn a_message_sent_again_is_the_same<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    append(&*broker, 0, 1).await;
    append(&*broker, 0, 2).await;
    let later = Draft {
        at: 9_999,
        ..draft(0, 1)
    };
    let again = broker.append(CHAT, 1, &later, true).await.expect("append");
    assert_eq!(
        again.outcome,
        AppendOutcome::Again(Position::new(1, 1), 1_001)
    );
    assert_eq!(
        append(&*broker, 1, 1).await,
        new(3),
        "ids are each sender's own"
    );
}

pub async fn a_seeded_log_goes_on_where_the_store_stands<B: Broker>(broker: Arc<B>) {
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
        append_in(&*broker, 3, 1, 7).await,
        AppendOutcome::Again(Position::new(1, 4), 55)
    );
    assert_eq!(
        append_in(&*broker, 3, 1, 8).await,
        AppendOutcome::New(Position::new(3, 5))
    );
}

pub async fn a_log_gives_way_only_to_a_newer_epoch<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(2, 0)).await.expect("open");
    append_in(&*broker, 2, 0, 1).await;
    for older in [1, 2] {
        let is_open = broker.open_log(CHAT, seed(older, 9)).await.expect("open");
        assert!(!is_open, "{older}");
    }
    let second = append_in(&*broker, 2, 0, 2).await;
    assert_eq!(second, AppendOutcome::New(Position::new(2, 2)));
    assert!(broker.open_log(CHAT, seed(3, 9)).await.expect("open"));
    let tenth = append_in(&*broker, 3, 0, 1).await;
    assert_eq!(tenth, AppendOutcome::New(Position::new(3, 10)));
}

pub async fn an_append_of_another_epoch_has_no_log<B: Broker>(broker: Arc<B>) {
    let no_log = AppendOutcome::NoLog(memory(&*broker).await);
    broker.open_log(CHAT, seed(2, 4)).await.expect("open");
    for other in [0, 1, 3] {
        assert_eq!(append_in(&*broker, other, 0, 1).await, no_log);
    }
    let first = append_in(&*broker, 2, 0, 1).await;
    assert_eq!(
        first,
        AppendOutcome::New(Position::new(2, 5)),
        "nothing was taken"
    );
}

pub async fn g3_two_members_at_once_make_one_order<B: Broker>(broker: Arc<B>) {
    const EACH: u64 = 100;
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    let writers = at_once(&broker, 2, |broker, member| async move {
        let mut seqs = Vec::new();
        for n in 1..=EACH {
            match append(&*broker, member as u8, n).await {
                AppendOutcome::New(position) => seqs.push(position.seq),
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
}

pub async fn a_closed_log_is_forgotten<B: Broker>(broker: Arc<B>) {
    let no_log = AppendOutcome::NoLog(memory(&*broker).await);
    assert_eq!(append(&*broker, 0, 1).await, no_log);
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    append(&*broker, 0, 1).await;
    broker.close_log(CHAT).await.expect("close");
    broker
        .close_log(CHAT)
        .await
        .expect("closing again is harmless");
    assert_eq!(append(&*broker, 0, 2).await, no_log);
    broker.open_log(CHAT, seed(2, 0)).await.expect("open");
    assert_eq!(
        append_in(&*broker, 2, 0, 1).await,
        AppendOutcome::New(Position::new(2, 1))
    );
}

pub async fn a_chat_becomes_full<B: Broker>(broker: Arc<B>) {
    let last = CHAT_MESSAGES_MAX as u64;
    broker
        .open_log(CHAT, seed(1, last - 1))
        .await
        .expect("open");
    assert_eq!(append(&*broker, 0, 1).await, new(last));
    assert_eq!(append(&*broker, 0, 2).await, AppendOutcome::Full);
    let again = append(&*broker, 0, 1).await;
    assert_eq!(again, AppendOutcome::Again(Position::new(1, last), 1_001));
}

pub async fn a_chat_that_takes_nothing_new_knows_what_it_has<B: Broker>(broker: Arc<B>) {
    broker.open_log(CHAT, seed(1, 0)).await.expect("open");
    assert_eq!(append(&*broker, 0, 1).await, new(1));
    for (n, expected) in [
        (1, AppendOutcome::Again(Position::new(1, 1), 1_001)),
        (2, AppendOutcome::Full),
    ] {
        let placed = broker.append(CHAT, 1, &draft(0, n), false).await;
        assert_eq!(placed.expect("append").outcome, expected);
    }
    // Nothing was used up.
    assert_eq!(append(&*broker, 0, 3).await, new(2));
}

pub async fn a_log_opens_only_in_the_memory_that_its_seed_names<B: Broker>(broker: Arc<B>) {
    let named = |number, memory: &Incarnation| LogSeed {
        incarnation: Some(memory.clone()),
        ..seed(number, 4)
    };
    let (here, other) = (memory(&*broker).await, Incarnation("another".to_owned()));
    let open = async |seed| broker.open_log(CHAT, seed).await.expect("open");
    assert!(!open(named(2, &other)).await);
    assert_eq!(
        append_in(&*broker, 2, 0, 1).await,
        AppendOutcome::NoLog(here.clone())
    );
    assert!(open(named(2, &here)).await);
    assert!(!open(named(2, &here)).await, "sent again");
    assert!(!open(named(3, &other)).await);
    let fifth = append_in(&*broker, 2, 0, 1).await;
    assert_eq!(fifth, AppendOutcome::New(Position::new(2, 5)));
    assert!(open(named(3, &here)).await);
}

pub async fn a_reader_gets_what_is_held_and_nothing_of_another_epoch<B: Conforming>(
    broker: Arc<B>,
) {
    let here = memory(&*broker).await;
    let read = async |epoch, after| {
        let reading = broker.read_log(CHAT, epoch, after).await.expect("read");
        assert_eq!(reading.elsewhere, [], "there is no other node");
        reading.outcome
    };
    let held = |messages, is_trimmed| LogRead::Messages {
        messages,
        head: 604,
        is_trimmed,
    };
    assert_eq!(read(2, 0).await, LogRead::NoLog(here.clone()), "not open");
    broker.open_log(CHAT, seed(2, 4)).await.expect("open");
    for n in 1..=600 {
        append_in(&*broker, 2, 0, n).await;
    }
    for other in [1, 3] {
        assert_eq!(read(other, 4).await, LogRead::NoLog(here.clone()));
    }
    assert_eq!(read(2, 604).await, held(vec![], false), "there is no more");
    assert_eq!(read(2, 4).await, held(vec![], true), "no longer held");
    let newest = if B::HOLDS_MESSAGES {
        let place = |seq| draft(0, seq - 4).placed(CHAT, Position::new(2, seq));
        held((591..=604).map(place).collect(), false)
    } else {
        held(vec![], true)
    };
    assert_eq!(read(2, 590).await, newest);
}
