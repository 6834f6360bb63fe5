//! What nodes know of each other, as far as a single node can show it.

use std::sync::Arc;

use nowrong_core::{
    node::{NodeEndpoint, NodeStatus, NodeView},
    record::Notice,
};
use nowrong_protocol::UserId;

use crate::Broker;

const ANNA: UserId = UserId::from_bytes([1; 16]);

pub async fn a_node_sees_itself<B: Broker>(broker: Arc<B>) {
    broker.count_connected(3).await.expect("count");
    let status = NodeStatus {
        endpoint: NodeEndpoint {
            webtransport: Some("https://one.example:4433".to_owned()),
            websocket: "wss://one.example/ws".to_owned(),
            certificate_hash: None,
        },
        capacity: 7,
        is_draining: true,
    };
    broker.set_status(status.clone());
    let view = NodeView {
        id: broker.id(),
        connected: 3,
        status,
    };
    assert_eq!(broker.nodes(), [view]);
}

pub async fn a_user_has_a_place_until_leaving<B: Broker>(broker: Arc<B>) {
    assert_eq!(broker.place(ANNA).await.expect("place"), None);
    for _ in 0..2 {
        let before = broker.take_place(ANNA).await.expect("take");
        assert_eq!(before, None, "no other node had it");
        let place = broker.place(ANNA).await.expect("place");
        assert_eq!(place, Some(broker.id()));
    }
    for _ in 0..2 {
        broker.leave_place(ANNA).await.expect("leave");
        assert_eq!(broker.place(ANNA).await.expect("place"), None);
    }
}

pub async fn nobody_tells_itself<B: Broker>(broker: Arc<B>) {
    broker.tell(&[broker.id()], Notice::Depart { user: ANNA });
    let inbox = broker.receive();
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(100), inbox).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

pub async fn a_clock_does_not_go_back<B: Broker>(broker: Arc<B>) {
    let first = broker.time().await.expect("time");
    let second = broker.time().await.expect("time");
    assert_eq!(first.is_some(), second.is_some());
    assert!(first <= second);
    broker.set_ahead(7);
    assert_eq!(broker.aheads(), [], "there are no other nodes");
}
