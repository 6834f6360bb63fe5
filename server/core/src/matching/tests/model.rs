//! The pool must do the same as a naive pool that looks at everyone and knows only the written
//! rules.

use super::*;

/// A ticket as the model keeps it.
#[derive(Clone, Debug)]
struct Waiting {
    ticket: Ticket,
    is_paused: bool,
    bypasses: u8,
}

#[derive(Debug, Default)]
struct Model {
    waiting: Vec<Waiting>,
}

fn stage(ticket: &Ticket, now: u64) -> u8 {
    match now.saturating_sub(ticket.since_ms) {
        0..3_000 => 0,
        3_000..8_000 => 1,
        8_000..15_000 => 2,
        _ => 3,
    }
}

fn shared(a: &Ticket, b: &Ticket) -> usize {
    a.interests
        .iter()
        .filter(|i| b.interests.contains(i))
        .count()
}

fn same_language(a: &Ticket, b: &Ticket) -> bool {
    a.language[..2] == b.language[..2]
}

/// Whether `a`, at its own stage, accepts `b`.
fn accepts(a: &Ticket, b: &Ticket, now: u64) -> bool {
    let stage = stage(a, now);
    let interests = stage >= 1 || a.interests.is_empty() || shared(a, b) > 0;
    let language = stage >= 2 || same_language(a, b);
    let fresh = stage >= 3 || !(a.recent.contains(&b.user) || b.recent.contains(&a.user));
    interests && language && fresh
}

/// Whether the two may ever meet.
pub(in crate::matching) fn is_compatible(a: &Ticket, b: &Ticket) -> bool {
    a.user != b.user
        && a.category == b.category
        && a.age_bracket == b.age_bracket
        && !a.blocked.contains(&b.user)
        && !b.blocked.contains(&a.user)
}

/// Whether `a` is of a new account and still waits for another one.
fn waits_for_new(a: &Ticket, b: &Ticket, now: u64) -> bool {
    a.is_new_account && !b.is_new_account && stage(a, now) == 0
}

/// Whether the two may meet now.
pub(in crate::matching) fn is_acceptable(a: &Ticket, b: &Ticket, now: u64) -> bool {
    let accept = |a, b| accepts(a, b, now) && !waits_for_new(a, b, now);
    is_compatible(a, b) && accept(a, b) && accept(b, a)
}

impl Model {
    fn remove(&mut self, id: TicketId) -> Option<Waiting> {
        let index = self.waiting.iter().position(|w| w.ticket.id == id)?;
        Some(self.waiting.remove(index))
    }

    /// Takes out the partner of `ticket`, by the rules alone.
    fn partner(&mut self, ticket: &Ticket, now: u64) -> Option<Ticket> {
        let place = |w: &Waiting| (w.ticket.since_ms, w.ticket.id);
        let score = |w: &Waiting| (shared(ticket, &w.ticket), same_language(ticket, &w.ticket));
        let mut fits: Vec<Waiting> = self.waiting.clone();
        fits.retain(|w| !w.is_paused && is_acceptable(ticket, &w.ticket, now));
        fits.sort_by_key(place);
        let overdue = fits.iter().find(|w| w.bypasses >= 4);
        let chosen = overdue
            .or_else(|| fits.iter().rev().max_by_key(|w| score(w)))?
            .clone();
        for w in &mut self.waiting {
            let fits = fits.iter().any(|f| f.ticket.id == w.ticket.id);
            if fits && place(w) < place(&chosen) && score(w) < score(&chosen) {
                w.bypasses += 1;
            }
        }
        self.remove(chosen.ticket.id).map(|w| w.ticket)
    }

    fn join(&mut self, ticket: &Ticket, now: u64) -> Option<Ticket> {
        self.waiting.retain(|w| w.ticket.user != ticket.user);
        let partner = self.partner(ticket, now);
        if partner.is_none() {
            self.enter(ticket.clone(), 0);
        }
        partner
    }

    fn retry(&mut self, id: TicketId, now: u64) -> Option<Option<Ticket>> {
        let waiting = self
            .waiting
            .iter()
            .find(|w| w.ticket.id == id && !w.is_paused)?;
        let ticket = waiting.ticket.clone();
        let partner = self.partner(&ticket, now);
        if partner.is_some() {
            self.remove(id);
        }
        Some(partner)
    }

    fn requeue(&mut self, ticket: Ticket) {
        if !self.waiting.iter().any(|w| w.ticket.user == ticket.user) {
            self.enter(ticket, 4);
        }
    }

    fn enter(&mut self, ticket: Ticket, bypasses: u8) {
        self.waiting.push(Waiting {
            ticket,
            is_paused: false,
            bypasses,
        });
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join(Ticket),
    Retry(usize),
    Cancel(usize),
    Pause(usize, bool),
    /// The n-th last offer fails; one or both of its tickets go back.
    Fail(usize, bool),
    Pass(u64),
}

/// Few enough users that a scan notes every acceptable one, as the model does.
const USERS: u32 = 8;

fn users() -> impl Strategy<Value = Vec<UserId>> {
    prop::collection::vec((0..USERS).prop_map(user), 0..2)
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    let names = prop::sample::subsequence(vec!["art", "ball", "chess", "dogs"], 0..=3);
    let language = prop::sample::select(vec!["en", "en-US", "de"]);
    let category = prop::sample::select(vec!["music", "music", "music", "films"]);
    let hard = (
        0..USERS,
        category,
        prop::sample::select(vec![
            AgeBracket::Teen,
            AgeBracket::Adult,
            AgeBracket::Adult,
            AgeBracket::Adult,
        ]),
        users(),
    );
    let soft = (names, language, users(), any::<bool>());
    (hard, soft).prop_map(
        |((n, category, age_bracket, blocked), (names, language, recent, is_new_account))| Ticket {
            category: category.to_owned(),
            interests: interests(names),
            language: language.to_owned(),
            age_bracket,
            blocked,
            recent,
            is_new_account,
            ..ticket(n, 0)
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_ticket().prop_map(Step::Join),
        5 => (0..9_usize).prop_map(Step::Retry),
        1 => (0..9_usize).prop_map(Step::Cancel),
        1 => (0..9_usize, any::<bool>()).prop_map(|(n, is_paused)| Step::Pause(n, is_paused)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(n, both)| Step::Fail(n, both)),
        3 => (0..6_000_u64).prop_map(Step::Pass),
    ]
}

/// Pool and model side by side.
#[derive(Default)]
struct Pair {
    pool: Pool,
    model: Model,
    offers: Vec<[Ticket; 2]>,
    now: u64,
    joins: u64,
}

impl Pair {
    fn take(&mut self, step: Step) {
        match step {
            Step::Join(ticket) => self.join(ticket),
            Step::Retry(n) => self.retry(n),
            Step::Cancel(n) => {
                if let Some(id) = self.id(n) {
                    assert_eq!(
                        self.pool.cancel(id),
                        self.model.remove(id).map(|w| w.ticket)
                    );
                }
            }
            Step::Pause(n, is_paused) => self.pause(n, is_paused),
            Step::Fail(n, both) => self.fail(n, both),
            Step::Pass(ms) => self.now += ms,
        }
    }

    fn id(&self, n: usize) -> Option<TicketId> {
        Some(self.model.waiting.get(n)?.ticket.id)
    }

    fn join(&mut self, mut ticket: Ticket) {
        self.joins += 1;
        ticket.since_ms = self.now;
        ticket.id = TicketId::v7(self.now, &[self.joins as u8; 10]);
        let expected = self.model.join(&ticket, self.now);
        let joined = self.pool.join(ticket.clone(), self.now).expect("room");
        match (joined, expected) {
            (Joined::Waiting, None) => {}
            (Joined::Offer { partner, .. }, Some(expected)) => {
                assert_eq!(partner, expected);
                self.offers.push([ticket, partner]);
            }
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    fn retry(&mut self, n: usize) {
        let Some(id) = self.id(n) else { return };
        let expected = self.model.retry(id, self.now);
        let retried = self.pool.retry(id, self.now);
        let offer = retried.map(|retried| retried.offer);
        let partner = offer.clone().map(|offer| offer.map(|offer| offer.partner));
        assert_eq!(partner, expected);
        if let Some(Some(offer)) = offer {
            self.offers.push([offer.ticket, offer.partner]);
        }
    }

    fn pause(&mut self, n: usize, is_paused: bool) {
        let Some(waiting) = self.model.waiting.get_mut(n) else {
            return;
        };
        waiting.is_paused = is_paused;
        let paused = self.pool.set_paused(waiting.ticket.id, is_paused);
        assert_eq!(paused, Some(&waiting.ticket));
    }

    fn fail(&mut self, n: usize, both: bool) {
        let Some(index) = self.offers.len().checked_sub(n + 1) else {
            return;
        };
        for ticket in self
            .offers
            .remove(index)
            .into_iter()
            .take(1 + usize::from(both))
        {
            self.model.requeue(ticket.clone());
            self.pool.requeue(ticket).expect("room");
        }
    }

    fn check(&self) {
        assert_eq!(self.pool.len(), self.model.waiting.len());
        for category in ["music", "films"] {
            let here = |w: &&Waiting| w.ticket.category == category && !w.is_paused;
            let waiting = self.model.waiting.iter().filter(here).count();
            assert_eq!(self.pool.waiting(category) as usize, waiting);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn g6_g7_the_pool_is_the_naive_pool(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = Pair::default();
        for step in steps {
            pair.take(step);
            pair.check();
        }
    }
}
