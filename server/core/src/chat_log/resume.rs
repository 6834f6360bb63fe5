//! Where a client that returns with a position continues.

use nowrong_protocol::Position;

use crate::record::Epoch;

/// Where a client continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Up to here it holds the same messages as the chat; it drops later ones, and gets the
    /// messages after this position.
    From(Position),
    /// It names an epoch that this chat never had: the server forgot something, or the client lies.
    /// It starts from the beginning.
    Beyond,
}

/// Where a client continues that holds a chat without a gap up to `asked`. `epochs` are those of
/// the chat, ascending; `head` is its newest message.
///
/// Messages of an older epoch are valid up to the smallest base of all later epochs: beyond it,
/// they were void and their seqs were assigned again. No client holds more than the head.
pub fn resume_point(epochs: &[Epoch], asked: Position, head: Position) -> Resume {
    let newest = epochs.last().map_or(0, |epoch| epoch.number);
    if asked.epoch > newest {
        return Resume::Beyond;
    }
    let later = epochs.iter().filter(|epoch| epoch.number > asked.epoch);
    let good = later.map(|epoch| epoch.base).fold(asked.seq, u64::min);
    Resume::From(locate(epochs, good.min(head.seq)))
}

/// The position of the message with this seq: in the last epoch that began before it.
/// [`Position::START`] for 0.
pub fn locate(epochs: &[Epoch], seq: u64) -> Position {
    let epoch = epochs.iter().rev().find(|epoch| epoch.base < seq);
    epoch.map_or(Position::START, |epoch| Position::new(epoch.number, seq))
}
