//! The outbox against cases, and against any sequence of operations.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn draft(id: u8) -> Draft {
    Draft {
        client_message_id: ClientMessageId::from_bytes([id; 16]),
        reply_to: None,
        body: Body::Text(id.to_string()),
    }
}

fn next_id(outbox: &mut Outbox<u8>, request: u32) -> Option<u8> {
    let (_, draft) = outbox.next(|| request, Instant::now())?;
    Some(draft.client_message_id.as_bytes()[0])
}

#[test]
fn messages_go_out_in_order_and_again_after_a_loss() {
    let mut outbox = Outbox::default();
    for id in 1..=3 {
        outbox.push(draft(id), id).unwrap();
    }
    assert_eq!(next_id(&mut outbox, 10), Some(1));
    assert_eq!(next_id(&mut outbox, 11), Some(2));
    assert_eq!(outbox.settle(10).map(|(_, token)| token), Some(1));
    assert!(outbox.settle(10).is_none(), "a reply counts once");
    outbox.unsend();
    assert_eq!(next_id(&mut outbox, 1), Some(2));
    assert_eq!(next_id(&mut outbox, 2), Some(3));
    assert_eq!(next_id(&mut outbox, 3), None);
}

#[test]
fn no_more_wait_for_their_ack_than_may() {
    let mut outbox = Outbox::default();
    for _ in 0..=UNACKED_SENDS_MAX {
        outbox.push(draft(1), 1).unwrap();
    }
    for request in 0..UNACKED_SENDS_MAX as u32 {
        assert!(next_id(&mut outbox, request).is_some());
    }
    assert!(next_id(&mut outbox, 1_000).is_none());
    outbox.settle(5);
    assert!(next_id(&mut outbox, 1_000).is_some());
}

#[test]
fn a_full_outbox_gives_the_token_back() {
    let mut outbox = Outbox::default();
    for _ in 0..OUTBOX_MAX {
        outbox.push(draft(1), 1).unwrap();
    }
    assert_eq!(outbox.push(draft(2), 2), Err(2));
}

#[test]
fn what_was_not_taken_goes_out_again_in_its_old_place() {
    let mut outbox = Outbox::default();
    outbox.push(draft(1), 1).unwrap();
    outbox.push(draft(2), 2).unwrap();
    assert_eq!(next_id(&mut outbox, 10), Some(1));
    assert!(outbox.put_back(10));
    assert!(!outbox.put_back(10));
    assert_eq!(next_id(&mut outbox, 11), Some(1));
    assert_eq!(next_id(&mut outbox, 12), Some(2));
}

#[test]
fn only_what_was_sent_can_be_overdue() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.push(draft(1), 1).unwrap();
    outbox.push(draft(2), 2).unwrap();
    assert_eq!(outbox.deadline(), None);
    outbox.next(|| 10, start);
    assert_eq!(outbox.deadline(), Some(start + REPLY_DEADLINE));
    assert!(outbox.settle_overdue(start).is_empty());
    assert_eq!(outbox.settle_overdue(start + REPLY_DEADLINE).len(), 1);
    assert_eq!(outbox.len(), 1);
}

#[derive(Clone, Debug)]
enum Operation {
    Push,
    Send,
    Settle(u32),
    Lose,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Push),
        4 => Just(Operation::Send),
        3 => (0..40_u32).prop_map(Operation::Settle),
        1 => Just(Operation::Lose),
    ]
}

proptest! {
    #[test]
    fn each_message_leaves_once_and_order_is_kept(operations in prop::collection::vec(operation(), 0..120)) {
        let mut outbox = Outbox::default();
        let (mut pushed, mut request) = (0_u8, 0);
        let mut left = HashSet::new();
        let mut last_sent = None;
        for operation in operations {
            let gone = match operation {
                Operation::Push => {
                    outbox.push(draft(pushed), pushed).unwrap();
                    pushed += 1;
                    Vec::new()
                }
                Operation::Send => {
                    request += 1;
                    let id = next_id(&mut outbox, request);
                    prop_assert!(id.is_none() || id > last_sent, "in order on each connection");
                    last_sent = id.or(last_sent);
                    Vec::new()
                }
                Operation::Settle(back) => outbox.settle(request.saturating_sub(back)).into_iter().collect(),
                Operation::Lose => {
                    outbox.unsend();
                    last_sent = None;
                    Vec::new()
                }
            };
            for (_, token) in gone {
                prop_assert!(left.insert(token), "left twice");
            }
            prop_assert_eq!(usize::from(pushed), outbox.len() + left.len(), "none is forgotten");
        }
    }
}
