//! Decides which tickets are matched: the pure pool behind the categories' queues.
//!
//! A ticket tries as soon as it joins: it takes the best waiting ticket such that both accept each
//! other, or it waits. The longer it waits, the more tickets it accepts ([`stage_at`]), so its
//! owner calls [`Pool::retry`] at [`next_retry_ms`], and at once after it was unpaused or requeued.
//! New accounts meet each other first: until such a ticket has reached the second stage, no other ticket is offered
//! to it nor it to them. At every stage age brackets must be equal and neither user may have blocked the other
//! (`rules.rs`). The result is only an offer: the store confirms it, and a ticket whose offer
//! failed goes back with [`Pool::requeue`].
//!
//! Invariants: a ticket is in the pool or in one offer, never both; a user has at most one ticket
//! here; one call looks at no more than [`SCAN_MAX`] tickets, and the ticket's next retry continues
//! a call that had to stop there, so that no fitting ticket is overlooked permanently. Start
//! reading at [`Pool::join`]; how candidates are found is in `find.rs`.

use std::collections::HashMap;

use nowrong_protocol::{
    TicketId, UserId,
    frame::{Stage, Why},
};
use serde::{Deserialize, Serialize};

use crate::{node::NodeId, record::AgeBracket};

mod find;
mod index;
mod rules;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod widening;

pub use find::SCAN_MAX;
pub use rules::why;
pub use widening::{RETRY_INTERVAL_MS, WIDENING_MS, next_retry_ms, stage_at};

use find::Found;
use index::{Place, Queue};
use rules::Entry;

/// Most tickets that wait at one time, in all categories together: twice the 50,000 concurrent
/// users that one pool is meant for. Each costs about 4 KB with full lists.
pub const TICKETS_MAX: usize = 100_000;

/// How many times a waiting ticket may be passed over for a younger one that fits better; then it
/// is taken as soon as it is acceptable. The number is low, because taking an older ticket costs
/// the newcomer only a few shared interests, while waiting costs the other user the evening.
pub const BYPASSES_MAX: u8 = 4;

/// A user's place in a category's queue, with everything that matching looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its id.
    pub id: TicketId,
    /// Whose.
    pub user: UserId,
    /// Id of the category.
    pub category: String,
    /// Normalised interests (lower case, NFKC), at most 10.
    pub interests: Vec<String>,
    /// Language tag, compared by its primary subtag.
    pub language: String,
    /// Age bracket; only equal ones meet.
    pub age_bracket: AgeBracket,
    /// Users that must never be met: blocked, or blocking.
    pub blocked: Vec<UserId>,
    /// Recent partners: met again only at the last stage.
    pub recent: Vec<UserId>,
    /// When the user began to wait, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// The node of its user, the only one that enters it into the queue.
    pub node: NodeId,
    /// Whether the account of its user is new. Such tickets meet each other at once, and others when they have
    /// waited for the second stage.
    pub is_new_account: bool,
}

/// What became of a ticket that joined.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a result that is taken apart at once, never kept"
)]
pub enum Joined {
    /// It waits.
    Waiting,
    /// `partner` was taken out of the queue for it.
    Offer {
        /// The waiting ticket.
        partner: Ticket,
        /// Why these two.
        why: Why,
    },
}

/// The outcome of a retry.
#[derive(Clone, Debug, PartialEq)]
pub struct Retried {
    /// The stage that the ticket has reached.
    pub stage: Stage,
    /// The match that was found, if any.
    pub offer: Option<Offer>,
}

/// Two tickets proposed to each other; both are out of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The ticket that was retried.
    pub ticket: Ticket,
    /// The other one.
    pub partner: Ticket,
    /// Why these two.
    pub why: Why,
}

/// The pool is full; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool of waiting tickets is full")]
pub struct PoolFull;

/// The waiting tickets of all categories.
#[derive(Debug)]
pub struct Pool {
    tickets: HashMap<TicketId, Entry>,
    users: HashMap<UserId, TicketId>,
    queues: HashMap<String, Queue>,
    tickets_max: usize,
    examined: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self::with_bound(TICKETS_MAX)
    }
}

impl Pool {
    /// An empty pool for at most `tickets_max` tickets.
    pub fn with_bound(tickets_max: usize) -> Self {
        Self {
            tickets: HashMap::new(),
            users: HashMap::new(),
            queues: HashMap::new(),
            tickets_max,
            examined: 0,
        }
    }

    /// Takes the best waiting ticket out for `ticket`, or lets it wait. An older ticket of its user
    /// is dropped.
    ///
    /// # Errors
    /// [`PoolFull`] when it would have to wait and there is no room.
    pub fn join(&mut self, ticket: Ticket, now_ms: u64) -> Result<Joined, PoolFull> {
        self.drop_older(&ticket);
        let mut entry = Entry::new(ticket);
        let found = self.find(&entry, now_ms);
        self.examined += u64::from(found.examined);
        if let Some(partner) = self.take_partner(&found) {
            let why = why(&entry.ticket, &partner);
            return Ok(Joined::Offer { partner, why });
        }
        entry.cursors = found.cursors;
        self.insert(entry)?;
        Ok(Joined::Waiting)
    }

    /// Tries again for a waiting ticket, with the stage it has reached. `None` when it does not wait:
    /// matched, cancelled, replaced, or paused.
    pub fn retry(&mut self, id: TicketId, now_ms: u64) -> Option<Retried> {
        let entry = self.tickets.get(&id).filter(|entry| !entry.is_paused)?;
        let stage = stage_at(entry.ticket.since_ms, now_ms);
        let found = self.find(entry, now_ms);
        self.examined += u64::from(found.examined);
        let Some(partner) = self.take_partner(&found) else {
            self.tickets.get_mut(&id)?.cursors = found.cursors;
            return Some(Retried { stage, offer: None });
        };
        let ticket = self.take(id)?;
        let why = why(&ticket, &partner);
        let offer = Offer {
            ticket,
            partner,
            why,
        };
        Some(Retried {
            stage,
            offer: Some(offer),
        })
    }

    /// Puts back a ticket whose offer failed: it keeps its time, and is next in line as if it had
    /// been passed over [`BYPASSES_MAX`] times. It does not try; call [`Self::retry`]. Nothing
    /// happens when its user has a newer ticket by now.
    ///
    /// # Errors
    /// [`PoolFull`] when there is no room.
    pub fn requeue(&mut self, ticket: Ticket) -> Result<(), PoolFull> {
        if self.users.contains_key(&ticket.user) || self.tickets.contains_key(&ticket.id) {
            return Ok(());
        }
        let mut entry = Entry::new(ticket);
        entry.bypasses = BYPASSES_MAX;
        self.insert(entry)
    }

    /// Takes a ticket out for good. `None` when it is not in the pool: an offer came first.
    pub fn cancel(&mut self, id: TicketId) -> Option<Ticket> {
        self.take(id)
    }

    /// Takes a ticket out of matching, or back in. It keeps its place. `None` when it is not in the
    /// pool.
    pub fn set_paused(&mut self, id: TicketId, is_paused: bool) -> Option<&Ticket> {
        let entry = self.tickets.get_mut(&id)?;
        if entry.is_paused != is_paused {
            entry.is_paused = is_paused;
            if is_paused {
                unlist(&mut self.queues, entry);
            } else {
                list(&mut self.queues, entry);
            }
        }
        Some(&entry.ticket)
    }

    /// The ticket, waiting or paused.
    pub fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.get(&id).map(|entry| &entry.ticket)
    }

    /// How many tickets wait in a category; paused ones do not count.
    pub fn waiting(&self, category: &str) -> u32 {
        self.queues.get(category).map_or(0, Queue::waiting)
    }

    /// How many tickets are in the pool, waiting or paused.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether there is no ticket.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// How many candidates all calls together have looked at: the work of matching.
    pub fn examined(&self) -> u64 {
        self.examined
    }

    fn find(&self, entry: &Entry, now_ms: u64) -> Found {
        let queue = self.queues.get(&entry.ticket.category);
        find::find(entry, queue, &self.tickets, now_ms)
    }

    /// Takes out the partner that was found, and counts a bypass for each ticket passed over for
    /// it.
    fn take_partner(&mut self, found: &Found) -> Option<Ticket> {
        for id in &found.bypassed {
            if let Some(entry) = self.tickets.get_mut(id) {
                entry.bypasses = entry.bypasses.saturating_add(1);
            }
        }
        self.take(found.partner?)
    }

    fn take(&mut self, id: TicketId) -> Option<Ticket> {
        let entry = self.tickets.remove(&id)?;
        self.users.remove(&entry.ticket.user);
        if !entry.is_paused {
            unlist(&mut self.queues, &entry);
        }
        Some(entry.ticket)
    }

    fn insert(&mut self, entry: Entry) -> Result<(), PoolFull> {
        if self.tickets.len() >= self.tickets_max {
            return Err(PoolFull);
        }
        list(&mut self.queues, &entry);
        self.users.insert(entry.ticket.user, entry.ticket.id);
        self.tickets.insert(entry.ticket.id, entry);
        Ok(())
    }

    fn drop_older(&mut self, ticket: &Ticket) {
        if let Some(older) = self.users.get(&ticket.user) {
            self.take(*older);
        }
        self.take(ticket.id);
    }
}

fn list(queues: &mut HashMap<String, Queue>, entry: &Entry) {
    let category = entry.ticket.category.clone();
    queues.entry(category).or_default().insert(entry);
}

fn unlist(queues: &mut HashMap<String, Queue>, entry: &Entry) {
    if let Some(queue) = queues.get_mut(&entry.ticket.category) {
        queue.remove(entry);
        if queue.waiting() == 0 {
            queues.remove(&entry.ticket.category);
        }
    }
}
