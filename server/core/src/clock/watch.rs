//! Whether a node's time can be trusted: what to correct, what to say, when to leave.
//!
//! Every few seconds the node looks at all clocks that it can ask. Its own time is continuous, so of
//! a sudden difference it is known whose clock has jumped: the one that differs from the time that
//! was carried on. One look never decides anything that cannot be undone: a second one must agree.

use super::{Offset, difference};
use crate::record::UnixMs;

/// Differences from here on are reported: machines that keep their clocks are within milliseconds.
pub const NOTICED_MS: u64 = 2_000;

/// After a stop, or beside the data, a clock that is ahead by more than this may be wrong: most
/// restarts are shorter, and most wrong clocks are further off.
pub const DOUBT_MS: u64 = 60 * 60 * 1_000;

/// A lasting difference is reported again after this long.
const AGAIN_MS: u64 = 10 * 60 * 1_000;

/// So many looks in a row must agree before something is done that cannot be undone.
const LOOKS_MIN: u32 = 2;

/// The configured bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// How far a clock may be off before the node stands aside.
    pub off_max_ms: u64,
    /// How long a leap ahead must last before a node without a store's clock erases by it.
    pub hold_ms: u64,
}

impl Bounds {
    fn allow(self, ahead_ms: i64) -> bool {
        ahead_ms.unsigned_abs() <= self.off_max_ms
    }

    /// Whether two clocks say the same, within the bound.
    fn agree(self, one_ms: i64, other_ms: i64) -> bool {
        self.allow(one_ms.saturating_sub(other_ms))
    }
}

/// What is known of the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTime {
    /// It has none: the node's own clock counts.
    None,
    /// It cannot be asked now.
    Away,
    /// How far it is ahead of the node's time.
    Said(Offset),
}

/// One look at all clocks, each compared with the node's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How far the machine's clock is ahead.
    pub machine_ms: i64,
    /// How long the machine has slept since the last look, as far as its system says so.
    pub slept_ms: u64,
    /// The store's clock.
    pub store: StoreTime,
    /// The broker's clock, if it has one that could be asked.
    pub broker: Option<Offset>,
}

/// Whose clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// This machine's.
    Machine,
    /// The store's.
    Store,
    /// The broker's.
    Broker,
}

/// What to do with the node's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It goes on.
    Keep,
    /// Correct it slowly by this.
    Correct(i64),
    /// Go ahead at once by this: time has passed that the node did not see.
    Step(u64),
}

/// Something to tell the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A clock differs from the node's time by this; negative: it is behind.
    Off(Which, i64),
    /// A clock that was off is right again.
    Right(Which),
    /// The machine's clock has leapt ahead by this; it counts when it has stayed so for the hold.
    Held(i64),
    /// The node's time went ahead at once by this.
    Stepped(u64),
}

/// Why the node stands aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The machine's clock is this far ahead of the store's.
    Machine(i64),
    /// The node's time is this far ahead of the store's, and another clock agrees with the store.
    Node(i64),
    /// The machine's clock went back by this soon after a doubtful start.
    Start(i64),
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For the node's time.
    pub course: Course,
    /// Whether expired records may be removed.
    pub may_sweep: bool,
    /// What to say.
    pub notes: Vec<Note>,
    /// Set when the node must leave the cluster.
    pub leave: Option<Leave>,
}

/// The memory between the looks.
#[derive(Clone, Debug, Hash)]
pub struct Watch {
    bounds: Bounds,
    /// Until when the time of the start is in doubt.
    doubted_until_ms: u64,
    /// Looks in a row by which the machine's clock is beyond the bound.
    machine_looks: u32,
    /// The same for the store's.
    store_looks: u32,
    /// A leap of the machine's clock that does not count yet: since when, and how far.
    leap: Option<(u64, i64)>,
    /// What was last said of each clock: when, and how far off it was.
    said: [Option<(u64, i64)>; 3],
}

/// How a node without a store's clock begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The time from which it counts on.
    pub now: UnixMs,
    /// How far the machine's clock is ahead of the newest time in the data, when that is worth a
    /// word; negative when it is behind.
    pub ahead_ms: Option<i64>,
    /// Whether it may be wrong by being ahead: then nothing is erased during the hold.
    pub is_doubtful: bool,
}

impl Beginning {
    /// The machine's clock counts, but never a time before the newest one in the data. After a long
    /// stop it cannot be told from a clock that is wrong.
    pub fn of(machine: UnixMs, newest: Option<UnixMs>) -> Self {
        let ahead_ms = newest.map_or(0, |newest| difference(machine, newest));
        let is_doubtful = ahead_ms > 0 && ahead_ms.unsigned_abs() > DOUBT_MS;
        let is_behind = ahead_ms < 0 && ahead_ms.unsigned_abs() > NOTICED_MS;
        Self {
            now: machine.max(newest.unwrap_or(0)),
            ahead_ms: (is_doubtful || is_behind).then_some(ahead_ms),
            is_doubtful,
        }
    }
}

impl Watch {
    /// A watch that begins at `at_ms` of the monotonic clock; `is_doubtful` as [`Beginning`] has it.
    pub fn new(bounds: Bounds, at_ms: u64, is_doubtful: bool) -> Self {
        let hold_ms = if is_doubtful { bounds.hold_ms } else { 0 };
        Self {
            bounds,
            doubted_until_ms: at_ms.saturating_add(hold_ms),
            machine_looks: 0,
            store_looks: 0,
            leap: None,
            said: [None; 3],
        }
    }

    /// Judges a look made at `at_ms` of the monotonic clock.
    pub fn judge(&mut self, at_ms: u64, look: &Look) -> Verdict {
        let mut verdict = match look.store {
            StoreTime::None => self.alone(at_ms, look),
            StoreTime::Away => self.without_store(),
            StoreTime::Said(offset) => self.by_store(offset.certain_ms(), look),
        };
        if let Course::Step(by_ms) = verdict.course {
            verdict.notes.push(Note::Stepped(by_ms));
            return verdict;
        }
        self.note(at_ms, Which::Machine, look.machine_ms, &mut verdict.notes);
        let asked = [
            (Which::Store, said(look.store)),
            (Which::Broker, look.broker),
        ];
        for (which, offset) in asked {
            if let Some(offset) = offset {
                self.note(at_ms, which, offset.certain_ms(), &mut verdict.notes);
            }
        }
        verdict
    }

    /// While the store cannot be asked time goes on, nothing is removed, nobody leaves.
    fn without_store(&mut self) -> Verdict {
        (self.machine_looks, self.store_looks) = (0, 0);
        verdict(Course::Keep, false)
    }

    /// With the store's clock, ahead by `store_ms`.
    fn by_store(&mut self, store_ms: i64, look: &Look) -> Verdict {
        let bounds = self.bounds;
        if bounds.allow(store_ms) {
            self.store_looks = 0;
            let is_off = !bounds.agree(look.machine_ms, store_ms);
            self.machine_looks = if is_off {
                one_more(self.machine_looks)
            } else {
                0
            };
            let leave = self.machine_looks >= LOOKS_MIN;
            let ahead_ms = look.machine_ms.saturating_sub(store_ms);
            return Verdict {
                leave: leave.then_some(Leave::Machine(ahead_ms)),
                ..verdict(Course::Correct(store_ms), true)
            };
        }
        self.machine_looks = 0;
        self.store_looks = one_more(self.store_looks);
        let agrees = |other_ms: i64| bounds.agree(other_ms, store_ms);
        let broker = look.broker.map(Offset::certain_ms);
        let is_seconded = agrees(look.machine_ms) || broker.is_some_and(agrees);
        let has_slept = look.slept_ms > 0 && i64::try_from(look.slept_ms).is_ok_and(agrees);
        // Alone against the machine and the time that was carried on, it is the store's clock that
        // has jumped: the node goes on, and removes nothing.
        if !has_slept && (self.store_looks < LOOKS_MIN || !is_seconded) {
            return verdict(Course::Keep, false);
        }
        match u64::try_from(store_ms) {
            Ok(slept_ms) => verdict(Course::Step(slept_ms), false),
            Err(_) => Verdict {
                leave: Some(Leave::Node(store_ms.saturating_neg())),
                ..verdict(Course::Keep, false)
            },
        }
    }

    /// Without any other clock: the machine's counts, with a guard against its leaps.
    fn alone(&mut self, at_ms: u64, look: &Look) -> Verdict {
        let is_doubted = at_ms < self.doubted_until_ms;
        if look.slept_ms > 0 {
            self.leap = None;
            return verdict(Course::Step(look.slept_ms), !is_doubted);
        }
        let ahead_ms = look.machine_ms;
        if self.bounds.allow(ahead_ms) {
            self.leap = None;
            return verdict(Course::Correct(ahead_ms), !is_doubted);
        }
        if ahead_ms < 0 {
            self.leap = None;
            // The node's time was carried on from a time that nobody doubted, so it is the better one;
            // unless it is in doubt, and this is the clock being mended.
            let leave = is_doubted.then_some(Leave::Start(ahead_ms.saturating_neg()));
            return Verdict {
                leave,
                ..verdict(Course::Keep, !is_doubted)
            };
        }
        let mut held = verdict(Course::Keep, !is_doubted);
        match self.leap {
            Some((_, known_ms)) if !is_same(ahead_ms, known_ms) => self.leap = None,
            Some((since_ms, _)) if at_ms.saturating_sub(since_ms) >= self.bounds.hold_ms => {
                self.leap = None;
                held.course = Course::Step(ahead_ms.unsigned_abs());
                return held;
            }
            _ => {}
        }
        if self.leap.is_none() {
            self.leap = Some((at_ms, ahead_ms));
            held.notes.push(Note::Held(ahead_ms));
        }
        held
    }

    /// Says that a clock is off: once, again when it has changed or after a while, and when it is
    /// right again.
    fn note(&mut self, at_ms: u64, which: Which, ahead_ms: i64, notes: &mut Vec<Note>) {
        let said = &mut self.said[which as usize];
        if ahead_ms.unsigned_abs() <= NOTICED_MS {
            if said.take().is_some() {
                notes.push(Note::Right(which));
            }
            return;
        }
        let is_known = said.is_some_and(|(said_at_ms, known_ms)| {
            at_ms.saturating_sub(said_at_ms) < AGAIN_MS && is_same(ahead_ms, known_ms)
        });
        if !is_known {
            *said = Some((at_ms, ahead_ms));
            notes.push(Note::Off(which, ahead_ms));
        }
    }
}

/// More than enough looks are as good as enough.
fn one_more(looks: u32) -> u32 {
    (looks + 1).min(LOOKS_MIN)
}

/// Whether two looks saw the same difference, but for a second's part.
fn is_same(one_ms: i64, other_ms: i64) -> bool {
    one_ms.saturating_sub(other_ms).unsigned_abs() <= NOTICED_MS
}

fn said(store: StoreTime) -> Option<Offset> {
    match store {
        StoreTime::Said(offset) => Some(offset),
        StoreTime::None | StoreTime::Away => None,
    }
}

fn verdict(course: Course, may_sweep: bool) -> Verdict {
    Verdict {
        course,
        may_sweep,
        notes: Vec::new(),
        leave: None,
    }
}
