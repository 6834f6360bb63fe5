//! Where a client goes on that comes back with a position.

use nowrong_protocol::Position;

use crate::record::Epoch;

/// Where a client goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// What it holds up to here is what the chat holds; it drops what comes after, and gets the
    /// messages after this position.
    From(Position),
    /// It names an epoch that this chat never had: the server forgot something, or the client lies.
    /// It starts over.
    Beyond,
}

/// Where a client goes on that holds a chat without a gap up to `asked`. `epochs` are those of the
/// chat, ascending; `head` is its newest message.
///
/// What a client holds of an older epoch is good up to the smallest base of all later ones: beyond
/// it, messages were void and their seqs were given out again. Nobody holds more than the head.
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
