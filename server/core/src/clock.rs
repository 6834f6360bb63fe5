//! The clock of a node: the time of the store, carried on by a clock that nobody can set.
//!
//! What expires is judged by one clock, that of the store. A node learns its offset from there
//! ([`Offset::estimate`]) and counts on by a monotonic clock ([`Timeline`]); small differences are
//! corrected slowly, and its time never goes back. The clock of the machine decides nothing: it is
//! compared and reported, and a machine whose clock is far off leaves the cluster ([`Watch`]).
//! Nothing here reads a clock. Start reading at [`Timeline`].

use crate::record::UnixMs;

mod watch;

pub use watch::{
    Beginning, Bounds, Course, DOUBT_MS, Leave, Look, NOTICED_MS, Note, StoreTime, Verdict, Watch,
    Which,
};

/// A correction takes at least this many times its own length, so that durations measured meanwhile
/// are wrong by at most 5 %.
const CORRECTION_SHARE: u64 = 20;

/// The course of a node's time: a start, and a correction that is still being made. Elapsed times are
/// milliseconds of a monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeline {
    from_ms: u64,
    unix_ms: UnixMs,
    /// What is to be added from then on, little by little.
    correction_ms: i64,
}

impl Timeline {
    /// The time is `unix_ms` when `elapsed_ms` have elapsed, and passes evenly.
    pub const fn starting(elapsed_ms: u64, unix_ms: UnixMs) -> Self {
        Self {
            from_ms: elapsed_ms,
            unix_ms,
            correction_ms: 0,
        }
    }

    /// The time. It never decreases while `elapsed_ms` increases.
    pub fn at(&self, elapsed_ms: u64) -> UnixMs {
        let passed = elapsed_ms.saturating_sub(self.from_ms);
        let made = self
            .correction_ms
            .unsigned_abs()
            .min(passed / CORRECTION_SHARE);
        let even = self.unix_ms.saturating_add(passed);
        match self.correction_ms < 0 {
            true => even.saturating_sub(made),
            false => even.saturating_add(made),
        }
    }

    /// The same time at `elapsed_ms`, from where it is corrected by this. What was left of an earlier
    /// correction is forgotten.
    #[must_use]
    pub fn corrected(&self, elapsed_ms: u64, by_ms: i64) -> Self {
        Self {
            correction_ms: by_ms,
            ..Self::starting(elapsed_ms, self.at(elapsed_ms))
        }
    }

    /// Ahead at once: for time in which the machine slept.
    #[must_use]
    pub fn stepped(&self, elapsed_ms: u64, by_ms: u64) -> Self {
        Self::starting(elapsed_ms, self.at(elapsed_ms).saturating_add(by_ms))
    }
}

/// What another clock said, and between which two moments of this node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When it was asked.
    pub asked_ms: UnixMs,
    /// When its answer came.
    pub told_ms: UnixMs,
    /// What it said.
    pub said_ms: UnixMs,
}

/// How far another clock is ahead of this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offset {
    /// Negative when it is behind.
    pub ahead_ms: i64,
    /// How wrong that may be: half of the round trip, and the millisecond that was cut off.
    pub error_ms: u64,
}

impl Offset {
    /// By the reading with the shortest round trip (Cristian's algorithm): the other clock was read
    /// at some moment between question and answer. `None` without readings.
    pub fn estimate(readings: &[Reading]) -> Option<Self> {
        let trip = |reading: &&Reading| reading.told_ms.saturating_sub(reading.asked_ms);
        let best = readings.iter().min_by_key(trip)?;
        let half = trip(&best) / 2;
        Some(Self {
            ahead_ms: difference(best.said_ms, best.asked_ms.saturating_add(half)),
            error_ms: half + 1,
        })
    }

    /// The part of it that cannot be an error of the measurement.
    pub fn certain_ms(self) -> i64 {
        let certain = self.ahead_ms.unsigned_abs().saturating_sub(self.error_ms);
        let certain = i64::try_from(certain).unwrap_or(i64::MAX);
        if self.ahead_ms < 0 { -certain } else { certain }
    }
}

/// How far `one` is ahead of `other`.
pub fn difference(one: UnixMs, other: UnixMs) -> i64 {
    let apart = i64::try_from(one.abs_diff(other)).unwrap_or(i64::MAX);
    if one < other { -apart } else { apart }
}

#[cfg(test)]
mod tests;
