//! The state of a chat, without a store and without connections.

use std::time::Duration;

use bytes::Bytes;
use nowrong_protocol::{
    ChatId, ClientMessageId, Position, ServerFrame, UserId,
    frame::{EndReason, MemberTyping, PresenceState, SeatState, Why},
};

use super::*;
use crate::{
    node::NodeId,
    record::{Chat, ChatEnd, ChatKey, ChatMember, Cursors, Epoch, Signal, StoredMessage, UnixMs},
};

mod hearing;
mod reading;

const RULES: ChatRules = ChatRules {
    seat_hold: Duration::from_secs(90),
    idle_notice: Duration::from_secs(120),
    idle_end: Duration::from_secs(300),
    grace: Duration::from_secs(60),
    retention: Duration::from_secs(86_400),
};
const START: UnixMs = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn record() -> Chat {
    let member = |n: u8| ChatMember {
        user: UserId::from_bytes([n; 16]),
        name: format!("user {n}"),
        language: "en".into(),
        delivered: Position::START,
        read: Position::START,
    };
    Chat {
        id: ChatId::from_bytes([9; 16]),
        category: "music".into(),
        members: vec![member(1), member(2)],
        why: Why::default(),
        key: ChatKey([0; 32]),
        epochs: vec![Epoch { number: 1, base: 0 }],
        started_at: START,
        expires_at: START + 86_400_000,
        end: None,
    }
}

fn state() -> State {
    let mut state = State::new(&record(), &RULES, START);
    for member in state.members_mut() {
        member.set_home(Home::Here);
        member.set_seat(SeatState::Taken, 0);
    }
    state
}

fn frames_after(state: &State, after: u64) -> Option<Vec<(u64, Bytes)>> {
    let frames = state.messages.frames_after(after)?;
    Some(frames.map(|(seq, frame)| (seq, frame.clone())).collect())
}

fn durable(state: &mut State, seq: u64) {
    state.messages.persisted(Position::new(1, seq));
}

fn seat(state: &mut State, member: u8, seat: SeatState, held_until: UnixMs) {
    let seat = Signal::Seat {
        state: seat,
        held_until,
    };
    state.signal(member, seat);
}

fn types(state: &mut State, member: u8) {
    state.signal(member, Signal::Typing(true));
}

pub(super) fn message(seq: u64, member: u8) -> StoredMessage {
    StoredMessage {
        chat: ChatId::from_bytes([9; 16]),
        position: Position::new(1, seq),
        member,
        client_message_id: ClientMessageId::from_bytes([seq as u8; 16]),
        at: START + seq,
        reply_to: None,
        sealed: Bytes::from_static(b"sealed"),
        is_deleted: false,
        expires_at: START + 86_400_000,
    }
}

fn appended(state: &mut State, message: StoredMessage) -> usize {
    let frame = Bytes::from(format!("frame {}", message.position.seq));
    state.appended(message, frame)
}

fn seqs(batch: &[StoredMessage]) -> Vec<u64> {
    batch.iter().map(|message| message.position.seq).collect()
}

fn changes(state: &State, view: &mut View) -> Vec<ServerFrame> {
    let mut out = Vec::new();
    state.changes(0, view, &mut out);
    out
}

#[test]
fn g1_a_message_is_never_handed_to_the_store_before_an_earlier_one() {
    let mut state = state();
    assert_eq!(appended(&mut state, message(2, 1)), 0);
    assert_eq!(
        seqs(&state.messages.next_batch()),
        [0u64; 0],
        "seq 1 is still on its way"
    );
    assert_eq!(appended(&mut state, message(1, 0)), 2);
    assert_eq!(seqs(&state.messages.next_batch()), [1, 2]);
    durable(&mut state, 1);
    assert_eq!(seqs(&state.messages.next_batch()), [2]);
    durable(&mut state, 2);
    assert!(!state.messages.has_unpersisted());
}

#[test]
fn a_view_gets_each_change_once_and_only_the_latest() {
    let mut state = state();
    let mut view = state.view();
    assert_eq!(changes(&state, &mut view), []);
    for _ in 0..3 {
        types(&mut state, 1);
    }
    types(&mut state, 0);
    let chat = state.chat;
    let typing = MemberTyping {
        chat,
        member: 1,
        is_typing: true,
    };
    assert_eq!(
        changes(&state, &mut view),
        [typing.into()],
        "one of three, and none of one's own"
    );
    assert_eq!(changes(&state, &mut view), []);
    types(&mut state, 1);
    assert_eq!(
        changes(&state, &mut view),
        [typing.into()],
        "a repeat prolongs it"
    );
}

#[test]
fn a_new_view_is_told_what_the_snapshot_does_not_show() {
    let mut state = state();
    appended(&mut state, message(1, 1));
    state.messages.set_deleted(Position::new(1, 1));
    types(&mut state, 1);
    state.signal(1, Signal::Presence(PresenceState::Away));
    state.set_idle_notice(&RULES);
    let end = ChatEnd {
        reason: EndReason::Left,
        member: Some(1),
        at: START,
        expires_at: START + 60,
    };
    state.set_end(end);
    let mut view = state.view();
    let names: Vec<_> = changes(&state, &mut view)
        .iter()
        .map(ServerFrame::name)
        .collect();
    assert_eq!(
        names,
        ["Deleted", "MemberTyping", "MemberPresence", "Idle", "Ended"]
    );
    assert_eq!(changes(&state, &mut view), []);
}

#[test]
fn a_member_without_a_connection_is_away_and_one_who_comes_back_is_not() {
    let presences = |state: &State, view: &mut View| -> Vec<PresenceState> {
        let told = changes(state, view).into_iter();
        let presence = told.filter_map(|frame| match frame {
            ServerFrame::MemberPresence(presence) => Some(presence.state),
            _ => None,
        });
        presence.collect()
    };
    let mut state = state();
    let mut view = state.view();
    seat(&mut state, 1, SeatState::Held, START + 1);
    assert_eq!(presences(&state, &mut view), [PresenceState::Away]);
    seat(&mut state, 1, SeatState::Held, START + 2);
    assert_eq!(presences(&state, &mut view), []);
    seat(&mut state, 1, SeatState::Taken, 0);
    assert_eq!(presences(&state, &mut view), [PresenceState::Active]);
    state.signal(1, Signal::Presence(PresenceState::Away));
    assert_eq!(presences(&state, &mut view), [PresenceState::Away]);
    seat(&mut state, 1, SeatState::Taken, 0);
    assert_eq!(
        presences(&state, &mut view),
        [],
        "a hidden page that changes its link"
    );
}

#[test]
fn the_store_says_what_is_void_and_what_is_gone() {
    let mut state = state();
    assert!(!state.messages.is_void() && !state.messages.is_gone());
    state.messages.set_void();
    assert!(state.messages.is_void() && !state.messages.is_gone());
    state.messages.set_gone();
    assert!(state.messages.is_gone());
}

#[test]
fn a_chat_may_be_shared_while_some_member_is_not_connected_here() {
    let mut state = state();
    assert!(!state.may_be_shared());
    assert_eq!(RULES.held_until(START), START + 90_000);
    seat(&mut state, 1, SeatState::Held, RULES.held_until(START));
    assert!(state.may_be_shared());
    seat(&mut state, 1, SeatState::Taken, 0);
    let member = state.member_mut(1).expect("a member");
    member.set_home(Home::There(NodeId([2; 8])));
    assert!(state.may_be_shared());
}

#[test]
fn cursors_and_replies_name_messages_that_exist() {
    let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 2 }];
    let mut state = state();
    state
        .messages
        .rebuild(rebuilt(&epochs, &[message(1, 0), message(2, 0)]));
    let third = StoredMessage {
        position: Position::new(2, 3),
        ..message(3, 1)
    };
    appended(&mut state, third);
    let far = 1 << 60;
    let nearest = [
        ((1, 1), (1, 1)),
        ((1, 2), (1, 2)),
        ((2, 3), (2, 3)),
        // Void, or never given.
        ((1, 3), (1, 2)),
        ((1, far), (1, 2)),
        ((2, 1), (1, 1)),
        ((2, far), (2, 3)),
        ((0, 0), (0, 0)),
        ((0, 1), (0, 0)),
        ((0, far), (0, 0)),
        ((3, 1), (0, 0)),
        ((u32::MAX, u64::MAX), (0, 0)),
    ];
    for ((epoch, seq), (nearest_epoch, nearest_seq)) in nearest {
        let (named, expected) = (
            Position::new(epoch, seq),
            Position::new(nearest_epoch, nearest_seq),
        );
        assert_eq!(state.messages.nearest(named), expected, "{named}");
        assert_eq!(
            state.messages.has(named),
            seq > 0 && named == expected,
            "{named}"
        );
        state.advance(1, named, named);
        let (delivered, read) = state.members()[1].cursors();
        for cursor in [delivered, read] {
            assert!(
                cursor == Position::START || state.messages.has(cursor),
                "{named}: {cursor}"
            );
        }
    }
}

#[test]
fn a_stored_cursor_that_names_no_message_is_brought_back() {
    let stored = [((0, 1 << 60), (0, 0)), ((1, 5), (1, 2)), ((2, 9), (2, 9))];
    for ((epoch, seq), expected) in stored {
        let mut record = record();
        record.epochs = vec![Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 2 }];
        record.members[0].read = Position::new(epoch, seq);
        let state = State::new(&record, &RULES, START);
        let read = state.members()[0].cursors().1;
        assert_eq!(read, Position::new(expected.0, expected.1));
    }
}

#[test]
fn cursors_move_forward_and_not_past_the_head() {
    let mut state = state();
    appended(&mut state, message(1, 0));
    appended(&mut state, message(2, 0));
    assert_eq!(state.unread(1), 2);
    assert!(state.advance(1, Position::new(1, 9), Position::START));
    assert!(state.advance(1, Position::START, Position::new(1, 1)));
    assert!(
        !state.advance(1, Position::new(1, 1), Position::START),
        "never back"
    );
    assert_eq!(state.take_dirty_cursors(), [], "another node stores them");
    state.member_mut(1).expect("a member").mark_dirty();
    let dirty = state.take_dirty_cursors();
    let moved = Cursors {
        chat: state.chat,
        member: 1,
        delivered: Position::new(1, 2),
        read: Position::new(1, 1),
    };
    assert_eq!(dirty, [moved]);
    assert_eq!(state.take_dirty_cursors(), []);
    assert_eq!(state.unread(1), 1);
    assert_eq!(state.unread(0), 0);
}

#[test]
fn what_a_member_does_in_a_chat_that_is_over_is_not_news_for_the_other_one() {
    let signals = [
        Signal::Typing(true),
        Signal::Presence(PresenceState::Away),
        Signal::Cursors {
            delivered: Position::new(1, 1),
            read: Position::new(1, 1),
        },
    ];
    for signal in signals {
        for has_ended in [false, true] {
            let mut state = state();
            appended(&mut state, message(1, 0));
            if has_ended {
                state.set_end(ChatEnd {
                    reason: EndReason::Left,
                    member: Some(0),
                    at: START,
                    expires_at: START + 60_000,
                });
            }
            assert_eq!(state.signal(1, signal), !has_ended, "{signal:?}");
        }
    }
}

#[test]
fn time_ends_a_chat_for_its_reason() {
    let expires_at = START + 86_400_000;
    let due = |state: &State, at| state.due_end(&RULES, PATIENCE, expires_at, at);
    let mut state = state();
    assert_eq!(due(&state, START + 119_999), Due::Nothing);
    assert_eq!(due(&state, START + 120_000), Due::IdleNotice);
    state.set_idle_notice(&RULES);
    assert_eq!(
        due(&state, START + 120_000),
        Due::Nothing,
        "one notice is enough"
    );
    assert_eq!(
        due(&state, START + 300_000),
        Due::End(EndReason::Idle, None)
    );
    let spoken = StoredMessage {
        at: START + 200_000,
        ..message(1, 0)
    };
    appended(&mut state, spoken);
    assert_eq!(due(&state, START + 300_000), Due::Nothing, "someone spoke");

    seat(&mut state, 1, SeatState::Held, START + 250_000);
    assert_eq!(
        due(&state, START + 250_000),
        Due::End(EndReason::Gone, Some(1))
    );
    state.members_mut()[1].set_home(Home::Unknown);
    assert_eq!(
        due(&state, START + 269_999),
        Due::Nothing,
        "a member of another node may be back there"
    );
    assert_eq!(
        due(&state, START + 270_000),
        Due::End(EndReason::Gone, Some(1))
    );
    seat(&mut state, 1, SeatState::Taken, 0);
    assert_eq!(due(&state, START + 270_000), Due::Nothing);
    assert_eq!(due(&state, expires_at), Due::End(EndReason::Expired, None));
}

fn rebuilt(epochs: &[Epoch], stored: &[StoredMessage]) -> Rebuilt {
    let mut rebuilt = Rebuilt::default();
    for message in stored {
        assert!(rebuilt.push(message), "{}", message.position);
    }
    rebuilt.epochs = epochs.to_vec();
    rebuilt
}

#[test]
fn a_rebuilt_state_knows_what_the_store_has() {
    let mut state = State::new(&record(), &RULES, START);
    let deleted = StoredMessage {
        is_deleted: true,
        ..message(2, 1)
    };
    let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 2 }];
    let stored = rebuilt(&epochs, &[message(1, 0), deleted]);
    assert!(stored.is_whole());
    state.messages.rebuild(stored);
    let messages = &state.messages;
    assert_eq!((messages.head, messages.durable), (Position::new(1, 2), 2));
    assert_eq!(
        [1, 2, 3].map(|seq| messages.sender(seq)),
        [Some(0), Some(1), None]
    );
    assert_eq!(messages.deleted, [Position::new(1, 2)]);
    assert_eq!(messages.position_of(2), Position::new(1, 2));
    assert_eq!(messages.position_of(3), Position::new(2, 3));
    assert_eq!(messages.position_of(0), Position::START);
}

#[test]
fn what_was_read_while_an_epoch_began_is_read_again() {
    let mut gap = rebuilt(&[], &[message(1, 0)]);
    assert!(!gap.push(&message(3, 0)), "a gap");
    let stored = [message(1, 0), message(2, 0)];
    for (base, is_whole) in [(1, false), (2, true), (3, false)] {
        let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base }];
        assert_eq!(rebuilt(&epochs, &stored).is_whole(), is_whole, "{base}");
    }
}

#[test]
fn those_are_acked_whose_messages_became_durable() {
    let mut state = state();
    for (seq, member) in [(1, 0), (2, 0), (3, 1)] {
        appended(&mut state, message(seq, member));
    }
    let mut acked = |seq| state.messages.persisted(Position::new(1, seq));
    assert_eq!(acked(2), [0], "once for both");
    assert_eq!(acked(2), [0; 0], "again");
    assert_eq!(acked(9), [1], "and one that is still on its way");
}

#[test]
fn what_another_node_made_durable_is_not_stored_again() {
    let mut state = state();
    appended(&mut state, message(1, 0));
    appended(&mut state, message(3, 0));
    durable(&mut state, 3);
    assert_eq!(state.messages.progress().durable, 1, "seq 2 is on its way");
    appended(&mut state, message(2, 1));
    assert_eq!(state.messages.progress().durable, 3);
    assert!(!state.messages.has_unpersisted());
    durable(&mut state, 5);
    for seq in 4..=6 {
        appended(&mut state, message(seq, 0));
    }
    assert_eq!(seqs(&state.messages.next_batch()), [6]);
    state.messages.persisted(Position::new(2, 9));
    assert_eq!(state.messages.durable, 5, "of an epoch that is not known");
}

#[test]
fn g3_frames_come_in_order_however_they_arrived() {
    let mut state = state();
    assert_eq!(appended(&mut state, message(3, 0)), 0);
    assert_eq!(appended(&mut state, message(1, 1)), 1);
    assert_eq!(state.messages.head, Position::new(1, 1));
    let first = (1, Bytes::from("frame 1"));
    assert_eq!(frames_after(&state, 0), Some(vec![first.clone()]));
    assert_eq!(appended(&mut state, message(2, 1)), 2);
    let all = vec![
        first,
        (2, Bytes::from("frame 2")),
        (3, Bytes::from("frame 3")),
    ];
    assert_eq!(frames_after(&state, 0), Some(all));
}

#[test]
fn a_gap_that_stays_is_torn_and_void_in_the_next_epoch() {
    let mut state = state();
    appended(&mut state, message(1, 0));
    appended(&mut state, message(3, 0));
    assert!(!state.messages.is_torn(), "seq 2 may be on its way");
    assert!(state.messages.is_torn());
    let drops = state.messages.drops;
    let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 1 }];
    state.messages.rebuild(rebuilt(&epochs, &[message(1, 0)]));
    assert_eq!(state.messages.drops, drops + 1, "who sent seq 3 is told");
    assert!(!state.messages.is_torn());
    assert_eq!(state.messages.position_of(1), Position::new(1, 1));
    assert_ne!(state.messages.position_of(3), Position::new(1, 3), "void");
    let second = StoredMessage {
        position: Position::new(2, 2),
        ..message(2, 1)
    };
    assert_eq!(appended(&mut state, second), 1);
    assert_eq!(state.messages.progress().epoch, 2);
}

#[test]
fn a_member_is_counted_once_where_the_connection_is_and_no_longer_when_it_goes() {
    let mut state = state();
    assert_eq!(state.recount(), 2, "both are here");
    assert_eq!(state.recount(), 0, "and were counted");
    let there = Home::There(NodeId([1; 8]));
    state.member_mut(1).expect("two members").set_home(there);
    assert_eq!(state.recount(), -1);
    assert_eq!(state.recount(), 0);
    state.set_end(ChatEnd {
        reason: EndReason::Left,
        member: None,
        at: START,
        expires_at: START,
    });
    assert_eq!(state.recount(), -1, "nobody chats in an ended chat");
}

#[test]
fn a_rebuilt_tail_goes_on_after_what_the_store_has() {
    let mut state = state();
    let epochs = [Epoch { number: 1, base: 0 }];
    state
        .messages
        .rebuild(rebuilt(&epochs, &[message(1, 0), message(2, 1)]));
    assert_eq!(frames_after(&state, 1), None, "the store has seq 2");
    assert_eq!(appended(&mut state, message(3, 0)), 1);
    let third = vec![(3, Bytes::from("frame 3"))];
    assert_eq!(frames_after(&state, 2), Some(third));
}

#[test]
fn a_rebuild_fails_those_sends_alone_that_are_void() {
    let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 1 }];
    for (sent, expected) in [(1, 0), (2, 1), (3, 1)] {
        let mut state = state();
        for seq in 1..=sent {
            appended(&mut state, message(seq, 0));
        }
        durable(&mut state, sent - 1);
        state.messages.rebuild(rebuilt(&epochs, &[message(1, 0)]));
        assert_eq!(state.messages.drops, expected, "{sent}");
    }
}
