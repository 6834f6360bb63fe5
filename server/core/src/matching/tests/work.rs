//! The bound on the work of one call, with 10,000 people waiting and nothing that fits.

use std::time::{Duration, Instant};

use super::*;

const CROWD: u32 = 10_000;
const NEWCOMER: u32 = 1_000_000;

/// Ten thousand tickets made by `each`, all entered without a search.
fn crowd(each: impl Fn(Ticket) -> Ticket) -> Pool {
    let mut pool = Pool::default();
    for n in 0..CROWD {
        pool.requeue(each(ticket(n, u64::from(n)))).expect("room");
    }
    pool
}

fn ten_interests() -> Vec<String> {
    interests((0..INTERESTS_MAX).map(|i| format!("interest {i}")))
}

/// A crowd in which nobody fits the newcomer.
struct Case {
    name: &'static str,
    /// Makes each ticket of the crowd unfit.
    each: fn(Ticket) -> Ticket,
    newcomer: Ticket,
    now_ms: u64,
    /// How many of the crowd the newcomer's call looks at.
    examined: u32,
}

fn hating(ticket: Ticket) -> Ticket {
    Ticket {
        blocked: vec![user(NEWCOMER)],
        ..ticket
    }
}

fn busy(ticket: Ticket) -> Ticket {
    Ticket {
        interests: ten_interests(),
        ..ticket
    }
}

fn german(ticket: Ticket) -> Ticket {
    Ticket {
        language: "de".to_owned(),
        ..ticket
    }
}

fn young(ticket: Ticket) -> Ticket {
    Ticket {
        age_bracket: AgeBracket::Teen,
        ..ticket
    }
}

fn new(ticket: Ticket) -> Ticket {
    Ticket {
        is_new_account: true,
        ..ticket
    }
}

fn elsewhere(ticket: Ticket) -> Ticket {
    Ticket {
        category: "films".to_owned(),
        ..ticket
    }
}

fn singular(ticket: Ticket) -> Ticket {
    Ticket {
        interests: vec![ticket.user.to_string()],
        ..ticket
    }
}

/// The work of one call, as a table. The index handles everything except blocks.
#[rustfmt::skip]
fn cases() -> [Case; 9] {
    let fresh = || ticket(NEWCOMER, 60_000);
    let old = || ticket(NEWCOMER, 20_000);
    let case = |name, each, newcomer, now_ms, examined| Case { name, each, newcomer, now_ms, examined };
    [
        case("another age bracket", young, old(), 60_000, 0),
        case("another category", elsewhere, old(), 60_000, 0),
        case("another language, just come", german, fresh(), 60_000, 0),
        case("other interests, just come", singular, fresh(), 2_000, 0),
        case("blocked, just come", hating, fresh(), 60_000, 1_500),
        case("new accounts, just come", new, fresh(), 2_000, 1_500),
        case("blocked, waiting long", hating, old(), 60_000, 3_000),
        case("blocked, in another language", |t| hating(german(t)), old(), 60_000, 1_500),
        case("blocked, ten shared interests", |t| hating(busy(t)), busy(old()), 60_000, SCAN_MAX),
    ]
}

#[test]
fn one_call_looks_at_no_more_than_its_bound_whoever_waits() {
    for case in cases() {
        let name = case.name;
        let mut pool = crowd(case.each);
        let joined = pool.join(case.newcomer.clone(), case.now_ms);
        assert_eq!(joined, Ok(Joined::Waiting), "{name}");
        assert_eq!(pool.examined(), u64::from(case.examined), "{name}");
        assert!(case.examined <= SCAN_MAX, "{name}");
        assert_eq!(
            retry(&mut pool, &case.newcomer, case.now_ms),
            None,
            "{name}"
        );
        let retried = pool.examined() - u64::from(case.examined);
        // The newcomer is waiting by now, so each scan looks at one more.
        assert!(
            retried <= u64::from(SCAN_MAX.min(case.examined + 3)),
            "{name}: {retried}"
        );
    }
}

#[test]
fn g6_nobody_who_fits_is_overlooked_behind_a_crowd_that_does_not() {
    let hated = |language: &str, names: Vec<String>| {
        let mut pool = crowd(|ticket| Ticket {
            blocked: vec![user(NEWCOMER)],
            language: language.to_owned(),
            interests: names.clone(),
            ..ticket
        });
        let friend = Ticket {
            language: language.to_owned(),
            interests: names,
            blocked: (0..CROWD).map(user).collect(),
            ..ticket(CROWD, u64::from(CROWD))
        };
        pool.requeue(friend).expect("room");
        pool
    };
    for (name, mut pool, since) in [
        ("the same language", hated("en", vec![]), 0),
        ("another language", hated("de", vec![]), 0),
        ("shared interests", hated("en", ten_interests()), 60_000),
    ] {
        let newcomer = Ticket {
            interests: ten_interests(),
            ..ticket(NEWCOMER, since)
        };
        let now = 60_000;
        assert_eq!(
            pool.join(newcomer.clone(), now),
            Ok(Joined::Waiting),
            "{name}"
        );
        let tries = (1..=100).find(|_| retry(&mut pool, &newcomer, now).is_some());
        assert!(
            tries.is_some_and(|tries| (2..=10).contains(&tries)),
            "{name}: {tries:?}"
        );
    }
}

/// Run it with optimisation: `cargo test --release -p nowrong-core -- --ignored --nocapture`.
#[test]
#[ignore = "measures time, so it needs a release build"]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn a_call_with_ten_thousand_waiting_takes_under_a_millisecond() {
    for case in cases() {
        let mut pool = crowd(case.each);
        let mut times = Vec::new();
        for _ in 0..1_000 {
            let ticket = case.newcomer.clone();
            let start = Instant::now();
            let joined = pool.join(ticket, case.now_ms);
            times.push(start.elapsed());
            assert_eq!(joined, Ok(Joined::Waiting));
        }
        times.sort_unstable();
        // The slowest calls are those that other programs on the machine interrupted.
        let (median, p95) = (times[500], times[950]);
        println!("{:30} median {median:>10.1?} p95 {p95:>10.1?}", case.name);
        assert!(
            median < Duration::from_millis(1),
            "{}: {median:?}",
            case.name
        );
    }
}
