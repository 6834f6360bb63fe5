//! What nodes leave for each other, as far as a single node can show it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::Conforming;
use crate::{Broker, BrokerError, DEPOSITS_MAX, Deposit};

fn deposit(name: u64, sealed: &'static [u8], lifetime_ms: u64) -> Deposit {
    Deposit {
        name: name.to_be_bytes(),
        sealed: Bytes::from_static(sealed),
        lifetime: Duration::from_millis(lifetime_ms),
    }
}

async fn shelf<B: Broker>(broker: &B, own: &[Deposit]) -> Vec<Bytes> {
    let mut found = broker.exchange("test", own).await.expect("exchange");
    found.sort();
    found
}

/// Any bytes come back as they are; the first under a name stays.
pub async fn what_is_left_is_there<B: Conforming>(broker: Arc<B>) {
    let (one, two) = (b"\x00one:\xff\r\n", b"two");
    let own = [deposit(1, one, 60_000), deposit(2, two, 60_000)];
    assert_eq!(shelf(&*broker, &own).await, [&one[..], &two[..]]);
    if B::HOLDS_DEPOSITS {
        assert_eq!(shelf(&*broker, &[]).await, [&one[..], &two[..]]);
        let again = [deposit(1, b"other", 60_000)];
        assert_eq!(shelf(&*broker, &again).await, [&one[..], &two[..]]);
        let elsewhere = broker.exchange("another", &[]).await.expect("exchange");
        assert!(elsewhere.is_empty());
    }
}

pub async fn what_is_left_expires<B: Conforming>(broker: Arc<B>) {
    if !B::HOLDS_DEPOSITS {
        return;
    }
    let own = [deposit(1, b"short", 100), deposit(2, b"long", 60_000)];
    shelf(&*broker, &own).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while shelf(&*broker, &[]).await != [&b"long"[..]] {
        assert!(tokio::time::Instant::now() < deadline, "it stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn g10_a_shelf_is_bounded<B: Conforming>(broker: Arc<B>) {
    if !B::HOLDS_DEPOSITS {
        return;
    }
    let many = |from: u64| (from..).map(|name| deposit(name, b"x", 60_000));
    let all: Vec<_> = many(0).take(DEPOSITS_MAX).collect();
    assert_eq!(shelf(&*broker, &all).await.len(), DEPOSITS_MAX);
    let more: Vec<_> = many(DEPOSITS_MAX as u64).take(1).collect();
    let refused = broker.exchange("test", &more).await;
    assert!(matches!(refused, Err(BrokerError::Full(_))), "{refused:?}");
    assert_eq!(shelf(&*broker, &all).await.len(), DEPOSITS_MAX);
}
