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

/// Who waits and why the newcomer does not fit; the newcomer, and when it tries.
fn cases() -> Vec<(&'static str, Pool, Ticket, u64)> {
    let hated = |ticket: Ticket| Ticket {
        blocked: vec![user(NEWCOMER)],
        ..ticket
    };
    let busy = |ticket: Ticket| Ticket {
        interests: ten_interests(),
        ..ticket
    };
    let late = 60_000;
    let plain = ticket(NEWCOMER, late);
    let old = ticket(NEWCOMER, 20_000);
    let picky = busy(ticket(NEWCOMER, 0));
    let own = |ticket: Ticket| wanting(&[&ticket.user.to_string()], 0, 0).interests;
    vec![
        (
            "another age bracket",
            crowd(|t| Ticket {
                age_bracket: 0,
                ..t
            }),
            plain.clone(),
            late,
        ),
        (
            "another category",
            crowd(|t| Ticket {
                category: "x".to_owned(),
                ..t
            }),
            plain.clone(),
            late,
        ),
        (
            "another language",
            crowd(|t| Ticket {
                language: "de".to_owned(),
                ..t
            }),
            plain.clone(),
            late,
        ),
        (
            "other interests, at once",
            crowd(|t| Ticket {
                interests: own(t.clone()),
                ..t
            }),
            plain.clone(),
            2_000,
        ),
        ("all block the newcomer", crowd(hated), plain, late),
        ("all block who has waited", crowd(hated), old.clone(), late),
        (
            "all block, in another language",
            crowd(|t| {
                hated(Ticket {
                    language: "de".to_owned(),
                    ..t
                })
            }),
            old,
            late,
        ),
        (
            "all block and share ten interests",
            crowd(|t| busy(hated(t))),
            picky,
            late,
        ),
    ]
}

#[test]
fn one_call_looks_at_no_more_than_its_bound_whoever_waits() {
    for (name, mut pool, newcomer, now) in cases() {
        let before = pool.examined();
        assert_eq!(
            pool.join(newcomer.clone(), now),
            Ok(Joined::Waiting),
            "{name}"
        );
        let joined = pool.examined() - before;
        assert_eq!(
            pool.retry(newcomer.id, now).and_then(|r| r.offer),
            None,
            "{name}"
        );
        let retried = pool.examined() - before - joined;
        println!("{name:36} {joined:5} {retried:5}");
        assert!(
            joined.max(retried) <= u64::from(SCAN_MAX),
            "{name}: {joined}, {retried}"
        );
        if !name.contains("block") {
            assert!(
                joined.max(retried) <= 1,
                "{name}: the index knows; {joined}, {retried}"
            );
        }
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
    for (name, mut pool, newcomer, now) in cases() {
        let mut times = Vec::new();
        for _ in 0..1_000 {
            let ticket = newcomer.clone();
            let start = Instant::now();
            let joined = pool.join(ticket, now);
            times.push(start.elapsed());
            assert_eq!(joined, Ok(Joined::Waiting));
        }
        times.sort_unstable();
        // The slowest are those that other programs on the machine interrupted.
        let (median, p95) = (times[500], times[950]);
        println!("{name:36} median {median:>10.1?} p95 {p95:>10.1?}");
        assert!(median < Duration::from_millis(1), "{name}: {median:?}");
    }
}
