//! A new account meets an older one only when it has waited for another new one, on one node and on two.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::{Duration, Instant};

use e2e::{Cluster, Person, ServerOptions, TestServer, within};
use nowrong_client::Transport;

/// How long an account is new here.
const AGE: &str = "newcomer_age=2s";
const OLD_AFTER: Duration = Duration::from_secs(2);

/// How long a new account waits for another one, but for the difference between two clocks and ticks.
const WAITS: Duration = Duration::from_millis(2_800);

async fn arrive(server: &TestServer, name: &str) -> Person {
    let person = Person::arrive(server, name, Transport::WebSocket.into());
    person.await.unwrap()
}

async fn an_older_and_a_new_one_meet(nodes: [&TestServer; 2]) {
    let ana = arrive(nodes[0], "Ana").await;
    let mut waiting = ana.client.join("art", &[]).await.unwrap();
    let cem = arrive(nodes[1], "Cem").await;
    let mut joining = cem.client.join("art", &[]).await.unwrap();
    within("a match of two new ones", waiting.matched())
        .await
        .unwrap();
    let chat = within("a match", joining.matched()).await.unwrap();
    chat.leave().await.unwrap();

    // Nothing but time makes an account older.
    tokio::time::sleep(OLD_AFTER).await;
    let mut waiting = ana.client.join("music", &[]).await.unwrap();
    let ben = arrive(nodes[1], "Ben").await;
    let begun = Instant::now();
    let mut joining = ben.client.join("music", &[]).await.unwrap();
    let theirs = within("a match", joining.matched()).await.unwrap();
    assert!(begun.elapsed() >= WAITS, "{:?}", begun.elapsed());
    let hers = within("a match", waiting.matched()).await.unwrap();
    assert_eq!(hers.id(), theirs.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_account_waits_before_it_meets_an_older_one_on_one_node() {
    let options = ServerOptions::flags(&["--set", AGE]);
    let server = TestServer::start_with(options).await.unwrap();
    an_older_and_a_new_one_meet([&server, &server]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_account_waits_before_it_meets_an_older_one_on_two_nodes() {
    let cluster = Cluster::start(&["--set", AGE]).await.unwrap();
    let [one, two] = &cluster.nodes;
    an_older_and_a_new_one_meet([one, two]).await;
}
