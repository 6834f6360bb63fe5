//! Counts of people.

use std::sync::Arc;

use super::queue::ticket;
use crate::{Broker, Counts};

pub async fn people_are_counted<B: Broker>(broker: Arc<B>) {
    broker.count_chatting("music", 2).await.expect("count");
    broker.count_chatting("films", 4).await.expect("count");
    broker.count_connected(7).await.expect("count");
    broker.count_connected(-1).await.expect("count");
    broker.join(ticket(&*broker, 1, 0), 0).await.expect("join");
    let counts = |online, waiting| Counts { online, waiting };
    assert_eq!(broker.counts("music").await.expect("counts"), counts(3, 1));
    assert_eq!(broker.counts("films").await.expect("counts"), counts(4, 0));
    assert_eq!(
        broker.counts("unknown").await.expect("counts"),
        Counts::default()
    );
    assert_eq!(broker.connected().await.expect("connected"), 6);
}

pub async fn counts_never_go_below_zero<B: Broker>(broker: Arc<B>) {
    broker.count_chatting("music", -3).await.expect("count");
    broker.count_connected(-3).await.expect("count");
    broker.count_chatting("music", 2).await.expect("count");
    broker.count_connected(2).await.expect("count");
    assert_eq!(broker.counts("music").await.expect("counts").online, 2);
    assert_eq!(broker.connected().await.expect("connected"), 2);
}
