//! The queue of a category, indexed so that a search meets only tickets that the stages of both
//! sides accept. Every list is ordered by waiting time, so the tickets that have reached a stage
//! are a prefix of it, and no timer has to move tickets.

use std::{
    collections::{BTreeSet, HashMap, btree_set},
    ops::Bound,
};

use nowrong_protocol::TicketId;

use super::rules::Entry;
use crate::record::AgeBracket;

/// The place of a ticket in line: by waiting time, then by id, which is ordered by time too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) since_ms: u64,
    pub(super) id: TicketId,
}

/// Tickets in line.
#[derive(Debug, Default)]
pub(super) struct Line(BTreeSet<Place>);

impl Line {
    /// The places after `after` that have waited since `until_ms` or longer, longest first.
    pub(super) fn between(
        &self,
        after: Option<Place>,
        until_ms: u64,
    ) -> btree_set::Range<'_, Place> {
        let last = Place {
            since_ms: until_ms,
            id: TicketId::from_bytes([u8::MAX; 16]),
        };
        // A range that ends before it starts would panic; this one is empty.
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.min(last)));
        self.0.range((start, Bound::Included(last)))
    }
}

/// The tickets of a category that are not paused.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: u32,
    brackets: HashMap<AgeBracket, Bracket>,
}

/// The tickets of one age bracket: brackets never meet.
#[derive(Debug, Default)]
pub(super) struct Bracket {
    /// All of them.
    pub(super) everyone: Line,
    /// By interest, in all languages.
    pub(super) interests: HashMap<String, Line>,
    /// By primary language.
    pub(super) languages: HashMap<String, Spoken>,
}

/// The tickets of one language.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    /// Without interests: they accept anyone of the language from the start.
    pub(super) open: Line,
    /// With interests: they accept anyone of the language from the second stage on.
    pub(super) asking: Line,
    /// By interest.
    pub(super) interests: HashMap<String, Line>,
}

impl Queue {
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    pub(super) fn bracket(&self, age_bracket: AgeBracket) -> Option<&Bracket> {
        self.brackets.get(&age_bracket)
    }

    /// Lists a ticket that is not listed.
    pub(super) fn insert(&mut self, entry: &Entry) {
        self.waiting += 1;
        let bracket = self.brackets.entry(entry.ticket.age_bracket).or_default();
        bracket.insert(entry);
    }

    /// Unlists a ticket that is listed.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.waiting -= 1;
        if let Some(bracket) = self.brackets.get_mut(&entry.ticket.age_bracket) {
            bracket.remove(entry);
            if bracket.everyone.0.is_empty() {
                self.brackets.remove(&entry.ticket.age_bracket);
            }
        }
    }
}

impl Bracket {
    fn insert(&mut self, entry: &Entry) {
        let place = entry.place();
        self.everyone.0.insert(place);
        let spoken = self.languages.entry(entry.language.clone()).or_default();
        spoken.line_of(entry).0.insert(place);
        for interest in entry.interests() {
            for lines in [&mut self.interests, &mut spoken.interests] {
                lines.entry(interest.clone()).or_default().0.insert(place);
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        let place = entry.place();
        self.everyone.0.remove(&place);
        unlist_interests(&mut self.interests, entry);
        if let Some(spoken) = self.languages.get_mut(&entry.language) {
            spoken.line_of(entry).0.remove(&place);
            unlist_interests(&mut spoken.interests, entry);
            if spoken.open.0.is_empty() && spoken.asking.0.is_empty() {
                self.languages.remove(&entry.language);
            }
        }
    }
}

impl Spoken {
    fn line_of(&mut self, entry: &Entry) -> &mut Line {
        if entry.interests().is_empty() {
            &mut self.open
        } else {
            &mut self.asking
        }
    }
}

fn unlist_interests(lines: &mut HashMap<String, Line>, entry: &Entry) {
    for interest in entry.interests() {
        if let Some(line) = lines.get_mut(interest) {
            line.0.remove(&entry.place());
            if line.0.is_empty() {
                lines.remove(interest);
            }
        }
    }
}
