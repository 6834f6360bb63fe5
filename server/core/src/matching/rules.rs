//! The rules for a pair of tickets: whether they may meet, and whether they should.

use nowrong_protocol::{UserId, frame::Why, limits::INTERESTS_MAX};

use super::{Place, Ticket, find::Cursors, widening};
use crate::text;

/// A ticket in the pool.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    /// Primary subtag of the language, lower case.
    pub(super) language: String,
    /// Sorted, to be searched.
    blocked: Vec<UserId>,
    /// Sorted, to be searched.
    recent: Vec<UserId>,
    /// How many times it was passed over for a younger ticket that fits better.
    pub(super) bypasses: u8,
    /// Whether it is out of matching, and so in no index.
    pub(super) is_paused: bool,
    /// Where its next scans continue.
    pub(super) cursors: Cursors,
}

impl Entry {
    pub(super) fn new(ticket: Ticket) -> Self {
        let sorted = |users: &[UserId]| {
            let mut users = users.to_vec();
            users.sort_unstable();
            users
        };
        Self {
            language: text::primary_language(&ticket.language).to_ascii_lowercase(),
            blocked: sorted(&ticket.blocked),
            recent: sorted(&ticket.recent),
            bypasses: 0,
            is_paused: false,
            cursors: Cursors::default(),
            ticket,
        }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            since_ms: self.ticket.since_ms,
            id: self.ticket.id,
        }
    }

    /// The interests that count: at most as many as a ticket may name.
    pub(super) fn interests(&self) -> &[String] {
        let count = self.ticket.interests.len().min(INTERESTS_MAX);
        &self.ticket.interests[..count]
    }

    pub(super) fn rank(&self, now_ms: u64) -> usize {
        widening::rank(widening::stage_at(self.ticket.since_ms, now_ms))
    }

    fn avoids(&self, user: &UserId) -> bool {
        self.blocked.binary_search(user).is_ok()
    }

    fn met(&self, user: &UserId) -> bool {
        self.recent.binary_search(user).is_ok()
    }
}

/// Whether two tickets of one category may meet at all: different users, of one age bracket,
/// neither blocked by the other. No stage widens this.
pub(super) fn may_meet(a: &Entry, b: &Entry) -> bool {
    let (alice, bob) = (&a.ticket.user, &b.ticket.user);
    alice != bob
        && a.ticket.age_bracket == b.ticket.age_bracket
        && !a.avoids(bob)
        && !b.avoids(alice)
}

/// Whether two tickets that may meet have not met recently, or both no longer care.
pub(super) fn is_fresh(a: &Entry, b: &Entry, now_ms: u64) -> bool {
    let has_met = a.met(&b.ticket.user) || b.met(&a.ticket.user);
    !has_met || a.rank(now_ms).min(b.rank(now_ms)) >= 3
}

/// Whether neither is of a new account that still waits for another one.
pub(super) fn is_let_in(a: &Entry, b: &Entry, now_ms: u64) -> bool {
    let newcomer = match (a.ticket.is_new_account, b.ticket.is_new_account) {
        (true, false) => a,
        (false, true) => b,
        _ => return true,
    };
    newcomer.rank(now_ms) >= 1
}

/// How many interests two tickets share.
pub(super) fn shared(a: &Entry, b: &Entry) -> u32 {
    let theirs = b.interests();
    a.interests().iter().filter(|i| theirs.contains(i)).count() as u32
}

/// Why two tickets fit, with the interests as `asking` wrote them.
pub fn why(asking: &Ticket, partner: &Ticket) -> Why {
    let shared = asking.interests.iter().take(INTERESTS_MAX);
    Why {
        shared_interests: shared
            .filter(|i| partner.interests.contains(i))
            .cloned()
            .collect(),
        is_same_language: text::primary_language(&asking.language)
            .eq_ignore_ascii_case(text::primary_language(&partner.language)),
    }
}
