//! The limiter against an exact token bucket, and its window promise.

use proptest::prelude::*;

use super::*;

const RATE: Rate = Rate {
    burst: 3,
    period_ms: 1_000,
};

fn granted(limiter: &mut Limiter<u8>, key: u8, now_ms: u64) -> bool {
    limiter.take(RATE, key, now_ms) == Grant::Granted
}

#[test]
fn a_burst_passes_then_units_come_back_evenly() {
    let mut limiter = Limiter::default();
    for now in [0, 0, 0] {
        assert!(granted(&mut limiter, 1, now));
    }
    assert_eq!(limiter.take(RATE, 1, 0), Grant::RetryAfter(334));
    assert_eq!(limiter.take(RATE, 1, 333), Grant::RetryAfter(1));
    assert!(granted(&mut limiter, 1, 334));
    assert!(!granted(&mut limiter, 1, 334));
    assert!(granted(&mut limiter, 2, 334), "keys do not share");
    let after_a_period = (0..9).filter(|_| granted(&mut limiter, 1, 1_334)).count();
    assert_eq!(after_a_period, 3);
}

#[test]
fn g10_a_key_that_finds_the_table_full_shares_with_its_wider_network() {
    let mut limits = Limits::with_bound(2);
    let key = |network: u8, wider: u8| {
        let mut key = [network; 16];
        key[15] = wider;
        key
    };
    let rate = Rate { burst: 1, ..RATE };
    let mut granted = |key, now| limits.take(rate, key, now) == Grant::Granted;
    assert!(granted(key(1, 1), 0) && granted(key(2, 1), 0));
    assert!(granted(key(3, 1), 0), "the table is full, not closed");
    assert!(!granted(key(3, 1), 0), "and it has one bucket");
    assert_eq!(key(3, 1)[14..], [3, 1]);
    let mut same_wider = key(4, 1);
    same_wider[14] = 3;
    assert!(!granted(same_wider, 0), "with others of its wider network");
    assert!(granted(key(5, 2), 0), "another one");
    assert!(!granted(key(1, 1), 0), "who is in the table keeps its own");
    assert!(granted(key(3, 1), 1_000), "a key is idle: there is room");
}

#[test]
fn the_time_given_is_when_a_unit_is_free_and_not_before() {
    for burst in [1, 2, 3, 7, 60] {
        let rate = Rate { burst, ..RATE };
        let mut limiter = Limiter::default();
        let mut now = 5_000;
        for _ in 0..200 {
            if let Grant::RetryAfter(ms) = limiter.take(rate, 0_u8, now) {
                assert!((1..=1_000).contains(&ms));
                assert_ne!(limiter.take(rate, 0, now + ms - 1), Grant::Granted);
                now += ms;
                assert_eq!(limiter.take(rate, 0, now), Grant::Granted);
            }
        }
    }
}

#[test]
fn a_clock_that_goes_back_refuses_for_a_period_at_most() {
    let mut limiter = Limiter::default();
    while granted(&mut limiter, 1, 1_000_000) {}
    let Grant::RetryAfter(ms) = limiter.take(RATE, 1, 0) else {
        panic!("the burst is used up");
    };
    assert!(ms <= 334, "{ms}");
    assert!(granted(&mut limiter, 1, ms));
}

#[test]
fn nothing_is_granted_of_nothing_and_extremes_do_not_overflow() {
    let mut limiter = Limiter::default();
    let none = Rate {
        burst: 0,
        period_ms: 50,
    };
    assert_eq!(limiter.take(none, 1, 0), Grant::RetryAfter(50));
    for burst in [1, u32::MAX] {
        for period_ms in [0, 1, u64::MAX] {
            for now_ms in [0, u64::MAX / 2, u64::MAX] {
                limiter.take(Rate { burst, period_ms }, 2, now_ms);
            }
        }
    }
}

#[test]
fn g10_a_table_holds_few_more_keys_than_are_in_use() {
    let mut limiter = Limiter::with_bound(1_000);
    for number in 0..200_u8 {
        // Each is idle again before the next but one comes.
        assert!(granted(&mut limiter, number, u64::from(number) * 200));
        assert!(limiter.len() <= 3, "{}", limiter.len());
    }
}

#[test]
fn g10_a_full_table_refuses_new_keys_until_one_is_idle() {
    let mut limiter = Limiter::with_bound(2);
    assert!(granted(&mut limiter, 1, 0));
    assert!(granted(&mut limiter, 2, 100));
    assert_eq!(limiter.take(RATE, 3, 100), Grant::RetryAfter(234));
    assert!(
        granted(&mut limiter, 1, 100),
        "a key that is held keeps working"
    );
    assert_eq!(limiter.take(RATE, 3, 433), Grant::RetryAfter(1));
    assert!(
        granted(&mut limiter, 3, 434),
        "the burst of key 2 is restored"
    );
    assert_eq!(limiter.len(), 2);
    let single = Rate { burst: 1, ..RATE };
    let mut limiter = Limiter::with_bound(1);
    assert_eq!(limiter.take(single, 1, 0), Grant::Granted);
    assert_eq!(limiter.take(single, 2, 999), Grant::RetryAfter(1));
    assert_eq!(
        limiter.take(single, 2, 1_000),
        Grant::Granted,
        "to the millisecond"
    );
    assert_eq!(
        Limiter::with_bound(0).take(RATE, 1_u8, 0),
        Grant::RetryAfter(1)
    );
}

/// A token bucket in exact arithmetic: a unit is `period_ms` parts, `burst` parts come back per ms.
struct Bucket {
    parts: u128,
    at_ms: u64,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now_ms: u64) -> bool {
        let whole = u128::from(rate.burst) * u128::from(rate.period_ms);
        let back = u128::from(now_ms - self.at_ms) * u128::from(rate.burst);
        self.parts = (self.parts + back).min(whole);
        self.at_ms = now_ms;
        let is_granted = self.parts >= u128::from(rate.period_ms);
        if is_granted {
            self.parts -= u128::from(rate.period_ms);
        }
        is_granted
    }
}

proptest! {
    /// Rates whose unit is a whole number of nanoseconds agree with the exact bucket in everything.
    #[test]
    fn the_limiter_is_an_exact_token_bucket(
        burst in prop::sample::select(vec![1_u32, 2, 5, 8, 10, 64]),
        period_ms in prop::sample::select(vec![1_u64, 10, 1_000, 60_000]),
        waits in prop::collection::vec(0..3_000_u64, 1..300)
    ) {
        let rate = Rate { burst, period_ms };
        let mut limiter = Limiter::default();
        let mut now_ms = 1_000_000;
        let mut bucket = Bucket {
            parts: u128::from(burst) * u128::from(period_ms),
            at_ms: now_ms,
        };
        for wait in waits {
            now_ms += wait * period_ms / 1_000;
            let is_granted = limiter.take(rate, 0_u8, now_ms) == Grant::Granted;
            prop_assert_eq!(is_granted, bucket.take(rate, now_ms));
        }
    }

    /// Any window of any length grants at most a burst and what is restored within it.
    #[test]
    fn no_window_has_more_than_the_rule(
        burst in 1..20_u32,
        period_ms in 1..2_000_u64,
        waits in prop::collection::vec(0..400_u64, 1..120)
    ) {
        let rate = Rate { burst, period_ms };
        let mut limiter = Limiter::default();
        let mut now_ms = 77_000;
        let mut grants = Vec::new();
        for wait in waits {
            now_ms += wait;
            if limiter.take(rate, 0_u8, now_ms) == Grant::Granted {
                grants.push(now_ms);
            }
        }
        for (i, first) in grants.iter().enumerate() {
            for (count, last) in (1_u64..).zip(&grants[i..]) {
                let back = (last - first) * u64::from(burst) / period_ms;
                prop_assert!(count <= u64::from(burst) + back);
            }
        }
    }

    #[test]
    fn keys_never_exceed_the_bound_and_never_lend_each_other(
        keys in prop::collection::vec((0..9_u8, 0..300_u64), 1..200)
    ) {
        let mut limiter = Limiter::with_bound(4);
        let mut alone: HashMap<u8, Limiter<u8>> = HashMap::new();
        let mut now_ms = 0;
        for (key, wait) in keys {
            now_ms += wait;
            let together = limiter.take(RATE, key, now_ms);
            prop_assert!(limiter.len() <= 4);
            if together == Grant::Granted {
                let mine = alone.entry(key).or_default();
                prop_assert_eq!(mine.take(RATE, key, now_ms), Grant::Granted);
            }
        }
    }
}
