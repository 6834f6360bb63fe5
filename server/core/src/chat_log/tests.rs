//! Compares the log and the resume rule with a naive model of server, store and client.

use proptest::prelude::*;

use super::*;

fn id(n: u64) -> ClientMessageId {
    ClientMessageId::v7(n, &[7; 10])
}

fn log(base: u64) -> ChatLog {
    ChatLog::new(Epoch { number: 1, base }, [])
}

fn append(log: &mut ChatLog, n: u64) -> Appended {
    log.append(0, id(n), n, true)
}

#[test]
fn positions_count_from_one_without_a_gap() {
    let mut log = log(0);
    assert_eq!(log.head(), Position::START);
    for n in 1..=5 {
        assert_eq!(append(&mut log, n), Appended::New(Position::new(1, n)));
    }
    assert_eq!(log.head(), Position::new(1, 5));
}

#[test]
fn a_log_gives_positions_in_its_own_epoch() {
    let epoch = Epoch { number: 4, base: 0 };
    let mut log = ChatLog::new(epoch, []);
    assert_eq!(log.epoch(), 4);
    assert_eq!(append(&mut log, 1), Appended::New(Position::new(4, 1)));
}

#[test]
fn a_message_sent_again_has_its_first_position_and_time() {
    let mut log = log(0);
    append(&mut log, 1);
    let again = log.append(0, id(1), 99, true);
    assert_eq!(again, Appended::Again(Position::new(1, 1), 1));
    let other_member = log.append(1, id(1), 2, true);
    assert_eq!(other_member, Appended::New(Position::new(1, 2)));
}

#[test]
fn a_rebuilt_log_goes_on_after_its_base_and_knows_what_is_stored() {
    let known = |n, epoch| KnownMessage {
        member: 0,
        client_message_id: id(n),
        position: Position::new(epoch, n),
        at: n,
    };
    let epoch = Epoch { number: 4, base: 2 };
    let mut log = ChatLog::new(epoch, [known(1, 1), known(2, 2), known(3, 3)]);
    assert_eq!(log.head(), Position::new(2, 2));
    assert_eq!(append(&mut log, 2), Appended::Again(Position::new(2, 2), 2));
    assert_eq!(append(&mut log, 3), Appended::New(Position::new(4, 3)));
}

#[test]
fn a_chat_has_at_most_its_messages() {
    let mut log = log(CHAT_MESSAGES_MAX as u64 - 1);
    assert_eq!(append(&mut log, 1), Appended::New(Position::new(1, 10_000)));
    assert_eq!(append(&mut log, 2), Appended::Full);
    assert!(matches!(append(&mut log, 1), Appended::Again(..)));
}

#[test]
fn a_client_is_cut_back_to_what_outlived_the_restarts() {
    let epochs = [(1, 0), (2, 5), (3, 5), (5, 8)].map(|(number, base)| Epoch { number, base });
    let head = Position::new(5, 12);
    let from = |epoch, seq| Resume::From(Position::new(epoch, seq));
    for (asked, resume) in [
        ((0, 0), from(0, 0)),
        ((0, 7), from(0, 0)),
        ((1, 0), from(0, 0)),
        ((1, 3), from(1, 3)),
        ((1, 5), from(1, 5)),
        ((1, 9), from(1, 5)),
        ((2, 9), from(1, 5)),
        ((3, 7), from(3, 7)),
        ((3, 99), from(3, 8)),
        ((4, 99), from(3, 8)),
        ((5, 8), from(3, 8)),
        ((5, 10), from(5, 10)),
        ((5, 99), from(5, 12)),
        ((5, u64::MAX), from(5, 12)),
        ((6, 1), Resume::Beyond),
        ((u32::MAX, 0), Resume::Beyond),
    ] {
        let asked = Position::new(asked.0, asked.1);
        assert_eq!(resume_point(&epochs, asked, head), resume, "{asked}");
    }
    assert_eq!(
        resume_point(&[], Position::START, Position::START),
        from(0, 0)
    );
}

/// What can happen to a chat with a store, a server that dies, and a client that comes and goes.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message is appended; the connected client gets it at once, before it is durable.
    Send,
    /// An earlier message is sent once more by its sender.
    SendAgain(usize),
    /// The store commits this many more messages, in order.
    Commit(usize),
    /// The server dies and rebuilds the log from the store.
    Restart,
    /// The client loses its connection.
    Drop,
    /// The client comes back and resumes.
    Return,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Send),
        2 => (0..40_usize).prop_map(Step::SendAgain),
        3 => (0..6_usize).prop_map(Step::Commit),
        1 => Just(Step::Restart),
        1 => Just(Step::Drop),
        2 => Just(Step::Return),
    ]
}

/// A message in the model: its position and its content.
type Said = (Position, u64);

struct Model {
    log: ChatLog,
    epochs: Vec<Epoch>,
    /// All messages that the server has sent in this and earlier epochs, stored or not.
    said: Vec<Said>,
    stored: usize,
    sent: u64,
    client: Vec<Said>,
    is_connected: bool,
}

impl Model {
    fn new() -> Self {
        let epoch = Epoch { number: 1, base: 0 };
        Self {
            log: ChatLog::new(epoch, []),
            epochs: vec![epoch],
            said: Vec::new(),
            stored: 0,
            sent: 0,
            client: Vec::new(),
            is_connected: true,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send => {
                self.sent += 1;
                self.send(self.sent);
            }
            Step::SendAgain(back) => self.send(self.sent.saturating_sub(back as u64).max(1)),
            Step::Commit(count) => self.stored = (self.stored + count).min(self.said.len()),
            Step::Restart => self.restart(),
            Step::Drop => self.is_connected = false,
            Step::Return => self.resume(),
        }
    }

    fn send(&mut self, n: u64) {
        self.sent = self.sent.max(n);
        let before = self.said.iter().find(|(_, said)| *said == n).copied();
        match (before, append(&mut self.log, n)) {
            (Some((first, _)), Appended::Again(position, at)) => {
                assert_eq!((first, n), (position, at));
            }
            (None, Appended::New(position)) => {
                assert_eq!(position.seq, self.said.len() as u64 + 1, "no gap");
                self.said.push((position, n));
                if self.is_connected {
                    self.client.push((position, n));
                }
            }
            other => panic!("{n}: {other:?}"),
        }
    }

    fn restart(&mut self) {
        self.said.truncate(self.stored);
        let epoch = Epoch {
            number: self.epochs.len() as u32 + 1,
            base: self.stored as u64,
        };
        self.epochs.push(epoch);
        let known = self.said.iter().map(|(position, n)| KnownMessage {
            member: 0,
            client_message_id: id(*n),
            position: *position,
            at: *n,
        });
        self.log = ChatLog::new(epoch, known);
        self.is_connected = false;
    }

    fn resume(&mut self) {
        let asked = self
            .client
            .last()
            .map_or(Position::START, |(position, _)| *position);
        let Resume::From(from) = resume_point(&self.epochs, asked, self.log.head()) else {
            panic!("the client is never ahead of the server's epochs");
        };
        self.client.truncate(from.seq as usize);
        assert_eq!(
            self.client.last().map_or(Position::START, |(p, _)| *p),
            from
        );
        let gap = self.said[from.seq as usize..].to_vec();
        self.client.extend(gap);
        self.is_connected = true;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn g3_g4_any_history_of_restarts_leaves_no_gap_no_repeat_and_no_void_message(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            let head = model.said.last().map_or(Position::START, |(position, _)| *position);
            prop_assert_eq!(model.log.head(), head);
        }
        model.resume();
        prop_assert_eq!(&model.client, &model.said);
        prop_assert!(model.client.is_sorted_by(|a, b| a.0 < b.0), "one order");
        let mut messages: Vec<_> = model.client.iter().map(|(_, n)| *n).collect();
        messages.sort_unstable();
        messages.dedup();
        prop_assert_eq!(messages.len(), model.client.len(), "no repeat");
    }
}
