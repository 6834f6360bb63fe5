//! The checker: finds the promises that the diaries of all people contradict. Pure.
//!
//! It knows nothing of servers, faults or time limits: it compares what people were told with what
//! they could read back at the end and with what others were told. It is sound: every promise that
//! it reports as broken is broken, even if replies were lost and nobody knows whether a request was
//! carried out. A message that was delivered and then void, because its log was forgotten before
//! the store had it, is not a loss: nobody was told that it was sent. Start reading at [`check`].

use std::fmt;

use nowrong_protocol::ChatId;

use crate::diary::{Aftermath, Diary};

mod aftermath;
mod matches;
mod messages;
#[cfg(test)]
mod tests;
mod wire;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// A message can be read back by both members once its sender was told that it is sent.
    AckedLost,
    /// No message twice.
    Repeated,
    /// Messages come in ascending position.
    OutOfOrder,
    /// No message is skipped.
    Gap,
    /// Both members have the same messages at the same positions.
    OneOrder,
    /// A delivered message disappears only when its log was rebuilt.
    Vanished,
    /// Nobody is in two chats.
    TwoChats,
    /// A ticket becomes one chat at most.
    MatchedTwice,
    /// A ticket that was cancelled does not become a chat.
    CancelledAndMatched,
    /// A blocked partner is never met again.
    BlockedMet,
    /// Only people of one age bracket meet.
    AgeBracketsMet,
    /// A chat continues until a member leaves.
    EndedByItself,
    /// Nobody waits for longer than a fault explains.
    Stuck,
    /// No queue holds a person who has left.
    Ghost,
}

impl Promise {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 14] = [
        Self::AckedLost,
        Self::Repeated,
        Self::OutOfOrder,
        Self::Gap,
        Self::OneOrder,
        Self::Vanished,
        Self::TwoChats,
        Self::MatchedTwice,
        Self::CancelledAndMatched,
        Self::BlockedMet,
        Self::AgeBracketsMet,
        Self::EndedByItself,
        Self::Stuck,
        Self::Ghost,
    ];

    /// The name of its breaches in the summary.
    pub const fn breach(self) -> &'static str {
        match self {
            Self::AckedLost => "acked and lost",
            Self::Repeated => "repeated",
            Self::OutOfOrder => "out of order",
            Self::Gap => "gaps",
            Self::OneOrder => "different for both members",
            Self::Vanished => "delivered and vanished",
            Self::TwoChats => "users in two chats",
            Self::MatchedTwice => "tickets matched twice",
            Self::CancelledAndMatched => "cancelled and matched",
            Self::BlockedMet => "blocked pairs matched",
            Self::AgeBracketsMet => "age brackets mixed",
            Self::EndedByItself => "chats ended by themselves",
            Self::Stuck => "stuck",
            Self::Ghost => "ghosts in queues",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub promise: Promise,
    /// The chat it was broken in.
    pub chat: Option<ChatId>,
    /// Whose diaries show it.
    pub people: Vec<String>,
    /// What exactly, in one line.
    pub detail: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise.breach(), self.detail)?;
        if let Some(chat) = self.chat {
            write!(f, ", in chat {chat}")?;
        }
        if self.people.is_empty() {
            return Ok(());
        }
        write!(f, " (see the diaries of {})", self.people.join(", "))
    }
}

/// Every broken promise, the most serious first.
pub fn check(diaries: &[Diary], aftermath: &Aftermath) -> Vec<Breach> {
    let mut breaches = Vec::new();
    messages::check(diaries, &mut breaches);
    wire::check(diaries, &mut breaches);
    matches::check(diaries, &mut breaches);
    aftermath::check(diaries, aftermath, &mut breaches);
    breaches.sort_by_key(|breach| breach.promise);
    breaches
}
