//! A new account costs its device some work, and a proof of it is good for one account on all nodes together.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::net::SocketAddr;

use e2e::{Cluster, ServerOptions, TestServer, within};
use nowrong_client::NewAccount;
use nowrong_protocol::proof::{Challenge, Proof};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::accounts::post;

/// As an operator has it by default, and as much at any time.
const ON: [&str; 4] = [
    "--set",
    "limits.proof_work=200",
    "--set",
    "limits.proof_calm_per_minute=100000",
];

/// How often two nodes are asked at once: they meet at another moment each time.
const ROUNDS: usize = 20;

/// Status and body of a registration under this key.
async fn register(node: SocketAddr, key: &str, name: &str, proof: Option<&str>) -> (u16, Value) {
    let mut body = json!({ "name": name, "language": "en", "age_bracket": "18+" });
    if let Some(proof) = proof {
        body["proof"] = proof.into();
    }
    let body = body.to_string();
    let request = format!(
        "POST /v1/users HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = post(node, &request, None).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// The end of a name that looks like no other.
fn looks_like_no_other(number: usize) -> String {
    let letter = |index| ["a", "b", "c", "d", "e"][index];
    format!("{}{}", letter(number / 5), letter(number % 5))
}

/// A proof for this key.
async fn proof(node: SocketAddr, key: &str) -> Proof {
    let (status, problem) = register(node, key, "Somebody", None).await;
    assert_eq!(status, 428, "{problem}");
    let challenge = problem["challenge"]["text"].as_str().unwrap();
    let challenge = Challenge::from_text(challenge).unwrap();
    assert_eq!(challenge.work, 200);
    challenge.solve(key).unwrap()
}

/// A key that the proof is not for: chance may let it solve the challenge for another one too.
fn another_key(proof: &Proof) -> String {
    let mut keys = (0..).map(|number| format!("quite-another-key-{number}"));
    keys.find(|key| !proof.is_solved(key)).unwrap()
}

/// Both nodes get the same proof at once, for two names: one account is made, and each later try finds it or is
/// refused.
async fn one_proof_makes_one_account(nodes: [SocketAddr; 2]) {
    for round in 0..ROUNDS {
        let key = format!("the-key-of-round-{round}");
        let solved = proof(nodes[round % 2], &key).await;
        let (proof, other) = (solved.to_text(), another_key(&solved));
        let end = looks_like_no_other(round);
        let names = [format!("Ana {end}"), format!("Ben {end}")];
        let mut asking = JoinSet::new();
        for (node, name) in nodes.into_iter().zip(names.clone()) {
            let (key, proof) = (key.clone(), proof.clone());
            asking.spawn(async move { register(node, &key, &name, Some(&proof)).await });
        }
        let mut answers: Vec<(u16, Value)> = within("both responses", asking.join_all()).await;
        answers.sort_by_key(|(status, _)| *status);
        let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [201, 422], "{answers:?}");
        let made = &answers[0].1["user"];
        let name = made["name"].as_str().unwrap();
        for node in nodes {
            let (status, again) = register(node, &key, name, Some(&proof)).await;
            assert_eq!((status, &again["user"]["id"]), (201, &made["id"]));
            let (status, _) = register(node, &key, &format!("Cem {end}"), Some(&proof)).await;
            assert_eq!(status, 422);
            let (status, _) = register(node, &other, "Dov", Some(&proof)).await;
            assert_eq!(status, 428);
        }
    }
}

#[tokio::test]
async fn safety_proof_makes_one_account() {
    let server = TestServer::start_with(ServerOptions::flags(&ON))
        .await
        .unwrap();
    one_proof_makes_one_account([server.http(); 2]).await;
    let user = server.api().register(&NewAccount::named("Robin")).await;
    assert_eq!(user.unwrap().account().name, "Robin");
}

#[tokio::test]
async fn safety_proof_makes_one_account_on_two_nodes() {
    let cluster = Cluster::start(&ON).await.unwrap();
    let [one, other] = &cluster.nodes;
    one_proof_makes_one_account([one.http(), other.http()]).await;
}
