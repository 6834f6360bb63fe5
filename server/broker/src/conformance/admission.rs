//! Connect tokens.

use std::{sync::Arc, time::Duration};

use nowrong_protocol::UserId;

use super::at_once;
use crate::Broker;

const ANNA: UserId = UserId::from_bytes([1; 16]);

const LIFETIME: Duration = Duration::from_secs(30);

pub async fn a_token_is_taken_once<B: Broker>(broker: Arc<B>) {
    broker
        .put_connect_token([7; 32], ANNA, LIFETIME, 1_000)
        .await
        .expect("put");
    assert_eq!(
        broker
            .take_connect_token(&[7; 32], 1_000)
            .await
            .expect("take"),
        Some(ANNA)
    );
    assert_eq!(
        broker
            .take_connect_token(&[7; 32], 1_000)
            .await
            .expect("take"),
        None
    );
}

pub async fn a_token_expires<B: Broker>(broker: Arc<B>) {
    let short = Duration::from_millis(50);
    for (n, lifetime, is_good) in [(1, LIFETIME, true), (2, short, false)] {
        let put = broker.put_connect_token([n; 32], ANNA, lifetime, 1_000);
        put.await.expect("put");
        // A broker with a clock of its own takes the real time.
        tokio::time::sleep(short).await;
        let taken = broker.take_connect_token(&[n; 32], 1_050).await;
        let taken = taken.expect("take");
        assert_eq!(taken.is_some(), is_good, "{lifetime:?}");
    }
}

pub async fn an_unknown_token_is_nobodys<B: Broker>(broker: Arc<B>) {
    broker
        .put_connect_token([7; 32], ANNA, LIFETIME, 1_000)
        .await
        .expect("put");
    assert_eq!(
        broker
            .take_connect_token(&[8; 32], 1_000)
            .await
            .expect("take"),
        None
    );
}

pub async fn g6_of_many_takers_one_gets_the_token<B: Broker>(broker: Arc<B>) {
    for round in 0..50 {
        broker
            .put_connect_token([round; 32], ANNA, LIFETIME, 1_000)
            .await
            .expect("put");
        let takers = at_once(&broker, 20, |broker, _| async move {
            broker
                .take_connect_token(&[round; 32], 1_000)
                .await
                .expect("take")
        });
        let taken = takers.await.into_iter().flatten().count();
        assert_eq!(taken, 1, "round {round}");
    }
}
