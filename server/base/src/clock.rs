//! The only clock of the server. Everything that expires uses it, so that a test can move time.
//!
//! Its time is that of the machine at first, then what the node learns from the store, and it is
//! carried on by a clock that nobody can set: when the machine's clock jumps, nothing changes here.
//! What to correct is decided by `nowrong_core::clock`; waiting (`tokio::time`) is up to the callers.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::files;
use arc_swap::ArcSwap;
use nowrong_core::{
    clock::{Course, Timeline, difference},
    record::UnixMs,
};

/// The system counts its time in hundredths of a second: a machine sleeps for longer than this.
const SLEEP_MIN: Duration = Duration::from_secs(1);

/// The clock of a node, shared by all its parts.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    timeline: ArcSwap<Timeline>,
    shift: MachineShift,
    /// How far a test has moved it.
    advanced_ms: AtomicU64,
    /// When the machine had started, on a clock that runs while it sleeps; `None` where the system
    /// does not say.
    uptime: Option<Duration>,
}

/// How wrong the machine's clock is made to look: for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineShift {
    /// Ahead by this; zero outside tests.
    Ahead(Duration),
    /// By the milliseconds that a file holds, which may change at any time and be negative; with `=`
    /// in front, they are the time at which the clock stands still. Nothing when there is no such
    /// file.
    File(PathBuf),
}

impl Default for MachineShift {
    fn default() -> Self {
        Self::Ahead(Duration::ZERO)
    }
}

impl MachineShift {
    /// What a machine's clock that is wrong in this way shows at `now`.
    fn apply(&self, now: UnixMs) -> UnixMs {
        let path = match self {
            Self::Ahead(ahead) => return now.saturating_add(ahead.as_millis() as u64),
            Self::File(path) => path,
        };
        let text = files::read_text(path).unwrap_or_default();
        match text.trim().strip_prefix('=') {
            Some(still) => still.parse().unwrap_or(now),
            None => now.saturating_add_signed(text.trim().parse().unwrap_or(0)),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::with_machine(MachineShift::default())
    }
}

impl Clock {
    /// A clock that begins with the machine's time, made wrong by `shift`.
    pub fn with_machine(shift: MachineShift) -> Self {
        let now = shift.apply(system_ms());
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                timeline: ArcSwap::from_pointee(Timeline::starting(0, now)),
                shift,
                advanced_ms: AtomicU64::new(0),
                uptime: uptime(),
            }),
        }
    }

    /// The node's time in milliseconds since the Unix epoch. It does not go back, whatever the
    /// machine's clock does.
    pub fn now(&self) -> UnixMs {
        self.shared.timeline.load().at(self.elapsed_ms())
    }

    /// Milliseconds since this clock was made, on a clock that nobody can set.
    pub fn elapsed_ms(&self) -> u64 {
        self.shared.started.elapsed().as_millis() as u64
    }

    /// The machine's own clock: only to compare it.
    pub fn machine(&self) -> UnixMs {
        let advanced = self.shared.advanced_ms.load(Ordering::Relaxed);
        self.shared
            .shift
            .apply(system_ms())
            .saturating_add(advanced)
    }

    /// How far the machine's clock is ahead of the node's time, in milliseconds.
    pub fn machine_ahead_ms(&self) -> i64 {
        difference(self.machine(), self.now())
    }

    /// How long the machine has slept since this clock was made, in milliseconds, as far as its
    /// system says so.
    pub fn slept_ms(&self) -> u64 {
        let slept = || {
            let since = uptime()?.checked_sub(self.shared.uptime?)?;
            since.checked_sub(self.shared.started.elapsed())
        };
        let slept = slept().filter(|slept| *slept >= SLEEP_MIN);
        slept.map_or(0, |slept| slept.as_millis() as u64)
    }

    /// Begins with another time, which may be earlier: only before anything was judged by this one.
    pub fn begin_at(&self, now: UnixMs) {
        let timeline = Timeline::starting(self.elapsed_ms(), now);
        self.shared.timeline.store(Arc::new(timeline));
    }

    /// Changes its course.
    pub fn steer(&self, course: Course) {
        let change = |timeline: &Arc<Timeline>| {
            let elapsed_ms = self.elapsed_ms();
            match course {
                Course::Keep => **timeline,
                Course::Correct(by_ms) => timeline.corrected(elapsed_ms, by_ms),
                Course::Step(by_ms) => timeline.stepped(elapsed_ms, by_ms),
            }
        };
        self.shared
            .timeline
            .rcu(|timeline| Arc::new(change(timeline)));
    }

    /// Moves time ahead, and the machine's clock with it: for tests.
    pub fn advance(&self, by: Duration) {
        let by_ms = by.as_millis() as u64;
        self.shared.advanced_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.steer(Course::Step(by_ms));
    }

    /// The system's time, never moved: for certificates, which other machines check too.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn system(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The machine's clock. Before 1970 it reads as 0.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else is compared with"
)]
fn system_ms() -> UnixMs {
    let system = SystemTime::now().duration_since(UNIX_EPOCH);
    system.unwrap_or_default().as_millis() as u64
}

/// How long the machine has been on, sleep included.
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_machines_clock_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("nowrong-clock-{}", std::process::id()));
        let day_ms: u64 = 24 * 60 * 60 * 1_000;
        std::fs::write(&folder, "0").unwrap();
        let clock = Clock::with_machine(MachineShift::File(folder.clone()));
        let begun = clock.now();
        for (text, ahead_ms) in [
            (day_ms.to_string(), day_ms as i64),
            (format!("-{day_ms}"), -(day_ms as i64)),
            ("nonsense".to_owned(), 0),
        ] {
            std::fs::write(&folder, &text).unwrap();
            assert!(
                (clock.machine_ahead_ms() - ahead_ms).abs() < 5_000,
                "{text}"
            );
            assert!((begun..begun + 60_000).contains(&clock.now()), "{text}");
        }
        std::fs::write(&folder, format!("={begun}")).unwrap();
        assert_eq!(clock.machine(), begun, "it stands still");
        std::fs::remove_file(&folder).unwrap();
        assert!(clock.machine_ahead_ms().abs() < 5_000, "no file");
    }

    #[test]
    fn every_copy_is_moved_and_steered() {
        let clock = Clock::default();
        let copy = clock.clone();
        let begun = copy.now();
        clock.advance(Duration::from_secs(3_600));
        assert!(copy.now() >= begun + 3_600_000);
        assert!(copy.machine_ahead_ms().abs() < 5_000, "both went ahead");
        clock.begin_at(1_000_000);
        assert!((1_000_000..1_060_000).contains(&copy.now()));
        clock.steer(Course::Step(500_000));
        assert!(copy.now() >= 1_500_000);
    }

    #[test]
    fn a_machine_that_was_awake_has_not_slept() {
        assert_eq!(Clock::default().slept_ms(), 0);
    }
}
