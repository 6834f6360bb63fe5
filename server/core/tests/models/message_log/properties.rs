//! The properties of every state.

use nowrong_core::chat_log::{Resume, locate, resume_point};
use nowrong_protocol::Position;

use super::{
    steps::{epochs, surviving},
    *,
};

/// Every reader of the store always finds an acked message at its position.
pub(super) const ACKED_LOST: &str = "G1: an acked message is not where it was acked";
/// What was acked was stored, also in a chat that was erased since.
pub(super) const ACKED_NEVER: &str = "G1: a message was acked that was never stored";
/// A message shows once.
pub(super) const TWICE: &str = "G2: a message has two positions";
/// The store has no gap.
pub(super) const HOLE: &str = "G3: the store has a hole below a message";
/// A client that resumes now keeps only what the store has.
pub(super) const DIVERGED: &str = "G5: a client keeps what the store does not have";
/// A client that resumes now keeps only what its node has.
pub(super) const TORN: &str = "G3: a client and its node hold different logs";
/// Every message that a node considers durable is durable.
pub(super) const NOT_DURABLE: &str = "G1: a node considers a message durable that is not";
/// No two messages are ever found at one position.
pub(super) const CONFLICT: &str = "a position was given to two messages";

pub(super) fn broken(s: &State, without: Option<Rule>) -> Option<&'static str> {
    if let Some(erased) = &s.store.erased {
        return broken_after(s, erased);
    }
    let bases = s.store.bases_so_far();
    let stored = surviving(&s.store.rows, &bases);
    if !s.acked.iter().enumerate().all(|(m, at)| is_kept(s, m, *at)) {
        return Some(ACKED_LOST);
    }
    if has_hole(s, &bases, stored.len()) {
        return Some(HOLE);
    }
    if (1..stored.len()).any(|i| stored[..i].contains(&stored[i])) {
        return Some(TWICE);
    }
    if s.clients.iter().any(|c| diverges(c, &bases, &stored)) {
        return Some(DIVERGED);
    }
    if s.clients.iter().any(|c| is_torn(s, c)) {
        return Some(TORN);
    }
    let chats = s.nodes.iter().filter_map(|node| node.chat.as_ref());
    let mut durables = chats.map(|chat| chat.log.get(..chat.durable.into()));
    if !durables.all(|log| log.is_some_and(|log| stored.starts_with(log))) {
        return Some(NOT_DURABLE);
    }
    // The rules make conflicts impossible; without one of them, detecting conflicts is the safety
    // net.
    (s.has_conflict && without.is_none()).then_some(CONFLICT)
}

/// After the chat was erased with these messages: nothing else was ever called durable, nor is acked.
fn broken_after(s: &State, erased: &[Id]) -> Option<&'static str> {
    let was_stored = |m: usize| erased.contains(&(m as Id));
    let mut acked = s.acked.iter().enumerate().filter(|(_, at)| at.is_some());
    if !acked.all(|(m, _)| was_stored(m)) {
        return Some(ACKED_NEVER);
    }
    let chats = s.nodes.iter().filter_map(|node| node.chat.as_ref());
    let mut durables = chats.map(|chat| chat.log.get(..chat.durable.into()));
    let is_true = |log: Option<&[Id]>| log.is_some_and(|log| erased.starts_with(log));
    (!durables.all(is_true)).then_some(NOT_DURABLE)
}

fn is_kept(s: &State, m: usize, acked: Option<(Number, Seq)>) -> bool {
    let Some((number, seq)) = acked else {
        return true;
    };
    let is_stored = s.store.rows.get(&(number, seq)) == Some(&(m as Id));
    let later = s.store.bases.iter().skip(number.into()).flatten();
    is_stored && later.copied().all(|base| base >= seq)
}

/// Whether some surviving message, or the base of the newest epoch, lies beyond the first gap.
fn has_hole(s: &State, bases: &[Seq], stored: usize) -> bool {
    let epochs = epochs(bases);
    let survives =
        |(number, seq): &(Number, Seq)| locate(&epochs, (*seq).into()).epoch == u32::from(*number);
    let mut beyond = s
        .store
        .rows
        .keys()
        .filter(|(_, seq)| usize::from(*seq) > stored);
    let base = bases.last().copied().unwrap_or_default();
    usize::from(base) > stored || beyond.any(survives)
}

/// Whether the client would keep messages that differ from `log` if it resumed on a node that holds
/// `log`.
fn diverges(client: &Client, bases: &[Seq], log: &[Id]) -> bool {
    let epochs = epochs(bases);
    let asked = Position::new(client.number.into(), client.held.len() as u64);
    let head = locate(&epochs, log.len() as u64);
    match resume_point(&epochs, asked, head) {
        Resume::From(good) => {
            let good = good.seq as usize;
            client.held[..good] != log[..good]
        }
        Resume::Beyond => false,
    }
}

fn is_torn(s: &State, client: &Client) -> bool {
    let chat = client.node.and_then(|n| s.nodes[n].chat.as_ref());
    chat.is_some_and(|chat| diverges(client, &chat.bases, &chat.log))
}
