//! The log against cases, and against any sequence of operations.

use nowrong_protocol::ChatId;
use proptest::prelude::*;

use super::*;

fn message(epoch: u32, seq: u64, id: u8) -> Message {
    Message {
        chat: ChatId::from_bytes([1; 16]),
        position: Position::new(epoch, seq),
        member: id % 2,
        client_message_id: ClientMessageId::from_bytes([id; 16]),
        at_ms: seq,
        reply_to: None,
        body: Body::Text(format!("{epoch}.{seq}")),
    }
}

fn positions(log: &Log) -> Vec<Position> {
    log.messages().map(|message| message.position).collect()
}

#[test]
fn each_message_is_held_once() {
    let mut log = Log::default();
    assert_eq!(log.insert(message(1, 1, 7)), Change::Added);
    assert_eq!(log.insert(message(1, 1, 7)), Change::Known);
    assert_eq!(positions(&log), [Position::new(1, 1)]);
}

#[test]
fn held_stops_at_the_first_gap() {
    let mut log = Log::default();
    log.insert(message(1, 1, 1));
    log.insert(message(1, 3, 3));
    assert_eq!(log.held(), Position::new(1, 1));
    log.insert(message(1, 2, 2));
    assert_eq!(log.held(), Position::new(1, 3));
}

#[test]
fn a_newer_epoch_gives_seqs_out_again() {
    let mut log = Log::default();
    log.insert(message(1, 1, 1));
    log.insert(message(1, 2, 2));
    assert_eq!(log.insert(message(2, 2, 3)), Change::Replaced);
    assert_eq!(
        log.insert(message(1, 2, 2)),
        Change::Known,
        "the void one stays away"
    );
    assert_eq!(positions(&log), [Position::new(1, 1), Position::new(2, 2)]);
}

#[test]
fn a_message_that_was_stored_again_moves() {
    let mut log = Log::default();
    log.insert(message(1, 1, 1));
    log.insert(message(1, 2, 9));
    assert_eq!(log.insert(message(2, 3, 9)), Change::Replaced);
    assert_eq!(positions(&log), [Position::new(1, 1), Position::new(2, 3)]);
    assert_eq!(log.held(), Position::new(1, 1), "seq 2 is missing now");
}

#[test]
fn truncation_drops_what_did_not_outlive_a_restart() {
    let mut log = Log::default();
    for seq in 1..=4 {
        log.insert(message(1, seq, seq as u8));
    }
    assert!(log.truncate(Position::new(1, 2)));
    assert!(!log.truncate(Position::new(1, 2)));
    assert_eq!(log.held(), Position::new(1, 2));
    assert_eq!(
        log.insert(message(2, 3, 4)),
        Change::Added,
        "its id is free again"
    );
}

#[test]
fn deleting_erases_the_body_once() {
    let mut log = Log::default();
    log.insert(message(1, 1, 1));
    assert!(!log.delete(Position::new(2, 1)));
    assert!(log.delete(Position::new(1, 1)));
    assert!(!log.delete(Position::new(1, 1)));
    assert_eq!(
        log.at(Position::new(1, 1)).map(|held| &held.body),
        Some(&Body::Deleted)
    );
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(u32, u64, u8),
    Truncate(u64),
    Delete(u32, u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (1..4_u32, 0..12_u64, 0..16_u8).prop_map(|(epoch, seq, id)| Operation::Insert(epoch, seq, id)),
        1 => (0..12_u64).prop_map(Operation::Truncate),
        1 => (1..4_u32, 0..12_u64).prop_map(|(epoch, seq)| Operation::Delete(epoch, seq)),
    ]
}

fn check_invariants(log: &Log) {
    let seqs: Vec<_> = log.messages().map(|message| message.position.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "seqs ascend");
    let mut ids: Vec<_> = log
        .messages()
        .map(|held| (held.member, held.client_message_id))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), seqs.len(), "no message twice");
    let held = log.held().seq;
    assert!(
        (1..=held).all(|seq| seqs.contains(&seq)),
        "no gap before what is held"
    );
    assert!(!seqs.contains(&(held + 1)), "held goes as far as it can");
}

proptest! {
    #[test]
    fn invariants_hold_after_any_operations(operations in prop::collection::vec(operation(), 0..60)) {
        let mut log = Log::default();
        for operation in operations {
            match operation {
                Operation::Insert(epoch, seq, id) => {
                    log.insert(message(epoch, seq, id));
                }
                Operation::Truncate(seq) => {
                    log.truncate(Position::new(1, seq));
                }
                Operation::Delete(epoch, seq) => {
                    log.delete(Position::new(epoch, seq));
                }
            }
            check_invariants(&log);
        }
    }

    #[test]
    fn order_of_arrival_and_repetition_do_not_matter(
        mut arrivals in prop::collection::vec(1..20_u64, 1..60),
    ) {
        let mut log = Log::default();
        for seq in &arrivals {
            log.insert(message(1, *seq, *seq as u8));
        }
        arrivals.sort_unstable();
        arrivals.dedup();
        let expected: Vec<_> = arrivals.iter().map(|seq| Position::new(1, *seq)).collect();
        prop_assert_eq!(positions(&log), expected);
    }
}
