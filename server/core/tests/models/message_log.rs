//! The log of one chat in a cluster: several nodes, a Redis that forgets, and a store that does
//! not.
//!
//! # The system
//!
//! Two members talk, each through a connection on one of two nodes. Redis gives out positions
//! ([`Log`]); the store ([`Store`]) keeps messages under `(epoch, seq)` and the epochs of the chat.
//! A message is delivered as soon as it has a position, and acked when it is durable. Redis may be
//! replaced at any moment by a replica that lacks the newest writes or all of them; then the log
//! continues from the store under the next epoch, and messages that never reached the store are
//! void. The store may erase the chat at any moment (it expires, or somebody removes it): then nothing
//! more may be acked.
//!
//! # How to read it
//!
//! [`Action`] lists the steps. Each is atomic: it is one call to Redis, one to the store, or one
//! decision of a node. Between two steps of a node anything may happen, so a node that is slow or
//! stopped for a while needs no action of its own. `steps.rs` has the effect of each action,
//! `properties.rs` the properties. Each [`Rule`] can be switched off; `tests.rs` shows that each is
//! needed, by the counterexample that appears without it.
//!
//! # What the adapters must do
//!
//! They must do exactly these steps, in the order that the [`Rule`]s demand. Each step of an
//! adapter names its action.

use std::collections::BTreeMap;

use crate::checker::Model;

mod properties;
mod steps;
mod tests;

/// Index of a message in [`Bounds::senders`]; stands for (member, client message id).
type Id = u8;
type Number = u8;
type Seq = u8;

/// The rules of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A log in Redis is good only under the replication id under which it was seeded: after every
    /// failover and restart the log counts as missing, however much of it is left.
    BindLogToMaster,
    /// Only the node that began an epoch seeds it, and only on the master that had no log before
    /// the epoch began. The seed names that master, so it may be sent again, and another master
    /// refuses it.
    SeedOwnEpoch,
    /// `append` refuses a node that believes in another epoch.
    FenceAppend,
    /// Reading the log returns its epoch, and messages of another epoch are ignored.
    FenceRead,
    /// `append` knows the ids that already have a position in this epoch.
    KnowAppended,
    /// The seed has the ids of all stored messages up to the base.
    KnowStored,
    /// A seed does not replace a log of the same or a newer epoch.
    SeedNewerOnly,
    /// The ids of the seed are read after the base was set.
    ReadKnownAfterBase,
    /// A node stores the whole run of messages after the last one that it knows to be durable,
    /// those of all senders.
    StoreWholeRun,
    /// The messages of a run become durable in ascending order.
    StoreAscending,
    /// After a durable write the epoch is read again, and acks follow only if it is unchanged.
    RecheckEpoch,
    /// After a durable write the chat and its key are read again, and acks follow only if both are there.
    RecheckChat,
    /// The epoch is counted up first, then the base is read.
    BumpThenBase,
    /// The base is the newest surviving message: void messages stay void.
    BaseOfSurvivors,
    /// A base that is set stays, although another node read the newest message later.
    SetBaseOnce,
    /// Every reader of the store ignores messages beyond the base of a later epoch.
    IgnoreVoid,
    /// A node that loads a chat reads the messages first, then the epochs.
    MessagesThenEpochs,
    /// An ack waits until the message is durable.
    AckDurable,
    /// An inbox entry of an older epoch is ignored.
    IgnoreOldInbox,
    /// A client drops messages beyond the resume point, both at a resume and when it learns of a
    /// new epoch.
    Truncate,
    /// Nodes look at the log from time to time, because inbox entries may be lost.
    CheckLog,
    /// A node that meets a client from a newer epoch loads the chat again.
    FollowClient,
}

/// One step of one part of the system. `n` is a node, `c` a member and its client, `m` a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// First half of loading the chat: the node reads all messages from the store.
    LoadMessages { n: usize },
    /// Second half: the node reads the epochs, and keeps the surviving messages.
    LoadEpochs { n: usize },
    /// The script in Redis gives a message a position, or returns the position that it already has,
    /// or refuses.
    Append { n: usize, m: Id },
    /// The node takes an entry from its inbox: at any time, any number of times, or never.
    TakeInbox { n: usize, entry: usize },
    /// The node reads the next part of the log.
    CheckLog { n: usize },
    /// The node sends the store the run of messages that should become durable.
    Persist { n: usize },
    /// The store accepts one message of the run.
    Insert { n: usize, at: usize },
    /// The store accepts one message of a run whose node no longer waits for it.
    InsertLate { at: usize },
    /// The whole run is durable; the node reads the epoch again.
    Recheck { n: usize },
    /// The sender gets its ack.
    Ack { n: usize, m: Id },
    /// Redis has no log of this epoch: the node increments the epoch in the store, if it is still
    /// the one that the node knows.
    BumpEpoch { n: usize },
    /// Any node that finds an epoch without a base reads the newest surviving message, and writes
    /// it as the base unless one is set by now.
    SetBase,
    /// The script in Redis accepts the new log, unless it has a newer one.
    Seed { n: usize },
    /// The connection truncates the messages that its client holds, and delivers the missing ones.
    Deliver { c: usize },
    /// A client without a connection gets one.
    Connect { c: usize, n: usize },
    /// Fault: a client moves to a connection on another node; the old node still acts on the
    /// client's sends.
    Move { c: usize },
    /// Fault: a node loses its memory.
    Crash { n: usize },
    /// Fault: a replica takes over, with the seed and `keep` messages of the log, or without a log.
    /// Nodes that have not noticed continue with the old master.
    Failover { keep: Option<usize> },
    /// Fault: the log drops its oldest message.
    Trim,
    /// The node notices the failover.
    Redirect { n: usize },
    /// Fault: the store erases the chat.
    Erase,
    /// Only without [`Rule::BumpThenBase`]: the base is read before the epoch is incremented.
    ReadBase { n: usize },
}

/// The size of the model.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The sender of each message.
    senders: &'static [usize],
    crashes: u8,
    failovers: u8,
    moves: u8,
    trims: u8,
    erasures: u8,
    epochs_max: Number,
}

/// The model, with all rules or without one of them.
#[derive(Clone, Copy, Debug)]
struct MessageLog {
    bounds: Bounds,
    without: Option<Rule>,
}

#[derive(Clone, Debug, Hash, PartialEq)]
struct State {
    store: Store,
    /// The log of the master.
    redis: Option<Log>,
    /// The log of a replaced master, as long as some node has not noticed the change.
    deposed: Option<Log>,
    nodes: [Node; 2],
    clients: [Client; 2],
    /// All entries that were ever put into an inbox.
    inbox: Vec<Entry>,
    /// A run of a node that crashed or loaded the chat again: it may still arrive.
    late: Option<Run>,
    /// The position with which each message was acked.
    acked: Vec<Option<(Number, Seq)>>,
    faults: Faults,
    /// Whether a position was found to have two messages.
    has_conflict: bool,
}

/// Faults that may still happen.
#[derive(Clone, Debug, Hash, PartialEq)]
struct Faults {
    crashes: u8,
    failovers: u8,
    moves: u8,
    trims: u8,
    erasures: u8,
}

type Rows = BTreeMap<(Number, Seq), Id>;

/// The data in MongoDB: majority writes, never lost.
#[derive(Clone, Debug, Hash, PartialEq)]
struct Store {
    /// The bases of the epochs, from number 1; only the last may not be set yet.
    bases: Vec<Option<Seq>>,
    rows: Rows,
    /// The messages that it had when it erased the chat.
    erased: Option<Vec<Id>>,
}

/// The data of the chat in Redis.
#[derive(Clone, Debug, Hash, PartialEq)]
struct Log {
    number: Number,
    base: Seq,
    /// The ids that were stored when it was seeded.
    known: Vec<Id>,
    /// The messages after the base.
    appended: Vec<Id>,
    /// How many of them can no longer be read.
    trimmed: usize,
}

#[derive(Clone, Debug, Hash, PartialEq)]
struct Entry {
    number: Number,
    seq: Seq,
    m: Id,
}

#[derive(Clone, Debug, Default, Hash, PartialEq)]
struct Node {
    chat: Option<Chat>,
    /// The first half of a load.
    read: Option<Read>,
    /// The messages that it has sent to the store; empty when all of them are durable.
    run: Option<Run>,
    /// The epoch that it may seed.
    begun: Option<Begun>,
    /// Sends of clients that have moved away.
    left: Vec<Id>,
    /// It talks to a replaced master.
    is_on_deposed: bool,
    /// Only without a rule: the base it has read.
    base_read: Option<Seq>,
    /// Only without a rule: ids it has read before the base was set.
    known_read: Vec<Id>,
}

/// An epoch that a node began.
#[derive(Clone, Copy, Debug, Hash, PartialEq)]
struct Begun {
    number: Number,
    /// The master at that time.
    master: u8,
}

#[derive(Clone, Debug, Hash, PartialEq)]
enum Read {
    Messages(Rows),
    /// Only without [`Rule::MessagesThenEpochs`].
    Epochs(Vec<Seq>),
}

/// A node's knowledge of the chat.
#[derive(Clone, Debug, Hash, PartialEq)]
struct Chat {
    bases: Vec<Seq>,
    /// Messages from seq 1 without a gap.
    log: Vec<Id>,
    durable: Seq,
    /// Whether it needs a new epoch, because the log cannot be continued.
    is_torn: bool,
}

#[derive(Clone, Debug, Hash, PartialEq)]
struct Run {
    number: Number,
    rows: Vec<(Seq, Id)>,
    /// When the run is done, everything up to here is durable.
    up_to: Seq,
}

#[derive(Clone, Debug, Default, Hash, PartialEq)]
struct Client {
    node: Option<usize>,
    /// The messages that it shows, from seq 1.
    held: Vec<Id>,
    /// The epoch of the last one.
    number: Number,
}

impl Chat {
    fn number(&self) -> Number {
        self.bases.len() as Number
    }
}

impl Store {
    fn number(&self) -> Number {
        self.bases.len() as Number
    }

    /// The bases, if all are set.
    fn set_bases(&self) -> Option<Vec<Seq>> {
        self.bases.iter().copied().collect()
    }

    /// The bases that are set.
    fn bases_so_far(&self) -> Vec<Seq> {
        self.bases.iter().flatten().copied().collect()
    }
}

impl Model for MessageLog {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let Bounds {
            crashes,
            failovers,
            moves,
            trims,
            erasures,
            ..
        } = self.bounds;
        let client = |n| Client {
            node: Some(n),
            ..Client::default()
        };
        State {
            store: Store {
                bases: vec![Some(0)],
                rows: Rows::new(),
                erased: None,
            },
            redis: Some(Log {
                number: 1,
                base: 0,
                known: Vec::new(),
                appended: Vec::new(),
                trimmed: 0,
            }),
            deposed: None,
            nodes: [Node::default(), Node::default()],
            clients: [client(0), client(1)],
            inbox: Vec::new(),
            late: None,
            acked: vec![None; self.bounds.senders.len()],
            faults: Faults {
                crashes,
                failovers,
                moves,
                trims,
                erasures,
            },
            has_conflict: false,
        }
    }

    fn actions(&self, s: &State) -> Vec<Action> {
        let mut actions = Vec::with_capacity(32);
        for n in 0..s.nodes.len() {
            self.node_actions(s, n, &mut actions);
        }
        for c in 0..s.clients.len() {
            if s.clients[c].node.is_none() {
                actions.extend((0..s.nodes.len()).map(|n| Action::Connect { c, n }));
                continue;
            }
            actions.push(Action::Deliver { c });
            if s.faults.moves > 0 {
                actions.push(Action::Move { c });
            }
        }
        if s.store.bases.last() == Some(&None) || !self.has(Rule::SetBaseOnce) {
            actions.push(Action::SetBase);
        }
        let late = s.late.iter().flat_map(|run| 0..run.rows.len());
        actions.extend(late.map(|at| Action::InsertLate { at }));
        self.faults(s, &mut actions);
        actions
    }

    fn apply(&self, s: &mut State, action: Action) -> bool {
        let happened = self.perform(s, action).is_some();
        steps::forget(s, self.without);
        happened
    }

    fn broken(&self, s: &State) -> Option<&'static str> {
        properties::broken(s, self.without)
    }

    fn is_guaranteed(&self, action: Action) -> bool {
        !matches!(
            action,
            Action::TakeInbox { .. }
                | Action::InsertLate { .. }
                | Action::Move { .. }
                | Action::Crash { .. }
                | Action::Failover { .. }
                | Action::Trim
                | Action::Erase
        )
    }

    fn is_goal(&self, s: &State) -> bool {
        // The members of an erased chat are told that it ended, as soon as a node learns of it.
        if s.store.erased.is_some() {
            return true;
        }
        let all = self.bounds.senders.len();
        let is_caught_up = |c: &Client| c.node.is_some() && c.held.len() == all;
        s.acked.iter().all(Option::is_some) && s.clients.iter().all(is_caught_up)
    }

    fn is_at_bound(&self, s: &State) -> bool {
        s.store.number() >= self.bounds.epochs_max
    }
}

impl MessageLog {
    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// The master that the node talks to.
    fn master(&self, s: &State, n: usize) -> u8 {
        let newest = self.bounds.failovers - s.faults.failovers;
        newest - u8::from(s.nodes[n].is_on_deposed)
    }

    fn node_actions(&self, s: &State, n: usize, actions: &mut Vec<Action>) {
        let node = &s.nodes[n];
        if node.chat.is_none() {
            actions.push(Action::LoadMessages { n });
        }
        if node.read.is_some() {
            actions.push(Action::LoadEpochs { n });
        }
        if node.is_on_deposed {
            actions.push(Action::Redirect { n });
        }
        if let Some(run) = &node.run {
            actions.push(Action::Recheck { n });
            actions.extend((0..run.rows.len()).map(|at| Action::Insert { n, at }));
        }
        if s.faults.crashes > 0 {
            actions.push(Action::Crash { n });
        }
        if node.chat.is_some() {
            let ids = (0..).zip(self.bounds.senders);
            for (m, sender) in ids.filter(|(m, _)| s.acked[usize::from(*m)].is_none()) {
                if s.clients[*sender].node == Some(n) {
                    actions.extend([Action::Append { n, m }, Action::Ack { n, m }]);
                }
            }
            actions.extend(node.left.iter().map(|m| Action::Append { n, m: *m }));
            actions.extend((0..s.inbox.len()).map(|entry| Action::TakeInbox { n, entry }));
            actions.extend([Action::CheckLog { n }, Action::BumpEpoch { n }]);
            if node.run.is_none() {
                actions.push(Action::Persist { n });
            }
            if node.begun.is_some() || !self.has(Rule::SeedOwnEpoch) {
                actions.push(Action::Seed { n });
            }
            if !self.has(Rule::BumpThenBase) {
                actions.push(Action::ReadBase { n });
            }
        }
    }

    fn faults(&self, s: &State, actions: &mut Vec<Action>) {
        if s.faults.failovers > 0 {
            actions.push(Action::Failover { keep: None });
            if let Some(log) = s
                .redis
                .as_ref()
                .filter(|_| !self.has(Rule::BindLogToMaster))
            {
                let kept = 0..=log.appended.len();
                actions.extend(kept.map(|keep| Action::Failover { keep: Some(keep) }));
            }
        }
        if s.faults.trims > 0 {
            actions.push(Action::Trim);
        }
        if s.faults.erasures > 0 {
            actions.push(Action::Erase);
        }
    }
}
