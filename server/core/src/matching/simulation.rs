//! A crowd that joins, cancels, loses connections, is matched, refused and requeued while time
//! passes: the promises G6 and G7 must hold after every step. The seed is printed; to repeat a
//! failure, set it in `SEEDS`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    tests::model::{is_acceptable, is_compatible},
    tests::{ticket, user},
    *,
};

const USERS: u32 = 3_000;
const STEPS: u32 = 40_000;
const SEEDS: [u64; 2] = [1, 0xC0FFEE];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn person(&mut self) -> u32 {
        self.roll(u64::from(USERS)) as u32
    }
}

/// What became of each ticket that ever joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    joined: u32,
    matched: u32,
    cancelled: u32,
    replaced: u32,
}

struct Crowd {
    pool: Pool,
    dice: Dice,
    now: u64,
    /// Tickets that should be in the pool.
    waiting: BTreeMap<TicketId, (Ticket, bool)>,
    /// Offers that are not confirmed yet.
    offers: Vec<[Ticket; 2]>,
    retries: BTreeSet<(u64, TicketId)>,
    people: Vec<Person>,
    tally: Tally,
    tickets: u32,
    most_waiting: usize,
}

#[derive(Clone, Default)]
struct Person {
    blocked: BTreeSet<UserId>,
    recent: Vec<UserId>,
    is_busy: bool,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut people = vec![Person::default(); USERS as usize];
        for n in 0..USERS {
            for _ in 0..dice.roll(12) {
                let other = dice.person();
                // Either ticket may carry a block; usually both do.
                people[n as usize].blocked.insert(user(other));
                if dice.roll(4) > 0 {
                    people[other as usize].blocked.insert(user(n));
                }
            }
        }
        Self {
            pool: Pool::default(),
            dice,
            now: 1_000,
            waiting: BTreeMap::new(),
            offers: Vec::new(),
            retries: BTreeSet::new(),
            people,
            tally: Tally::default(),
            tickets: 0,
            most_waiting: 0,
        }
    }

    fn step(&mut self) {
        match self.dice.roll(100) {
            0..45 => self.join(),
            45..50 => self.cancel(),
            50..58 => self.pause(),
            58..75 => self.confirm_or_fail(),
            75..80 => self.leave_chats(),
            _ => self.pass(8),
        }
    }

    fn new_ticket(&mut self, n: u32) -> Ticket {
        self.tickets += 1;
        let picks = self.dice.roll(4);
        let mut interests: Vec<String> = Vec::new();
        for _ in 0..picks {
            let name = format!("interest {}", self.dice.roll(60));
            if !interests.contains(&name) {
                interests.push(name);
            }
        }
        let language = ["en", "en-GB", "de", "ja", "pt-BR"][self.dice.roll(5) as usize];
        let person = &self.people[n as usize];
        Ticket {
            id: ticket(self.tickets, self.now).id,
            category: ["music", "films"][self.dice.roll(2) as usize].to_owned(),
            interests,
            language: language.to_owned(),
            age_bracket: if n.is_multiple_of(5) {
                AgeBracket::Teen
            } else {
                AgeBracket::Adult
            },
            blocked: person.blocked.iter().copied().collect(),
            recent: person.recent.clone(),
            is_new_account: n.is_multiple_of(3),
            ..ticket(n, self.now)
        }
    }

    fn join(&mut self) {
        let n = self.dice.person();
        if self.people[n as usize].is_busy {
            return;
        }
        let ticket = self.new_ticket(n);
        self.tally.joined += 1;
        let before = self.waiting.len();
        self.waiting
            .retain(|_, (waiting, _)| waiting.user != ticket.user);
        self.tally.replaced += (before - self.waiting.len()) as u32;
        match self.pool.join(ticket.clone(), self.now).expect("room") {
            Joined::Offer { partner, why } => self.offered([ticket, partner], &why),
            Joined::Waiting => {
                self.expect_nobody_for(&ticket);
                self.enter(ticket);
            }
        }
    }

    fn enter(&mut self, ticket: Ticket) {
        self.retries
            .insert((next_retry_ms(ticket.since_ms, self.now), ticket.id));
        self.waiting.insert(ticket.id, (ticket, false));
    }

    fn offered(&mut self, pair: [Ticket; 2], why: &Why) {
        let [asking, partner] = &pair;
        assert!(
            is_acceptable(asking, partner, self.now),
            "G7: {pair:?} at {}",
            self.now
        );
        let (waited, is_paused) = self
            .waiting
            .remove(&partner.id)
            .expect("G6: the partner waits");
        assert!(!is_paused && waited == *partner, "G6");
        for interest in &why.shared_interests {
            assert!(asking.interests.contains(interest) && partner.interests.contains(interest));
        }
        for ticket in &pair {
            assert!(
                self.pool.ticket(ticket.id).is_none(),
                "G6: out of the queue"
            );
            let is_twice = self
                .offers
                .iter()
                .flatten()
                .any(|other| other.user == ticket.user);
            assert!(!is_twice, "G6: nobody is in two offers");
            self.person(ticket.user).is_busy = true;
        }
        self.offers.push(pair);
    }

    fn person(&mut self, id: UserId) -> &mut Person {
        let index = u32::from_be_bytes(id.as_bytes()[..4].try_into().expect("four bytes"));
        &mut self.people[index as usize]
    }

    /// A ticket that finds nobody really has nobody: a search of this crowd never reaches its
    /// bound.
    fn expect_nobody_for(&self, ticket: &Ticket) {
        for (other, is_paused) in self.waiting.values() {
            let fits = !is_paused && is_acceptable(ticket, other, self.now);
            assert!(!fits, "{ticket:?} overlooked {other:?} at {}", self.now);
        }
    }

    fn any_waiting(&mut self) -> Option<TicketId> {
        let count = self.waiting.len() as u64;
        let n = self.dice.roll(count.max(1)) as usize;
        self.waiting.keys().nth(n).copied()
    }

    fn cancel(&mut self) {
        // A ticket that is in an offer cannot be cancelled any more.
        if let Some([ticket, _]) = self.offers.last() {
            assert_eq!(self.pool.cancel(ticket.id), None, "G6: the match won");
        }
        if let Some(id) = self.any_waiting() {
            let (ticket, _) = self.waiting.remove(&id).expect("it waits");
            assert_eq!(self.pool.cancel(id), Some(ticket), "G6: the cancel won");
            self.tally.cancelled += 1;
        }
    }

    fn pause(&mut self) {
        if let Some(id) = self.any_waiting() {
            let (ticket, is_paused) = self.waiting.get_mut(&id).expect("it waits");
            *is_paused = !*is_paused;
            assert_eq!(self.pool.set_paused(id, *is_paused), Some(&*ticket));
            if !*is_paused {
                self.retries.insert((self.now, id));
            }
        }
    }

    fn confirm_or_fail(&mut self) {
        let Some([a, b]) = self.offers.pop() else {
            return;
        };
        if self.dice.roll(4) > 0 {
            self.tally.matched += 2;
            self.person(a.user).recent.push(b.user);
            self.person(b.user).recent.push(a.user);
            return;
        }
        for ticket in [a, b] {
            self.person(ticket.user).is_busy = false;
            self.pool.requeue(ticket.clone()).expect("room");
            assert_eq!(
                self.pool.ticket(ticket.id),
                Some(&ticket),
                "it keeps its time"
            );
            self.retries.insert((self.now, ticket.id));
            self.enter(ticket);
        }
    }

    fn leave_chats(&mut self) {
        for _ in 0..20 {
            let n = self.dice.person();
            let id = user(n);
            if !self.offers.iter().flatten().any(|ticket| ticket.user == id) {
                self.people[n as usize].is_busy = false;
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now += self.dice.roll(2 * ms);
        while let Some((at, id)) = self.retries.first().copied()
            && at <= self.now
        {
            self.retries.remove(&(at, id));
            self.retry(id);
        }
    }

    fn retry(&mut self, id: TicketId) {
        let retried = self.pool.retry(id, self.now);
        let Some((ticket, is_paused)) = self.waiting.get(&id).cloned() else {
            assert_eq!(retried, None, "G6: it is out of the queue");
            return;
        };
        let Some(retried) = retried else {
            assert!(is_paused, "only a paused ticket is not tried");
            return;
        };
        assert_eq!(retried.stage, stage_at(ticket.since_ms, self.now));
        if let Some(offer) = retried.offer {
            self.waiting.remove(&id);
            assert_eq!(offer.ticket, ticket);
            self.offered([offer.ticket, offer.partner], &offer.why);
        } else {
            self.expect_nobody_for(&ticket);
            self.retries
                .insert((next_retry_ms(ticket.since_ms, self.now), id));
        }
    }

    fn check_totals(&mut self) {
        self.most_waiting = self.most_waiting.max(self.waiting.len());
        let Tally {
            joined,
            matched,
            cancelled,
            replaced,
        } = self.tally;
        let (waiting, offered) = (self.waiting.len() as u32, 2 * self.offers.len() as u32);
        assert_eq!(
            joined,
            matched + cancelled + replaced + waiting + offered,
            "G6"
        );
        assert_eq!(self.pool.len(), self.waiting.len());
        let open = self
            .waiting
            .values()
            .filter(|(_, is_paused)| !is_paused)
            .count() as u32;
        assert_eq!(
            self.pool.waiting("music") + self.pool.waiting("films"),
            open
        );
    }

    /// Nobody joins any more; everybody has come back and reaches the last stage.
    fn settle(&mut self) {
        let paused: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, w)| w.1)
            .map(|(id, _)| *id)
            .collect();
        for id in paused {
            self.waiting.get_mut(&id).expect("it waits").1 = false;
            self.pool.set_paused(id, false);
            self.retries.insert((self.now, id));
        }
        for _ in 0..60 {
            self.pass(1_000);
        }
        let rest: Vec<_> = self.waiting.values().map(|(ticket, _)| ticket).collect();
        for (i, a) in rest.iter().enumerate() {
            for b in &rest[i + 1..] {
                assert!(
                    !is_compatible(a, b),
                    "both wait at the last stage: {a:?} {b:?}"
                );
            }
        }
    }
}

#[test]
fn g6_g7_a_crowd_in_any_order_is_matched_once_and_never_wrongly() {
    for seed in SEEDS {
        let mut crowd = Crowd::new(seed);
        for _ in 0..STEPS {
            crowd.step();
            crowd.check_totals();
        }
        crowd.settle();
        crowd.check_totals();
        let (most, rest) = (crowd.most_waiting, crowd.pool.len());
        println!(
            "{:?}, at most {most} waited, {rest} fit nobody",
            crowd.tally
        );
        assert!(
            crowd.tally.matched > 5_000 && most > 100,
            "too little happened to show anything"
        );
    }
}
