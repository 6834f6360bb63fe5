//! What a link is like, how that is told to the emulator, and what it counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one direction of a link is like. The default is a wire: no delay, no loss, no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Time from one end to the other.
    pub delay: Duration,
    /// Up to this much comes on top, evenly spread. Packets stay in order.
    pub jitter: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// Bytes per second that go through; more waits for at most [`WAIT_MAX`] and is lost then.
    pub rate: Option<u32>,
    /// Whether nothing goes through at all.
    pub is_down: bool,
}

/// Longest time that a packet waits for a link that is busy: the buffer of a router.
pub const WAIT_MAX: Duration = Duration::from_millis(250);

/// Which packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability (0 to 1), whatever became of the others.
    Random(f64),
    /// All of them in spells in which the link is dead.
    Spells {
        /// Share of the time (0 to below 1) that is dead.
        share: f64,
        /// Length of a spell on average; the lengths are exponentially distributed.
        mean: Duration,
    },
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Into the namespace behind the link.
    Inward,
    /// Out of it.
    Outward,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Inward, Self::Outward];
}

/// What an emulator is asked, one JSON value on a line of its standard input. It answers each with a
/// line on its standard output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// From now on one direction is like this. Answered with the counts.
    Set(Direction, Conditions),
    /// Answered with the counts.
    Count,
}

/// What went through a link so far, both ways together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// IP packets that were put on the link.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were lost, for whatever reason.
    pub lost: u64,
}

impl Counts {
    /// What came since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
            lost: self.lost - earlier.lost,
        }
    }
}
