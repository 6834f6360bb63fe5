//! The pool against a naive model that looks at everyone, and the bound on its work.

use nowrong_protocol::limits::INTERESTS_MAX;
use proptest::prelude::*;

use super::*;

pub(super) mod model;
mod work;

pub(super) fn user(n: u32) -> UserId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(bytes)
}

/// A ticket of an adult who speaks English and has waited for music since `since_ms`.
pub(super) fn ticket(n: u32, since_ms: u64) -> Ticket {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&n.to_be_bytes());
    Ticket {
        id: TicketId::v7(since_ms, &random),
        user: user(n),
        category: "music".to_owned(),
        interests: Vec::new(),
        language: "en".to_owned(),
        age_bracket: AgeBracket::Adult,
        blocked: Vec::new(),
        recent: Vec::new(),
        since_ms,
        node: NodeId([1; 8]),
        is_new_account: false,
    }
}

fn interests<S: ToString>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

fn wanting(names: &[&str], n: u32, since_ms: u64) -> Ticket {
    Ticket {
        interests: interests(names),
        ..ticket(n, since_ms)
    }
}

/// Joins at the ticket's own time; returns the partner's user, if there is one.
fn join(pool: &mut Pool, ticket: &Ticket) -> Option<UserId> {
    match pool.join(ticket.clone(), ticket.since_ms).expect("room") {
        Joined::Waiting => None,
        Joined::Offer { partner, .. } => Some(partner.user),
    }
}

fn retry(pool: &mut Pool, ticket: &Ticket, now_ms: u64) -> Option<UserId> {
    let retried = pool.retry(ticket.id, now_ms).expect("it waits");
    retried.offer.map(|offer| offer.partner.user)
}

#[test]
fn a_ticket_with_interests_wants_a_shared_one_and_one_without_takes_anyone() {
    for (theirs, mine, meets) in [
        (&[][..], &[][..], true),
        (&["jazz"], &["jazz"], true),
        (&["jazz"], &["golf"], false),
        (&["jazz"], &[], false),
        (&[], &["jazz"], false),
        (&["jazz", "golf"], &["chess", "golf"], true),
    ] {
        let mut pool = Pool::default();
        join(&mut pool, &wanting(theirs, 1, 0));
        let is_offered = join(&mut pool, &wanting(mine, 2, 0)).is_some();
        assert_eq!(is_offered, meets, "{theirs:?} {mine:?}");
    }
}

#[test]
fn both_stages_must_accept_a_pair() {
    let mut pool = Pool::default();
    let old = wanting(&["jazz"], 1, 0);
    let young = wanting(&["golf"], 2, 2_000);
    assert_eq!(join(&mut pool, &old), None);
    assert_eq!(join(&mut pool, &young), None);
    assert_eq!(
        retry(&mut pool, &old, 4_999),
        None,
        "the younger still wants golf"
    );
    assert_eq!(retry(&mut pool, &old, 5_000), Some(user(2)));
}

fn new_account(n: u32, since_ms: u64) -> Ticket {
    Ticket {
        is_new_account: true,
        ..ticket(n, since_ms)
    }
}

#[test]
fn new_accounts_meet_each_other_at_once_and_others_when_they_have_waited() {
    let mut pool = Pool::default();
    assert_eq!(join(&mut pool, &new_account(1, 0)), None);
    assert_eq!(join(&mut pool, &new_account(2, 0)), Some(user(1)));
    assert_eq!(join(&mut pool, &ticket(3, 0)), None);
    assert_eq!(join(&mut pool, &ticket(4, 0)), Some(user(3)));

    assert_eq!(join(&mut pool, &ticket(5, 0)), None);
    let new = new_account(6, 60_000);
    assert_eq!(join(&mut pool, &new), None, "whatever the other waited");
    assert_eq!(retry(&mut pool, &ticket(5, 0), 60_001), None);
    assert_eq!(retry(&mut pool, &new, 62_999), None);
    assert_eq!(next_retry_ms(60_000, 60_000), 63_000);
    assert_eq!(retry(&mut pool, &new, 63_000), Some(user(5)));

    assert_eq!(join(&mut pool, &new_account(7, 0)), None);
    assert_eq!(join(&mut pool, &ticket(8, 3_000)), Some(user(7)));
}

#[test]
fn the_best_is_taken_and_of_equals_the_longest_waiting() {
    let mut pool = Pool::default();
    for (n, theirs) in [
        (1, &["a"][..]),
        (2, &["b", "c"]),
        (3, &["c", "d"]),
        (4, &["d"]),
    ] {
        // They block each other so that all of them wait.
        let blocked = (1..=4).map(user).collect();
        let waiting = wanting(theirs, n, u64::from(n));
        assert_eq!(join(&mut pool, &Ticket { blocked, ..waiting }), None);
    }
    for (n, partner) in [(11, 2), (12, 3), (13, 1), (14, 4)] {
        let joining = wanting(&["a", "b", "c", "d"], n, 10);
        assert_eq!(join(&mut pool, &joining), Some(user(partner)));
    }
}

#[test]
fn the_same_language_ranks_before_another() {
    let mut pool = Pool::default();
    let german = Ticket {
        language: "de-AT".to_owned(),
        ..ticket(1, 0)
    };
    let english = Ticket {
        blocked: vec![user(1)],
        language: "EN-gb".to_owned(),
        ..ticket(2, 1)
    };
    join(&mut pool, &german);
    join(&mut pool, &english);
    pool.requeue(ticket(3, 2)).expect("room");
    assert_eq!(retry(&mut pool, &ticket(3, 2), 9_000), Some(user(2)));
}

#[test]
fn a_shared_interest_is_found_behind_many_of_another_language() {
    let mut pool = Pool::default();
    let everyone: Vec<UserId> = (0..50).map(user).collect();
    for n in 0..50 {
        let german = Ticket {
            language: "de".to_owned(),
            blocked: everyone.clone(),
            ..wanting(&[if n == 40 { "jazz" } else { "golf" }], n, u64::from(n))
        };
        assert_eq!(join(&mut pool, &german), None);
    }
    let english = wanting(&["jazz"], 100, 50);
    assert_eq!(join(&mut pool, &english), None);
    assert_eq!(retry(&mut pool, &english, 7_000), None);
    assert_eq!(retry(&mut pool, &english, 9_000), Some(user(40)));
}

#[test]
fn g7_the_rules_alone_keep_age_brackets_and_blocks_apart() {
    let adult = Entry::new(ticket(1, 0));
    let teen = Entry::new(Ticket {
        age_bracket: AgeBracket::Teen,
        ..ticket(2, 0)
    });
    let blocking = Entry::new(Ticket {
        blocked: vec![user(9), user(1), user(4)],
        ..ticket(3, 0)
    });
    assert!(rules::may_meet(&adult, &Entry::new(ticket(4, 0))));
    for other in [&adult, &teen, &blocking] {
        assert!(!rules::may_meet(&adult, other) && !rules::may_meet(other, &adult));
    }
}

#[test]
fn who_is_passed_over_too_often_is_next() {
    let mut pool = Pool::default();
    // A and B share nothing and wait; better ones for the newcomers come after A.
    let patient = wanting(&["a"], 1, 0);
    join(&mut pool, &patient);
    let mut partners = Vec::new();
    for round in 0..6 {
        let better = Ticket {
            blocked: vec![user(1)],
            ..wanting(&["a", "b"], 100 + round, 10)
        };
        join(&mut pool, &better);
        let newcomer = wanting(&["a", "b"], 200 + round, 20);
        partners.push(join(&mut pool, &newcomer).expect("two fit"));
        pool.cancel(better.id);
    }
    let passed = usize::from(BYPASSES_MAX);
    assert!(!partners[..passed].contains(&user(1)), "{partners:?}");
    assert_eq!(partners[passed], user(1), "{partners:?}");
}

#[test]
fn g6_a_requeued_ticket_is_next_in_line_even_before_better_ones() {
    let mut pool = Pool::default();
    let disappointed = wanting(&["a"], 1, 5);
    join(&mut pool, &disappointed);
    assert_eq!(join(&mut pool, &wanting(&["a"], 2, 6)), Some(user(1)));
    let better = Ticket {
        blocked: vec![user(1)],
        ..wanting(&["a", "b"], 3, 7)
    };
    join(&mut pool, &better);
    pool.requeue(disappointed).expect("room");
    assert_eq!(join(&mut pool, &wanting(&["a", "b"], 4, 8)), Some(user(1)));
}

#[test]
fn who_waits_behind_one_that_fits_as_well_is_not_passed_over() {
    let mut pool = Pool::default();
    join(&mut pool, &wanting(&["a"], 1, 0));
    for round in 0..u32::from(BYPASSES_MAX) {
        pool.requeue(wanting(&["a"], 10 + round, 5)).expect("room");
        let newcomer = wanting(&["a"], 20 + round, 6);
        assert_eq!(join(&mut pool, &newcomer), Some(user(10 + round)));
    }
    let better = Ticket {
        blocked: vec![user(1)],
        ..wanting(&["a", "b"], 30, 10)
    };
    join(&mut pool, &better);
    let newcomer = wanting(&["a", "b"], 31, 20);
    assert_eq!(join(&mut pool, &newcomer), Some(user(30)));
}

#[test]
fn g10_a_full_pool_refuses_who_would_wait_but_still_matches() {
    let mut pool = Pool::with_bound(2);
    let hermit = |n: u32| Ticket {
        category: n.to_string(),
        ..ticket(n, 0)
    };
    join(&mut pool, &hermit(1));
    join(&mut pool, &hermit(2));
    assert_eq!(pool.join(hermit(3), 0), Err(PoolFull));
    assert_eq!(pool.requeue(hermit(3)), Err(PoolFull));
    assert_eq!(pool.len(), 2);
    assert_eq!(
        pool.join(hermit(2), 0),
        Ok(Joined::Waiting),
        "it takes the place of the older one"
    );
    let partner = Ticket {
        category: "1".to_owned(),
        ..ticket(4, 0)
    };
    assert_eq!(join(&mut pool, &partner), Some(user(1)));
    pool.requeue(hermit(3)).expect("room again");
}

#[test]
fn an_empty_pool_keeps_nothing() {
    let mut pool = Pool::default();
    for n in 0..50 {
        let names = interests((0..INTERESTS_MAX as u32).map(|i| i * n));
        let waiting = Ticket {
            category: (n % 3).to_string(),
            language: ["en", "de", "fr"][n as usize % 3].to_owned(),
            age_bracket: if n % 2 == 0 {
                AgeBracket::Teen
            } else {
                AgeBracket::Adult
            },
            interests: names,
            blocked: (0..50).map(user).collect(),
            ..ticket(n, 0)
        };
        join(&mut pool, &waiting);
        if n % 4 == 0 {
            pool.set_paused(waiting.id, true);
        }
    }
    assert_eq!(pool.len(), 50);
    for n in 0..50 {
        assert!(pool.cancel(ticket(n, 0).id).is_some());
    }
    assert!(pool.is_empty() && pool.users.is_empty() && pool.queues.is_empty());
}

#[test]
fn times_at_the_ends_of_the_clock_do_not_panic() {
    for since in [0, 1, u64::MAX] {
        for now in [0, 1, u64::MAX] {
            let mut pool = Pool::default();
            pool.requeue(ticket(1, since)).expect("room");
            let joined = pool.join(ticket(2, u64::MAX), now).expect("room");
            assert!(matches!(joined, Joined::Offer { .. }));
            next_retry_ms(since, now);
        }
    }
}

proptest! {
    #[test]
    fn the_next_retry_is_always_ahead(since in 0..1_u64 << 60, waited in 0..1_u64 << 40) {
        let next = next_retry_ms(since, since + waited);
        prop_assert!(next > since + waited);
        prop_assert!(next <= since + waited + 7_000);
    }
}
