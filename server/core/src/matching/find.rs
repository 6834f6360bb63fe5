//! The search for the best partner of one ticket, with a bound on its work.
//!
//! Three scans, each over lists that hold exactly the tickets that both stages allow, longest
//! waiting first: tickets that share an interest, tickets of the same language, tickets of other
//! languages. Blocks, recent partners and new accounts, which a list cannot know, are checked for each candidate.
//! A scan that reaches its bound leaves a cursor, and the ticket's next search continues after it.

use std::{collections::HashMap, iter::Peekable};

use nowrong_protocol::TicketId;

use super::{
    BYPASSES_MAX, Place,
    index::{Bracket, Line, Queue, Spoken},
    rules::{self, Entry},
    widening::since_of,
};

/// Most candidates that the scan of shared interests looks at: it has to see all of them to find
/// the best.
const SHARED_SCAN_MAX: u32 = 1_000;

/// Most candidates that each of the other two scans looks at. These scans stop early: their
/// candidates differ only in their waiting time.
const EQUAL_SCAN_MAX: u32 = 1_500;

/// Most candidates that one search looks at. One costs 0.05 microseconds, 0.2 in the first scan:
/// under half a millisecond in total, and a crowd of 10,000 tickets that all block the same user is
/// covered in ten retries.
pub const SCAN_MAX: u32 = SHARED_SCAN_MAX + 2 * EQUAL_SCAN_MAX;

/// How many acceptable candidates of equal rank are noted, to count the ones passed over.
const FRONT_MAX: usize = 8;

/// Where the three scans of a ticket continue; `None` is the front.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursors {
    shared: Option<Place>,
    spoken: Option<Place>,
    others: Option<Place>,
}

/// The outcome of a search.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) partner: Option<TicketId>,
    /// Acceptable tickets that have waited longer than the partner but fit less well.
    pub(super) bypassed: Vec<TicketId>,
    pub(super) cursors: Cursors,
    pub(super) examined: u32,
}

/// An acceptable ticket.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: Place,
    /// Shared interests, then whether the language is the same: more is better.
    score: (u32, bool),
    is_overdue: bool,
}

/// The best partner of `entry` in its category.
pub(super) fn find(
    entry: &Entry,
    queue: Option<&Queue>,
    tickets: &HashMap<TicketId, Entry>,
    now_ms: u64,
) -> Found {
    let Some(bracket) = queue.and_then(|queue| queue.bracket(entry.ticket.age_bracket)) else {
        return Found::default();
    };
    let mut search = Search {
        entry,
        tickets,
        now_ms,
        rank: entry.rank(now_ms),
        spoken: bracket.languages.get(&entry.language),
        bracket,
        candidates: Vec::new(),
        found: Found::default(),
    };
    search.scan_shared();
    search.scan_spoken();
    search.scan_others();
    search.choose()
}

struct Search<'a> {
    entry: &'a Entry,
    tickets: &'a HashMap<TicketId, Entry>,
    now_ms: u64,
    rank: usize,
    bracket: &'a Bracket,
    /// Tickets of the same language.
    spoken: Option<&'a Spoken>,
    candidates: Vec<Candidate>,
    found: Found,
}

impl<'a> Search<'a> {
    /// Scans tickets that share an interest: of the same language at any stage; of another one when
    /// both have reached the third.
    fn scan_shared(&mut self) {
        let mut merge = Merge::default();
        let after = self.entry.cursors.shared;
        for (bit, interest) in self.entry.interests().iter().enumerate() {
            let same = self
                .spoken
                .and_then(|spoken| spoken.interests.get(interest));
            merge.add(same, 1 << bit, after, since_of(0, self.now_ms));
            if self.rank >= 2 {
                let any = self.bracket.interests.get(interest);
                merge.add(any, 1 << bit, after, since_of(2, self.now_ms));
            }
        }
        let mut budget = SHARED_SCAN_MAX;
        while let Some((place, mask)) = merge.next_within(&mut budget) {
            let Some(other) = self.acceptable(place) else {
                continue;
            };
            let score = (mask.count_ones(), other.language == self.entry.language);
            self.note(other, score);
        }
        self.found.cursors.shared = merge.cursor(budget);
        self.found.examined += SHARED_SCAN_MAX - budget;
    }

    /// Scans tickets of the same language that need no shared interest.
    fn scan_spoken(&mut self) {
        if self.rank == 0 && !self.entry.interests().is_empty() {
            return;
        }
        let mut merge = Merge::default();
        let after = self.entry.cursors.spoken;
        let open = self.spoken.map(|spoken| &spoken.open);
        merge.add(open, 0, after, since_of(0, self.now_ms));
        let asking = self.spoken.map(|spoken| &spoken.asking);
        merge.add(asking, 0, after, since_of(1, self.now_ms));
        self.found.cursors.spoken = self.scan_front(merge, true);
    }

    /// Scans tickets of other languages.
    fn scan_others(&mut self) {
        if self.rank < 2 {
            return;
        }
        let mut merge = Merge::default();
        let after = self.entry.cursors.others;
        let everyone = Some(&self.bracket.everyone);
        merge.add(everyone, 0, after, since_of(2, self.now_ms));
        self.found.cursors.others = self.scan_front(merge, false);
    }

    /// Notes the first few acceptable tickets that share no interest.
    fn scan_front(&mut self, mut merge: Merge<'a>, is_same_language: bool) -> Option<Place> {
        let mut budget = EQUAL_SCAN_MAX;
        let mut noted = 0;
        while noted < FRONT_MAX
            && let Some((place, _)) = merge.next_within(&mut budget)
        {
            let acceptable = self.acceptable(place);
            let Some(other) = acceptable
                .filter(|other| (other.language == self.entry.language) == is_same_language)
            else {
                continue;
            };
            if !self.candidates.iter().any(|seen| seen.place == place) {
                self.note(other, (rules::shared(self.entry, other), is_same_language));
                noted += 1;
            }
        }
        self.found.examined += EQUAL_SCAN_MAX - budget;
        merge.cursor(budget)
    }

    fn acceptable(&self, place: Place) -> Option<&'a Entry> {
        let other = self.tickets.get(&place.id)?;
        let fits = rules::may_meet(self.entry, other)
            && rules::is_let_in(self.entry, other, self.now_ms)
            && rules::is_fresh(self.entry, other, self.now_ms);
        fits.then_some(other)
    }

    fn note(&mut self, other: &Entry, score: (u32, bool)) {
        self.candidates.push(Candidate {
            place: other.place(),
            score,
            is_overdue: other.bypasses >= BYPASSES_MAX,
        });
    }

    /// The longest waiting ticket of those passed over too often; otherwise the best one, longest
    /// waiting first.
    fn choose(mut self) -> Found {
        let overdue = self
            .candidates
            .iter()
            .filter(|c| c.is_overdue)
            .min_by_key(|c| c.place);
        let best = || {
            let rank = |c: &&Candidate| (c.score, std::cmp::Reverse(c.place));
            self.candidates.iter().max_by_key(rank)
        };
        if let Some(chosen) = overdue.or_else(best) {
            let passed = |c: &&Candidate| c.place < chosen.place && c.score < chosen.score;
            self.found.bypassed = self
                .candidates
                .iter()
                .filter(passed)
                .map(|c| c.place.id)
                .collect();
            self.found.partner = Some(chosen.place.id);
        }
        self.found
    }
}

/// Several lines walked as one, in order; a place that is in several lines comes once.
#[derive(Default)]
struct Merge<'a> {
    lines: Vec<(u16, Peekable<std::collections::btree_set::Range<'a, Place>>)>,
    last: Option<Place>,
    is_cut: bool,
}

impl<'a> Merge<'a> {
    /// Adds the part of a line after the cursor, of tickets that wait since `until_ms` or longer.
    fn add(
        &mut self,
        line: Option<&'a Line>,
        bit: u16,
        after: Option<Place>,
        until_ms: Option<u64>,
    ) {
        if let (Some(line), Some(until_ms)) = (line, until_ms) {
            self.lines
                .push((bit, line.between(after, until_ms).peekable()));
        }
    }

    /// The next place, with one bit for each line that it is in, if the budget allows.
    fn next_within(&mut self, budget: &mut u32) -> Option<(Place, u16)> {
        let heads = self
            .lines
            .iter_mut()
            .filter_map(|(_, line)| line.peek().copied());
        let place = *heads.min()?;
        if *budget == 0 {
            self.is_cut = true;
            return None;
        }
        *budget -= 1;
        self.last = Some(place);
        let mut mask = 0;
        for (bit, line) in &mut self.lines {
            if line.next_if(|head| **head == place).is_some() {
                mask |= *bit;
            }
        }
        Some((place, mask))
    }

    /// Where to continue when the budget was too small for all.
    fn cursor(&self, budget: u32) -> Option<Place> {
        self.last.filter(|_| self.is_cut && budget == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_saw_all_with_the_last_of_its_budget_begins_again_at_the_front() {
        let last = Some(Place {
            since_ms: 1,
            id: TicketId::from_bytes([1; 16]),
        });
        let scanned = |is_cut| Merge {
            last,
            is_cut,
            ..Merge::default()
        };
        assert_eq!(scanned(false).cursor(0), None);
        assert_eq!(scanned(true).cursor(0), last);
    }
}
