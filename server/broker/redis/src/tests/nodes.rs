//! Nodes that send each other notices.

use std::collections::BTreeSet;

use nowrong_core::{
    node::NodeEndpoint,
    record::{Notice, Signal},
};
use nowrong_protocol::{UserId, frame::PresenceState};

use super::*;

fn user(n: u16) -> UserId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(bytes)
}

fn notice(n: u16) -> Notice {
    Notice::Depart { user: user(n) }
}

/// The next news, within the time that any news may take.
async fn next(node: &RedisBroker) -> Inbox {
    let waiting = tokio::time::timeout(LEASE + Duration::from_secs(10), node.receive());
    waiting.await.expect("something comes")
}

/// Receives until `count` notices have arrived; returns them, and whether a loss was reported.
async fn receive(node: &RedisBroker, count: usize) -> (Vec<(NodeId, Notice)>, bool) {
    let (mut all, mut is_lost) = (Vec::new(), false);
    while all.len() < count {
        match next(node).await {
            Inbox::Notices(notices) => all.extend(notices),
            Inbox::Lost => is_lost = true,
        }
    }
    (all, is_lost)
}

#[tokio::test]
async fn notices_come_in_the_order_of_each_teller() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let reader = node_at(&url, "x").await;
    for n in 0..500 {
        for teller in [&one, &two] {
            teller.tell(&[reader.id(), teller.id()], notice(n));
        }
    }
    let (all, is_lost) = receive(&reader, 1_000).await;
    assert!(!is_lost);
    for teller in [one.id(), two.id()] {
        let of_teller = all.iter().filter(|(id, _)| *id == teller);
        let told: Vec<_> = of_teller.map(|(_, notice)| notice.clone()).collect();
        assert_eq!(told, (0..500).map(notice).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn every_kind_of_notice_arrives_as_it_was_told() {
    let server = Server::start(&[]);
    let (one, two) = (
        node_at(&server.url(), "x").await,
        node_at(&server.url(), "x").await,
    );
    let signal = Signal::Presence(PresenceState::Away);
    let notices = [
        Notice::Message(draft(1, 3).placed(CHAT, Position::new(2, 9))),
        Notice::Follows { chat: CHAT },
        Notice::Signal {
            chat: CHAT,
            member: 1,
            signal,
        },
        Notice::TicketBack {
            ticket: ticket(&*one, 1, 0).id,
            user: user(1),
            end: Some(nowrong_protocol::ErrorCode::OVERLOADED),
        },
    ];
    for notice in notices.clone() {
        one.tell(&[two.id()], notice);
    }
    let (received, _) = receive(&two, notices.len()).await;
    let received: Vec<_> = received.into_iter().map(|(_, notice)| notice).collect();
    assert_eq!(received, notices);
}

#[tokio::test]
async fn live_nodes_that_follow_a_chat_are_told_of() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    one.open_log(CHAT, seed(1, 0)).await.expect("open");
    let elsewhere = async |n| {
        let placed = one
            .append(CHAT, 1, &draft(0, n), true)
            .await
            .expect("append");
        placed.elsewhere
    };
    assert_eq!(elsewhere(1).await, []);
    let read = two.read_log(CHAT, 1, 1).await.expect("read");
    assert_eq!(read.elsewhere, [one.id()]);
    assert_eq!(elsewhere(2).await, [two.id()], "at once");
    assert_eq!(elsewhere(2).await, [two.id()], "sent again too");
    one.open_log(CHAT, seed(2, 9)).await.expect("open");
    let placed = one
        .append(CHAT, 2, &draft(0, 3), true)
        .await
        .expect("append");
    assert_eq!(placed.elsewhere, [two.id()], "a new epoch changes nothing");
    two.unfollow(CHAT).await.expect("unfollow");
    let follows = || async {
        let placed = one
            .append(CHAT, 2, &draft(0, 3), true)
            .await
            .expect("append");
        placed.elsewhere
    };
    assert_eq!(follows().await, []);
    two.append(CHAT, 2, &draft(1, 4), true)
        .await
        .expect("append");
    assert_eq!(follows().await, [two.id()]);
    drop(two);
    eventually(vec![], follows).await;
}

#[tokio::test]
async fn who_opens_a_log_is_told_of_what_others_say_first() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    one.open_log(CHAT, seed(1, 0)).await.expect("open");
    let read = two.read_log(CHAT, 1, 0).await.expect("read");
    assert_eq!(read.elsewhere, [one.id()]);
    let placed = two
        .append(CHAT, 1, &draft(1, 1), true)
        .await
        .expect("append");
    assert_eq!(placed.elsewhere, [one.id()]);
}

#[tokio::test]
async fn nodes_see_each_other_while_they_live() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let status = NodeStatus {
        endpoint: NodeEndpoint {
            websocket: "wss://two.example".to_owned(),
            ..NodeEndpoint::default()
        },
        capacity: 7,
        is_draining: true,
    };
    two.set_status(status.clone());
    two.count_connected(4).await.expect("count");
    let view = NodeView {
        id: two.id(),
        connected: 4,
        status,
    };
    let seen = || async { one.nodes().into_iter().find(|node| node.id == two.id()) };
    eventually(Some(view), seen).await;
    let ids = || async {
        one.nodes()
            .iter()
            .map(|node| node.id)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(ids().await, BTreeSet::from([one.id(), two.id()]));
    drop(two);
    eventually(BTreeSet::from([one.id()]), ids).await;
}

#[tokio::test]
async fn a_user_is_where_the_last_connection_is() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let anna = user(1);
    assert_eq!(one.take_place(anna).await.expect("take"), None);
    assert_eq!(two.place(anna).await.expect("place"), Some(one.id()));
    assert_eq!(two.take_place(anna).await.expect("take"), Some(one.id()));
    one.leave_place(anna).await.expect("leave");
    assert_eq!(one.place(anna).await.expect("place"), Some(two.id()));
    drop(two);
    let place = || async { one.place(anna).await.expect("place") };
    eventually(None, place).await;
    assert_eq!(
        one.take_place(anna).await.expect("take"),
        None,
        "it is dead"
    );
}

#[tokio::test]
async fn a_restart_of_redis_is_told() {
    let mut server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    one.tell(&[two.id()], notice(1));
    assert_eq!(receive(&two, 1).await, (vec![(one.id(), notice(1))], false));
    server.redis.kill().expect("kill");
    server.redis.restart().expect("restart");
    assert_eq!(next(&two).await, Inbox::Lost);
    // It is sent again when the others have learnt that this node is alive.
    let hears = || async {
        one.tell(&[two.id()], notice(2));
        let told = tokio::time::timeout(Duration::from_millis(200), two.receive()).await;
        matches!(told, Ok(Inbox::Notices(_)))
    };
    eventually(true, hears).await;
}

#[tokio::test]
async fn an_inbox_that_vanished_is_told() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    for round in 0..2 {
        server.ask(&["DEL", &two.parts.keys.inbox(two.id())]);
        assert_eq!(next(&two).await, Inbox::Lost, "{round}");
        one.tell(&[two.id()], notice(round));
        let told = (vec![(one.id(), notice(round))], false);
        assert_eq!(receive(&two, 1).await, told);
    }
}

#[tokio::test]
async fn another_memory_of_redis_is_told() {
    let server = Server::start(&DEBUG);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    server.ask(&["DEBUG", "CHANGE-REPL-ID"]);
    assert_eq!(next(&two).await, Inbox::Lost);
    one.tell(&[two.id()], notice(1));
    assert_eq!(receive(&two, 1).await, (vec![(one.id(), notice(1))], false));
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_is_told() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    server.ask(&[
        "HDEL",
        &two.parts.keys.queue("nodes"),
        &two.id().to_string(),
    ]);
    assert_eq!(next(&two).await, Inbox::Lost);
    one.tell(&[two.id()], notice(1));
    assert_eq!(receive(&two, 1).await, (vec![(one.id(), notice(1))], false));
}

#[tokio::test]
async fn g10_an_inbox_that_overflows_is_told() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let (before, count) = (server.calls("xadd"), INBOX_MAX + 1_000);
    let written = || async { server.calls("xadd") - before };
    for n in 0..count {
        // As fast as the lane accepts them.
        if n % LANE_MAX == LANE_MAX - 1 {
            eventually(n as u64, written).await;
        }
        one.tell(&[two.id()], notice(n as u16));
    }
    eventually(count as u64, written).await;
    let last = Inbox::Notices(vec![(one.id(), notice(count as u16 - 1))]);
    assert_eq!(next(&two).await, Inbox::Lost, "said first");
    let (mut newest, mut received) = (Inbox::Lost, 0);
    while newest != last {
        let Inbox::Notices(mut notices) = next(&two).await else {
            panic!("said once");
        };
        received += notices.len();
        newest = Inbox::Notices(notices.split_off(notices.len() - 1));
    }
    // Redis trims by whole nodes of a stream.
    assert!(
        (INBOX_MAX..INBOX_MAX + 200).contains(&received),
        "{received}"
    );
}

#[tokio::test]
async fn g11_an_entry_that_is_no_notice_is_passed_over() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let key = two.parts.keys.inbox(two.id());
    server.ask(&["XADD", &key, "1-*", "m", "no notice"]);
    server.ask(&["XADD", &key, "1-*", "no", "notice", "either", "way"]);
    one.tell(&[two.id()], notice(1));
    assert_eq!(receive(&two, 1).await, (vec![(one.id(), notice(1))], false));
}

#[tokio::test]
async fn a_dropped_receive_loses_nothing() {
    let server = Server::start(&[]);
    let url = server.url();
    let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
    let mut received = Vec::new();
    for n in 0..50 {
        one.tell(&[two.id()], notice(n));
        let hurried = tokio::time::timeout(Duration::from_micros(300), two.receive());
        if let Ok(Inbox::Notices(notices)) = hurried.await {
            received.extend(notices);
        }
    }
    received.extend(receive(&two, 50 - received.len()).await.0);
    let told: Vec<_> = (0..50).map(|n| (one.id(), notice(n))).collect();
    assert_eq!(received, told);
}
