//! Where a message stands in its chat.

use serde::{Deserialize, Serialize};

/// Where a message stands in its chat. Positions order by epoch, then by seq.
///
/// `seq` counts the messages of a chat from 1 and has no gap: the next message has the next seq,
/// in whatever epoch. `epoch` grows by one each time the log of the chat is rebuilt from the store
/// (a restart, a failover); messages of an older epoch that never reached the store are void, and
/// their seqs are assigned again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// Number of the build of the log; 0 only in [`Position::START`].
    pub epoch: u32,
    /// Count of messages up to and including this one; 0 only in [`Position::START`].
    pub seq: u64,
}

impl Position {
    /// Before the first message: a client that has received nothing resumes from here.
    pub const START: Self = Self { epoch: 0, seq: 0 };

    /// The position `seq` in `epoch`.
    pub const fn new(epoch: u32, seq: u64) -> Self {
        Self { epoch, seq }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}
