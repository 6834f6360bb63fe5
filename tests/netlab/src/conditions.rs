//! The conditions of a link, the emulator's requests, and its counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The conditions of one direction of a link. The default is a wire: no delay, no loss, no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Time from one end to the other.
    pub delay: Duration,
    /// Up to this much is added to the delay, evenly distributed. Packets stay in order.
    pub jitter: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// Bytes per second that get through; packets beyond that wait for at most [`WAIT_MAX`] and are
    /// then lost.
    pub rate: Option<u32>,
    /// Whether nothing gets through at all.
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
    /// Each with this probability (0 to 1), independent of the others.
    Random(f64),
    /// All of them during spells in which the link is dead.
    Spells {
        /// Share of the time (0 to below 1) that is dead.
        share: f64,
        /// Length of a spell on average; the lengths are exponentially distributed.
        mean: Duration,
    },
}

/// A direction of the link.
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

/// A request to an emulator: one JSON value per line of its standard input. It replies to each with
/// a line on its standard output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// From now on one direction has these conditions. The reply is the counts.
    Set(Direction, Conditions),
    /// Asks for the counts, which are the reply.
    Count,
}

/// The traffic of a link so far, both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// IP packets that were put on the link.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were lost, for any reason.
    pub lost: u64,
}

impl Counts {
    /// The difference to `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
            lost: self.lost - earlier.lost,
        }
    }
}
