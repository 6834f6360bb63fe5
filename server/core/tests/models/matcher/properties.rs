//! The properties of every state, and the states in which every run must be able to end.

use super::*;

/// A user is in at most one active chat.
pub(super) const TWO_CHATS: &str = "G6: a user is in two chats";
/// A ticket never opens a chat after its user was told that it is cancelled.
pub(super) const BOTH_WON: &str = "G6: a cancel and a match both won";
/// A ticket opens one chat.
pub(super) const USED_TWICE: &str = "G6: a ticket has opened two chats";
/// A ticket is offered only while the lease under which it was made lasts.
pub(super) const GHOST: &str = "G6: a ticket outlived its lease";
/// Users who blocked each other before a chat is opened do not meet.
pub(super) const BLOCKED_MET: &str = "G7: a blocked pair met";
/// Users of different age brackets do not meet.
pub(super) const WRONG_AGE: &str = "G7: two age brackets met";
/// A ticket that was put back has kept its place.
pub(super) const TIME_LOST: &str = "a ticket went back with a later time";

pub(super) fn broken(s: &State) -> Option<&'static str> {
    let chats_of = |u: usize| {
        s.store
            .chats
            .iter()
            .filter(|chat| chat.contains(&u))
            .count()
    };
    if (0..USERS).any(|u| chats_of(u) > 1) {
        return Some(TWO_CHATS);
    }
    let mut queued = s.queue.iter().chain(&s.deposed);
    if queued.any(|ticket| ticket.is_late) {
        return Some(TIME_LOST);
    }
    s.broken
}

/// Nobody waits who could be in a chat, nobody is locked out, and every ticket in the queue belongs
/// to a user who waits.
pub(super) fn is_settled(model: &Matcher, s: &State) -> bool {
    let users = 0..model.bounds.users;
    let waits = |u: usize| s.users[u].is_willing && s.store.seats[u] == Seat::Free;
    let is_pair = |a: usize, b: usize| {
        model.bounds.ages[a] == model.bounds.ages[b] && !s.store.is_blocked(a, b)
    };
    let mut pairs = users.flat_map(|a| (0..a).map(move |b| (a, b)));
    let is_matched = !pairs.any(|(a, b)| is_pair(a, b) && waits(a) && waits(b));
    let is_idle = s
        .nodes
        .iter()
        .all(|node| node.offers.is_empty() && !node.is_on_deposed);
    let has_claim = s.store.seats.contains(&Seat::Claimed);
    is_matched
        && is_idle
        && !has_claim
        && s.queue.iter().all(|ticket| is_of_waiting(model, s, ticket))
}

/// Whether a ticket in the queue is kept by its node for a user who waits, or belongs to a dead
/// node, so that the next try removes it.
fn is_of_waiting(model: &Matcher, s: &State, ticket: &Ticket) -> bool {
    let kept = s.nodes[ticket.node].tickets[ticket.user].as_ref();
    let waits = s.users[ticket.user].is_willing && s.store.seats[ticket.user] == Seat::Free;
    (waits && kept == Some(ticket)) || !model.is_alive(&s.leases, ticket)
}
