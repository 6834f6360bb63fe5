//! Who is matched with whom: the pure pool behind a category's queue.

use nowrong_protocol::{TicketId, UserId, frame::Why};

/// A user's place in a category's queue, with all that matching looks at.
#[derive(Clone, Debug, PartialEq)]
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
    pub age_bracket: u8,
    /// Users that must never be met: blocked, or blocking.
    pub blocked: Vec<UserId>,
    /// Recent partners: met again only at the last stage.
    pub recent: Vec<UserId>,
    /// Since when the user waits, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// What became of a ticket that joined.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// It waits.
    Waiting,
    /// This ticket was taken out of the queue for it.
    Offer {
        /// The waiting ticket.
        partner: Ticket,
        /// Why these two.
        why: Why,
    },
}
