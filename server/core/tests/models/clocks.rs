//! The clocks of two nodes, of their machines and of the store: they differ, jump, stand still and
//! sleep, and nothing is erased before its time.
//!
//! Hours are the unit. A node judges with the real [`Watch`]; what it does with the verdict is the
//! shell's `Timekeeper`, step by step. The model has wrong clocks of every kind, but never two that
//! are wrong in the same way: then nobody could tell them from right ones.

use nowrong_core::clock::{Bounds, Course, Look, Offset, StoreTime, Watch};

use super::checker::{Model, check};

const HOUR_MS: u64 = 3_600_000;

/// How long a record lives.
const LIFE: i64 = 2;

/// Time ends here.
const END: i64 = 4;

const BOUNDS: Bounds = Bounds {
    off_max_ms: HOUR_MS / 2,
    hold_ms: HOUR_MS,
};

/// By what a node judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judge {
    /// As the server does.
    Watch,
    /// By the clock of its machine.
    Machine,
    /// By whatever the store says, at once.
    Store,
}

#[derive(Clone, Debug, Hash)]
struct Node {
    /// How far the machine's clock is ahead of the real time.
    machine: i64,
    /// How far the node's time is.
    time: i64,
    watch: Watch,
    may_sweep: bool,
    is_out: bool,
}

#[derive(Clone, Debug, Hash)]
struct State {
    /// The real time.
    now: i64,
    /// How far the store's clock is ahead of it.
    store: i64,
    nodes: [Node; 2],
    /// When the record was written, and by what time it expires, until it is erased.
    record: Option<(i64, i64)>,
    is_written: bool,
    was_erased_early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// An hour passes.
    Pass,
    /// The machine's clock is off by this from now on.
    Jump(usize, i64),
    /// The store's clock is.
    JumpStore(i64),
    /// An operator mends every clock.
    Mend,
    /// The machine slept for an hour; its clock went on.
    Sleep(usize),
    /// The node writes the record.
    Write(usize),
    /// The node looks at all clocks.
    Look(usize),
    /// The node sweeps.
    Sweep(usize),
    /// The node starts, after it left.
    Start(usize),
}

struct Clocks(Judge);

fn ms(hours: i64) -> i64 {
    hours * HOUR_MS as i64
}

impl Clocks {
    /// What the node's time is ahead of the real one.
    fn time(&self, s: &State, n: usize) -> i64 {
        match self.0 {
            Judge::Watch => s.nodes[n].time,
            Judge::Machine => s.nodes[n].machine,
            Judge::Store => s.store,
        }
    }

    fn look(s: &mut State, n: usize) {
        let node = &s.nodes[n];
        let store = Offset {
            ahead_ms: ms(s.store - node.time),
            error_ms: 0,
        };
        let look = Look {
            machine_ms: ms(node.machine - node.time),
            slept_ms: 0,
            store: StoreTime::Said(store),
            broker: None,
        };
        let node = &mut s.nodes[n];
        // When it looks matters only for what it says.
        let verdict = node.watch.judge(0, &look);
        if let Course::Step(by_ms) = verdict.course {
            node.time += (by_ms / HOUR_MS) as i64;
        }
        node.may_sweep = verdict.may_sweep;
        node.is_out |= verdict.leave.is_some();
    }

    /// A start learns the store's time, unless the machine's is beyond the bound.
    fn start(s: &mut State, n: usize) -> bool {
        let store = s.store;
        let node = &mut s.nodes[n];
        if !node.is_out || node.machine != store {
            return false;
        }
        (node.is_out, node.time) = (false, store);
        node.watch = Watch::new(BOUNDS, 0, false);
        Self::look(s, n);
        true
    }

    fn sweep(&self, s: &mut State, n: usize) -> bool {
        let Some((written, expires)) = s.record else {
            return false;
        };
        let time = self.time(s, n);
        let horizon = match self.0 {
            Judge::Watch if !s.nodes[n].may_sweep || time != s.store => return false,
            _ => s.now + time,
        };
        if expires > horizon {
            return false;
        }
        s.was_erased_early |= s.now < written + LIFE;
        s.record = None;
        true
    }
}

impl Model for Clocks {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let node = || Node {
            machine: 0,
            time: 0,
            watch: Watch::new(BOUNDS, 0, false),
            may_sweep: true,
            is_out: false,
        };
        State {
            now: 0,
            store: 0,
            nodes: [node(), node()],
            record: None,
            is_written: false,
            was_erased_early: false,
        }
    }

    fn actions(&self, _: &State) -> Vec<Action> {
        let mut actions = vec![Action::Pass, Action::Mend, Action::JumpStore(25)];
        // The nodes meet only in the store, so it is enough that the machine of one goes wrong.
        actions.extend([Action::Jump(0, 50), Action::Jump(0, -25), Action::Sleep(0)]);
        for n in 0..2 {
            actions.extend([
                Action::Write(n),
                Action::Look(n),
                Action::Sweep(n),
                Action::Start(n),
            ]);
        }
        actions
    }

    fn apply(&self, s: &mut State, action: Action) -> bool {
        match action {
            Action::Pass => {
                let is_over = s.now == END;
                s.now += i64::from(!is_over);
                !is_over
            }
            Action::Mend => {
                s.store = 0;
                s.nodes.iter_mut().for_each(|node| node.machine = 0);
                true
            }
            Action::JumpStore(to) => {
                s.store = to;
                true
            }
            Action::Jump(n, to) => {
                s.nodes[n].machine = to;
                true
            }
            Action::Sleep(n) => {
                // Once: the node has to look in between, or the model would not end.
                let node = &mut s.nodes[n];
                let is_awake = node.time == 0 && !node.is_out;
                node.time -= i64::from(is_awake);
                is_awake
            }
            Action::Write(n) => {
                let may_write = !s.is_written && !s.nodes[n].is_out && self.time(s, n) == s.store;
                if may_write {
                    s.record = Some((s.now, s.now + self.time(s, n) + LIFE));
                    s.is_written = true;
                }
                may_write
            }
            Action::Look(n) => {
                let is_in = !s.nodes[n].is_out;
                if is_in {
                    Self::look(s, n);
                }
                is_in
            }
            Action::Sweep(n) => !s.nodes[n].is_out && self.sweep(s, n),
            Action::Start(n) => Self::start(s, n),
        }
    }

    fn broken(&self, s: &State) -> Option<&'static str> {
        s.was_erased_early
            .then_some("a record was erased before its time")
    }

    fn is_guaranteed(&self, action: Action) -> bool {
        matches!(
            action,
            Action::Pass | Action::Mend | Action::Look(_) | Action::Sweep(_) | Action::Start(_)
        )
    }

    /// When every clock was mended, every node serves again by the right time, and what has expired
    /// is gone.
    fn is_goal(&self, s: &State) -> bool {
        let is_well = |node: &Node| !node.is_out && node.may_sweep && node.time == 0;
        let is_kept = |(_, expires): (i64, i64)| expires > s.now;
        s.store == 0 && s.nodes.iter().all(is_well) && s.record.is_none_or(is_kept)
    }

    fn is_at_bound(&self, _: &State) -> bool {
        false
    }
}

#[test]
fn g8_whatever_clocks_do_nothing_is_erased_before_its_time_and_every_node_comes_back() {
    let checked = check(&Clocks(Judge::Watch)).unwrap();
    println!("clocks: {checked}");
    assert!(checked.goals > 0);
}

#[test]
fn by_the_machines_clock_records_are_erased_early() {
    let violation = check(&Clocks(Judge::Machine)).err().unwrap();
    println!("clocks, by the machine's: {violation}");
    assert!(violation.property.contains("before its time"));
}

#[test]
fn by_every_word_of_the_store_a_jump_of_its_clock_erases_early() {
    let violation = check(&Clocks(Judge::Store)).err().unwrap();
    println!("clocks, by the store's: {violation}");
    assert!(violation.property.contains("before its time"));
}
