//! Nodes whose clocks differ: Redis's own clock counts.

use nowrong_protocol::UserId;

use super::*;

const HOUR_MS: u64 = 60 * 60 * 1_000;

#[tokio::test]
async fn a_node_whose_clock_is_ahead_uses_up_no_limit_of_the_others() {
    let server = Server::start(&[]);
    let url = server.url();
    let (fast, right) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let rate = Rate {
        burst: 3,
        period_ms: HOUR_MS,
    };
    let name = "connect";
    let rule = LimitRule { name, rate };
    for (node, now) in [
        (&fast, u64::MAX / 1_000_000),
        (&right, 1_800_000_000_000),
        (&right, 0),
    ] {
        let grant = node.take(rule, &[1; 16], now).await.expect("take");
        assert_eq!(grant, Grant::Granted, "{now}");
    }
    let grant = right.take(rule, &[1; 16], 0).await.expect("take");
    assert!(matches!(grant, Grant::RetryAfter(_)), "the burst was 3");
}

#[tokio::test]
async fn a_clock_of_redis_that_went_back_uses_up_no_limit() {
    let server = Server::start(&[]);
    let node = node_at(&server.url(), "x").await;
    let rate = Rate {
        burst: 2,
        period_ms: HOUR_MS,
    };
    let name = "register";
    let rule = LimitRule { name, rate };
    let key = node
        .parts
        .keys
        .single("limit", &format!("{name}:{}", hex(&[1; 16])));
    // As a master two hours ahead has left it.
    let ahead = node.time().await.expect("time").expect("a clock") + 2 * HOUR_MS;
    server.ask(&["SET", &key, &(ahead * 1_000).to_string()]);
    for is_granted in [true, true, false] {
        let grant = node.take(rule, &[1; 16], 0).await.expect("take");
        assert_eq!(grant == Grant::Granted, is_granted);
    }
}

#[tokio::test]
async fn a_token_is_good_at_a_node_whose_clock_is_a_day_off() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, other) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let (user, lifetime) = (UserId::from_bytes([1; 16]), Duration::from_secs(30));
    for (n, put_at, taken_at) in [(1, 0, 24 * HOUR_MS), (2, 24 * HOUR_MS, 0), (3, 5, u64::MAX)] {
        let put = one.put_connect_token([n; 32], user, lifetime, put_at);
        put.await.expect("put");
        let left = server.ask(&["PTTL", &one.parts.keys.single("token", &hex(&[n; 32]))]);
        let left: u64 = left.parse().expect("a time");
        assert!((1..=30_000).contains(&left), "redis ends it: {left}");
        let taken = other.take_connect_token(&[n; 32], taken_at).await;
        assert_eq!(taken.expect("take"), Some(user), "{put_at} {taken_at}");
    }
}

#[tokio::test]
async fn a_token_of_an_older_version_is_still_a_token() {
    let server = Server::start(&[]);
    let node = node_at(&server.url(), "x").await;
    let key = node.parts.keys.single("token", &hex(&[1; 32]));
    server.ask(&[
        "SET",
        &key,
        "0123456789abcdef\x01\x02\x03\x04\x05\x06\x07\x08",
    ]);
    let taken = node.take_connect_token(&[1; 32], 0).await.expect("take");
    assert_eq!(taken, Some(UserId::from_bytes(*b"0123456789abcdef")));
}

#[tokio::test]
async fn redis_tells_its_time_and_nodes_how_far_they_are_ahead_of_it() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let before = one.time().await.expect("time").expect("a clock");
    let after = two.time().await.expect("time").expect("a clock");
    assert!(
        (before..before + 60_000).contains(&after),
        "{before} {after}"
    );
    let told: u64 = server
        .ask(&["EVAL", "return redis.call('TIME')[1]", "0"])
        .parse()
        .expect("seconds");
    assert!(told.abs_diff(after / 1_000) < 60, "{told} {after}");
    assert_eq!(one.aheads(), [], "nothing is known yet");
    two.set_ahead(-7);
    eventually(vec![(two.id(), -7)], || async { one.aheads() }).await;
}
