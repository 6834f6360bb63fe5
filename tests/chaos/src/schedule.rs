//! Which fault comes when, made from a seed. Pure.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// How a process is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blow {
    /// SIGKILL, and started again when the fault is over.
    Kill,
    /// SIGSTOP, and SIGCONT when the fault is over.
    Stop,
    /// The clock of the machine goes wrong, and is right again when the fault is over.
    Clock(Wrong),
}

/// How a clock goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrong {
    /// It jumps by this many milliseconds, back when negative.
    Jumps(i64),
    /// It stands still.
    Stands,
}

/// What it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Victim {
    /// A node; which one is chosen by this number.
    Node(u32),
    /// All of Redis: every server of it, which starts again empty.
    Redis,
    /// The master of Redis, or one of those of a Redis Cluster.
    RedisMaster(u32),
    /// The primary of MongoDB.
    MongoPrimary,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is done.
    pub blow: Blow,
    /// Which process it is done to.
    pub victim: Victim,
}

/// A fault with its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The fault.
    pub fault: Fault,
    /// How long nothing happens before it.
    pub calm: Duration,
    /// How long it lasts.
    pub lasting: Duration,
    /// A node that dies a moment later, while the fault lasts.
    pub then_node: Option<u32>,
}

/// Shortest and longest calm: long enough that work goes on between faults, short enough that
/// people still come back from the last one.
const CALM_MS: (u64, u64) = (1_500, 6_000);

/// Shortest and longest time that a killed process stays away.
const AWAY_MS: (u64, u64) = (0, 3_000);

/// Shortest and longest time that a process is stopped: below a lease and far beyond it.
const STOPPED_MS: (u64, u64) = (500, 9_000);

/// Shortest and longest time that a clock is wrong: below two looks of a node, and long enough for it
/// to have left.
const WRONG_MS: (u64, u64) = (2_000, 20_000);

/// How far clocks jump: below what is said, below the bound, just beyond it, and up to a day.
const JUMPS_MS: [u64; 6] = [900, 30_000, 59_000, 65_000, 3_600_000, 25 * 3_600_000];

/// One jump in this many is a clock that stands still.
const STANDS_ONE_IN: u32 = 5;

/// One fault in this many has a second one on top.
const DOUBLE_ONE_IN: u32 = 5;

/// The kinds of faults, in the order of [`Fault::name`].
const KINDS: [(Blow, Victim); 7] = [
    (Blow::Kill, Victim::Node(0)),
    (Blow::Stop, Victim::Node(0)),
    (Blow::Kill, Victim::Redis),
    (Blow::Kill, Victim::RedisMaster(0)),
    (Blow::Stop, Victim::RedisMaster(0)),
    (Blow::Kill, Victim::MongoPrimary),
    (Blow::Stop, Victim::MongoPrimary),
];

impl Fault {
    /// Its name in the counts.
    pub const fn name(self) -> &'static str {
        match (self.blow, self.victim) {
            (Blow::Kill, Victim::Node(_)) => "node killed",
            (Blow::Stop, Victim::Node(_)) => "node stopped",
            (Blow::Kill, Victim::Redis) => "redis emptied",
            (Blow::Stop, Victim::Redis) => "redis stopped",
            (Blow::Kill, Victim::RedisMaster(_)) => "redis master killed",
            (Blow::Stop, Victim::RedisMaster(_)) => "redis master stopped",
            (Blow::Kill, Victim::MongoPrimary) => "mongodb primary killed",
            (Blow::Stop, Victim::MongoPrimary) => "mongodb primary stopped",
            (Blow::Clock(Wrong::Jumps(1..)), _) => "clock ahead",
            (Blow::Clock(Wrong::Jumps(_)), _) => "clock back",
            (Blow::Clock(Wrong::Stands), _) => "clock stands still",
        }
    }
}

/// An endless sequence of faults. Each kind comes once before any kind repeats, so that a short run
/// has them all.
#[derive(Debug)]
pub struct Schedule {
    random: StdRng,
    kinds: Vec<(Blow, Victim)>,
    /// The kinds left in this turn.
    turn: Vec<(Blow, Victim)>,
}

impl Schedule {
    /// The schedule of this seed in which clocks go wrong, at every other fault.
    pub fn of_clocks(seed: u64, has_redis: bool) -> Self {
        let mut schedule = Self::new(seed, has_redis);
        let clocks = [(Blow::Clock(Wrong::Stands), Victim::Node(0))];
        let count = schedule.kinds.len();
        schedule
            .kinds
            .extend(clocks.into_iter().cycle().take(count));
        schedule
    }

    fn wrong(&mut self) -> Wrong {
        if self.random.random_ratio(1, STANDS_ONE_IN) {
            return Wrong::Stands;
        }
        let jump = JUMPS_MS[self.random.random_range(0..JUMPS_MS.len())] as i64;
        Wrong::Jumps(if self.random.random() { jump } else { -jump })
    }

    /// The schedule of this seed. Without Redis it has no faults of Redis.
    pub fn new(seed: u64, has_redis: bool) -> Self {
        let is_redis = |victim: Victim| matches!(victim, Victim::Redis | Victim::RedisMaster(_));
        let mut kinds = KINDS.to_vec();
        kinds.retain(|(_, victim)| has_redis || !is_redis(*victim));
        Self {
            random: StdRng::seed_from_u64(seed),
            kinds,
            turn: Vec::new(),
        }
    }

    fn between(&mut self, (least, most): (u64, u64)) -> Duration {
        Duration::from_millis(self.random.random_range(least..=most))
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.turn.is_empty() {
            self.turn.clone_from(&self.kinds);
            self.turn.shuffle(&mut self.random);
        }
        let (blow, victim) = self.turn.pop()?;
        let victim = match victim {
            Victim::Node(_) => Victim::Node(self.random.random()),
            Victim::RedisMaster(_) => Victim::RedisMaster(self.random.random()),
            other => other,
        };
        let calm = self.between(CALM_MS);
        let blow = match blow {
            Blow::Clock(_) => Blow::Clock(self.wrong()),
            other => other,
        };
        let lasting = match blow {
            Blow::Clock(_) => self.between(WRONG_MS),
            Blow::Kill => self.between(AWAY_MS),
            Blow::Stop => self.between(STOPPED_MS),
        };
        let is_double = self.random.random_ratio(1, DOUBLE_ONE_IN);
        let node = self.random.random();
        let then_node = (is_double && !matches!(victim, Victim::Node(_))).then_some(node);
        Some(Planned {
            fault: Fault { blow, victim },
            calm,
            lasting,
            then_node,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_gives_one_schedule() {
        let of = |seed| Schedule::new(seed, true).take(50).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn without_redis_nothing_happens_to_it() {
        let names = |has_redis| {
            let planned = Schedule::new(1, has_redis).take(100);
            planned
                .map(|planned| planned.fault.name())
                .collect::<HashSet<_>>()
        };
        assert_eq!(names(true).len(), KINDS.len());
        assert!(names(false).iter().all(|name| !name.contains("redis")));
        assert_eq!(names(false).len(), 4);
    }

    #[test]
    fn clocks_go_wrong_in_every_way_and_everything_else_breaks_too() {
        let planned = Schedule::of_clocks(1, true).take(200);
        let names: HashSet<_> = planned.map(|planned| planned.fault.name()).collect();
        assert_eq!(names.len(), KINDS.len() + 3);
        let mut planned = Schedule::new(1, true).take(200);
        let is_clock = |planned: Planned| matches!(planned.fault.blow, Blow::Clock(_));
        assert!(!planned.any(is_clock));
    }

    #[test]
    fn each_kind_comes_in_every_turn() {
        let planned: Vec<_> = Schedule::new(3, true).take(10 * KINDS.len()).collect();
        for turn in planned.chunks(KINDS.len()) {
            let names: HashSet<_> = turn.iter().map(|planned| planned.fault.name()).collect();
            assert_eq!(names.len(), KINDS.len());
        }
        assert!(planned.iter().any(|planned| planned.then_node.is_some()));
        assert!(
            planned
                .iter()
                .all(|planned| planned.lasting <= Duration::from_secs(9))
        );
    }
}
