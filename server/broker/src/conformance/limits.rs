//! Limits.

use std::{sync::Arc, time::Duration};

use nowrong_core::limiter::{Grant, Rate};

use super::at_once;
use crate::{Broker, LimitRule};

const RULE: LimitRule = LimitRule {
    name: "conformance",
    rate: Rate {
        burst: 5,
        // So long that no test sees a unit come back by itself.
        period_ms: 3_600_000,
    },
};

fn rule(burst: u32) -> LimitRule {
    let rate = Rate { burst, ..RULE.rate };
    LimitRule { rate, ..RULE }
}

pub async fn a_burst_passes_and_the_rest_waits<B: Broker>(broker: Arc<B>) {
    let now = 1_700_000_000_000;
    for _ in 0..5 {
        assert_eq!(
            broker.take(RULE, &[1; 16], now).await.expect("take"),
            Grant::Granted
        );
    }
    let Grant::RetryAfter(ms) = broker.take(RULE, &[1; 16], now).await.expect("take") else {
        panic!("the burst is used up");
    };
    assert!((1..=3_600_000 / 5).contains(&ms), "{ms}");
}

pub async fn a_unit_comes_back_after_its_time<B: Broker>(broker: Arc<B>) {
    let now = 1_700_000_000_000;
    let rate = Rate {
        burst: 1,
        period_ms: 2_000,
    };
    let rule = LimitRule { rate, ..RULE };
    let first = broker.take(rule, &[1; 16], now).await.expect("take");
    assert_eq!(first, Grant::Granted);
    let Grant::RetryAfter(ms) = broker.take(rule, &[1; 16], now).await.expect("take") else {
        panic!("the burst is used up");
    };
    assert!((1..=2_000).contains(&ms), "{ms}");
    // A broker with a clock of its own takes the real time.
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let later = broker.take(rule, &[1; 16], now + ms).await.expect("take");
    assert_eq!(later, Grant::Granted);
}

pub async fn keys_and_rules_do_not_share<B: Broker>(broker: Arc<B>) {
    let one = rule(1);
    let other = LimitRule {
        name: "another",
        ..one
    };
    for (rule, key) in [(one, [1; 16]), (one, [2; 16]), (other, [1; 16])] {
        assert_eq!(
            broker.take(rule, &key, 0).await.expect("take"),
            Grant::Granted
        );
        assert_ne!(
            broker.take(rule, &key, 0).await.expect("take"),
            Grant::Granted
        );
    }
}

pub async fn of_many_takers_exactly_the_burst_passes<B: Broker>(broker: Arc<B>) {
    let rule = rule(50);
    let takers = at_once(&broker, 200, |broker, _| async move {
        broker.take(rule, &[9; 16], 1_000).await.expect("take")
    });
    let granted = takers
        .await
        .into_iter()
        .filter(|grant| *grant == Grant::Granted)
        .count();
    assert_eq!(granted, 50);
}
