//! The output for a connection: each message once, in order, its own acks, and when it must start
//! again.

use nowrong_protocol::{ErrorCode, envelope::encode, frame::Ack};

use super::*;
use crate::chat_log::TAIL_FRAMES_MAX;

/// A connection of member 0 with its output so far.
struct Client {
    reader: Reader,
    live: Vec<u8>,
    frames: Vec<ServerFrame>,
}

impl Client {
    fn new(state: &State) -> Self {
        Self {
            reader: state.reader(0, state.messages.head),
            live: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Pulls; returns the output of the live lane as text, since frames here are text.
    fn pull(&mut self, state: &State) -> (Pulled, String) {
        self.live.clear();
        let pulled = state.pull(&mut self.reader, &mut self.live, &mut self.frames);
        (pulled, String::from_utf8_lossy(&self.live).into_owned())
    }

    /// Sends message `seq` as request `seq`, which the log places there.
    fn send(&mut self, state: &mut State, seq: u64) -> OwnMessage {
        let own = own(state, message(seq, 0));
        self.reader.sent(seq as u32, own.sent);
        own
    }

    fn failed(&mut self) -> Vec<u32> {
        let failed = self.frames.drain(..).filter_map(|frame| match frame {
            ServerFrame::Fail(fail) => {
                assert_eq!(fail.code, ErrorCode::STORAGE_UNAVAILABLE);
                Some(fail.request)
            }
            _ => None,
        });
        failed.collect()
    }
}

fn own(state: &mut State, message: StoredMessage) -> OwnMessage {
    let frame = Bytes::from(format!("frame {}", message.position.seq));
    state.append_own(message, frame)
}

fn ack(seq: u64) -> Vec<u8> {
    let at_ms = START + seq;
    let (request, position) = (seq as u32, Position::new(1, seq));
    encode(&Ack {
        request,
        position,
        at_ms,
    })
    .to_vec()
}

#[test]
fn g2_a_client_is_given_each_message_once_and_its_own_by_the_ack() {
    let mut state = state();
    let mut client = Client::new(&state);
    appended(&mut state, message(1, 1));
    assert_eq!(client.pull(&state), (Pulled::All, "frame 1".into()));
    assert_eq!(client.pull(&state), (Pulled::All, String::new()));
    client.send(&mut state, 2);
    appended(&mut state, message(3, 1));
    assert_eq!(client.pull(&state), (Pulled::All, "frame 3".into()));
    assert_eq!(client.reader.unacked(), 1);
    durable(&mut state, 1);
    assert_eq!(client.pull(&state), (Pulled::All, String::new()), "not yet");
    durable(&mut state, 2);
    client.pull(&state);
    assert_eq!(client.live, ack(2));
    assert_eq!(client.reader.unacked(), 0);
}

#[test]
fn an_own_message_behind_others_is_left_out_when_its_turn_comes() {
    let mut state = state();
    let mut client = Client::new(&state);
    appended(&mut state, message(1, 1));
    client.send(&mut state, 2);
    appended(&mut state, message(3, 1));
    assert_eq!(client.pull(&state), (Pulled::All, "frame 1frame 3".into()));
}

#[test]
fn a_message_that_was_sent_before_is_told_like_one_of_others() {
    let mut state = state();
    let mut client = Client::new(&state);
    let own = own(&mut state, message(1, 0));
    let again = Sent {
        is_new: false,
        ..own.sent
    };
    client.reader.sent(7, again);
    assert_eq!(client.pull(&state).1, "frame 1");
}

#[test]
fn what_was_dropped_fails_and_a_later_send_waits_on() {
    let mut state = state();
    let mut client = Client::new(&state);
    client.send(&mut state, 1);
    state.messages.drops += 1;
    client.send(&mut state, 2);
    client.pull(&state);
    assert_eq!(client.failed(), [1]);
    assert_eq!(client.reader.unacked(), 1);
}

#[test]
fn what_the_store_refused_waits_and_is_acked_when_it_is_stored() {
    let mut state = state();
    let mut client = Client::new(&state);
    assert!(!state.messages.is_refused());
    client.send(&mut state, 1);
    assert_eq!(seqs(&state.take_batch()), [1]);
    assert!(!state.messages.is_refused(), "it is under way");
    state.messages.set_refused();
    assert!(state.messages.is_refused(), "a next one must wait");
    client.pull(&state);
    assert_eq!(client.failed(), [0u32; 0], "others may see it already");
    assert_eq!(seqs(&state.take_batch()), [1], "it is handed over again");
    durable(&mut state, 1);
    client.pull(&state);
    assert_eq!(client.live, ack(1));
    assert!(!state.messages.is_refused());
    client.send(&mut state, 2);
    assert!(!state.messages.is_refused(), "the store takes them again");
}

#[test]
fn a_send_that_waits_for_too_long_is_to_be_sent_again_and_its_message_waits_on() {
    let mut state = state();
    let mut client = Client::new(&state);
    let own = client.send(&mut state, 1);
    let patience_ends = START + 1 + STORE_PATIENCE_MS;
    for now in [START + 1, patience_ends - 1] {
        assert!(!state.messages.note_time(now));
    }
    client.pull(&state);
    assert_eq!(client.failed(), [0u32; 0]);
    assert!(state.messages.note_time(patience_ends));
    client.pull(&state);
    assert_eq!(client.failed(), [1]);
    assert!(state.messages.is_refused(), "whatever keeps the store");
    assert_eq!(seqs(&state.take_batch()), [1], "its message is not dropped");
    let again = Sent {
        is_new: false,
        since: patience_ends + 1,
        ..own.sent
    };
    client.reader.sent(9, again);
    client.pull(&state);
    assert_eq!(client.failed(), [0u32; 0], "the new send has its own time");
    durable(&mut state, 1);
    client.pull(&state);
    let (request, position, at_ms) = (9, Position::new(1, 1), START + 1);
    let acked = encode(&Ack {
        request,
        position,
        at_ms,
    });
    assert_eq!(client.live, acked);
}

#[test]
fn as_long_as_the_store_takes_some_nothing_is_late() {
    let mut state = state();
    for seq in 1..=4 {
        own(&mut state, message(seq, 0));
        // Also after a jump of the clock, or when another node's clock is far behind.
        let now = START + seq * 2 * STORE_PATIENCE_MS;
        assert!(!state.messages.note_time(now), "{seq}");
        durable(&mut state, seq);
    }
    assert_eq!(state.messages.progress().late_until, 0);
}

#[test]
fn what_is_not_stored_of_an_erased_chat_fails_for_good() {
    let mut state = state();
    let mut client = Client::new(&state);
    client.send(&mut state, 1);
    client.send(&mut state, 2);
    durable(&mut state, 1);
    state.messages.set_gone();
    client.pull(&state);
    assert_eq!(client.live, ack(1));
    let [ServerFrame::Fail(fail)] = &client.frames[..] else {
        panic!("{:?}", client.frames);
    };
    assert_eq!((fail.request, fail.code), (2, ErrorCode::CHAT_ENDED));
    assert!(!state.messages.has_unpersisted() && !state.messages.is_refused());
    // One that was under way meanwhile fails too.
    client.frames.clear();
    client.send(&mut state, 3);
    client.pull(&state);
    assert_eq!(client.frames.len(), 1);
    assert_eq!(client.reader.unacked(), 0);
}

#[test]
fn g4_a_client_far_behind_gets_the_gap_from_the_store() {
    let mut state = state();
    let mut client = Client::new(&state);
    let head = TAIL_FRAMES_MAX as u64 + 2;
    for seq in 1..=head {
        appended(&mut state, message(seq, 1));
    }
    assert_eq!(client.pull(&state).0, Pulled::Behind(Position::START));
    for seq in 1..=2 {
        assert!(client.reader.take(seq, b"stored", &mut client.live));
    }
    let (pulled, text) = client.pull(&state);
    assert_eq!(pulled, Pulled::All);
    assert!(text.starts_with("frame 3frame 4"), "{text}");
    assert!(text.ends_with(&format!("frame {head}")));
}

#[test]
fn a_full_write_ends_the_pull_and_the_rest_comes_with_the_next() {
    let mut state = state();
    let mut client = Client::new(&state);
    let long = Bytes::from(vec![b'x'; 40 * 1024]);
    for seq in 1..=3 {
        state.appended(message(seq, 1), long.clone());
    }
    // The tail has dropped the first frames by now.
    assert_eq!(client.pull(&state).0, Pulled::Behind(Position::START));
    client.reader.take(1, b"", &mut client.live);
    client.reader.take(2, b"", &mut client.live);
    state.appended(message(4, 1), Bytes::from_static(b"last"));
    client.live = vec![0; 64 * 1024];
    let pulled = state.pull(&mut client.reader, &mut client.live, &mut client.frames);
    assert_eq!((pulled, client.live.len()), (Pulled::Part, 64 * 1024));
    assert!(!client.reader.take(3, b"no room", &mut client.live));
    let (pulled, text) = client.pull(&state);
    assert_eq!(pulled, Pulled::All);
    assert!(text.ends_with("last"));
}

#[test]
fn g3_a_client_that_was_told_what_is_void_must_resume() {
    let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 1 }];
    for (told, expected) in [(1, Pulled::All), (2, Pulled::Void)] {
        let mut state = state();
        let mut client = Client::new(&state);
        for seq in 1..=told {
            appended(&mut state, message(seq, 1));
        }
        client.pull(&state);
        state.messages.rebuild(rebuilt(&epochs, &[message(1, 1)]));
        assert_eq!(client.pull(&state).0, expected, "{told}");
        if expected == Pulled::All {
            assert_eq!(client.reader.epoch(), 2);
        }
    }
}

#[test]
fn a_void_send_fails_and_is_not_taken_for_told() {
    let mut state = state();
    let mut client = Client::new(&state);
    appended(&mut state, message(1, 1));
    client.pull(&state);
    // Placed at 3, after one that is on its way; the next epoch continues after 1.
    client.send(&mut state, 3);
    let epochs = [Epoch { number: 1, base: 0 }, Epoch { number: 2, base: 1 }];
    state.messages.rebuild(rebuilt(&epochs, &[message(1, 1)]));
    assert_eq!(client.pull(&state).0, Pulled::All);
    assert_eq!(client.failed(), [3]);
    let late = own(&mut state, message(2, 0));
    assert!(!late.sent.is_new, "void before it was counted");
    assert_eq!(late.counted, 0);
}

#[test]
fn an_own_message_waits_for_the_store_once_and_counts_what_waited_for_it() {
    let mut state = state();
    appended(&mut state, message(2, 1));
    let first = own(&mut state, message(1, 0));
    assert_eq!((first.counted, first.is_newly_queued), (2, true));
    assert!(!own(&mut state, message(3, 0)).is_newly_queued);
    assert_eq!(seqs(&state.take_batch()), [1, 2, 3]);
    assert!(state.queue_to_persist(), "it may be queued again");
}

#[test]
fn the_followers_of_the_newest_position_stay() {
    let mut state = state();
    let node = NodeId([7; 8]);
    state.set_followers(Position::new(1, 1), vec![node]);
    appended(&mut state, message(1, 0));
    state.set_followers(Position::new(1, 1), vec![]);
    assert_eq!(state.elsewhere, [node], "an older reply came later");
    state.set_followers(Position::new(1, 2), vec![]);
    assert!(state.elsewhere.is_empty());
    // The reply to 4 comes before that to 3, whose message is then still missing here.
    state.set_followers(Position::new(1, 4), vec![node]);
    appended(&mut state, message(4, 0));
    state.set_followers(Position::new(1, 3), vec![]);
    assert_eq!(state.elsewhere, [node], "an older reply, ahead of the head");
}

#[test]
fn a_check_is_queued_once_until_it_begins() {
    let mut state = state();
    assert!(state.queue_to_check());
    assert!(!state.queue_to_check());
    state.begin_check();
    assert!(state.queue_to_check());
}
