//! A rolling restart: the clients of a node that goes away move to another one.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Duration;

use e2e::{Cluster, matched_pair, within};
use nowrong_client::{Chat, Client, ConnectionState};
use nowrong_protocol::{
    ConnectionId,
    frame::{Body, Message},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn connection(client: &Client) -> ConnectionId {
    match *client.state().borrow() {
        ConnectionState::Open { connection, .. } => connection,
        other => panic!("{other:?}"),
    }
}

/// Says something again and again until told to stop; returns how often.
async fn talk(chat: &Chat, stop: CancellationToken) -> usize {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut said = 0;
    while !stop.is_cancelled() {
        ticks.tick().await;
        within("an ack", chat.send(said.to_string())).await.unwrap();
        said += 1;
    }
    said
}

/// Checks that every number comes once and in order; tells how many came.
async fn listen(mut chat: Chat, heard: watch::Sender<usize>) {
    while let Some(message) = chat.next_message().await {
        assert_eq!(text(&message), heard.borrow().to_string());
        heard.send_modify(|count| *count += 1);
    }
}

fn text(message: &Message) -> &str {
    match &message.body {
        Body::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_restarting_one_node_after_the_other_loses_and_repeats_nothing() {
    let mut cluster = Cluster::start(&["--set", "drain=4s"]).await.unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&cluster.nodes[0]).await.unwrap();
    let before = [connection(&ana.client), connection(&ben.client)];
    let stop = CancellationToken::new();
    let talking = stop.clone();
    let talking = tokio::spawn(async move { talk(&ana_chat, talking).await });
    let (heard, mut hears) = watch::channel(0);
    tokio::spawn(listen(ben_chat, heard));
    for node in &mut cluster.nodes {
        let status = node.stop().await.unwrap();
        assert!(status.success(), "{status}");
        node.restart().await.unwrap();
    }
    stop.cancel();
    let said = talking.await.unwrap();
    let all = hears.wait_for(|count| *count == said);
    within("every message", all).await.unwrap();
    ana.client.opened().await.unwrap();
    ben.client.opened().await.unwrap();
    let after = [connection(&ana.client), connection(&ben.client)];
    assert_ne!(before[0], after[0], "wherever Ana was, it went away");
    assert_ne!(before[1], after[1], "wherever Ben was, it went away");
}
