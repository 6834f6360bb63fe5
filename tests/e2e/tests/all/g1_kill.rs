//! G1, G2, G3, G4: ten pairs talk, the server is killed with SIGKILL at a random moment and started
//! again, twenty times. Every acked message is there once, in order, on both sides; the clients come
//! back by themselves.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{collections::HashSet, time::Duration};

use e2e::{Person, TestServer, eventually, pair_over};
use nowrong_client::{Chat, ChatView, ConnectOptions, Transport};
use nowrong_protocol::{Position, frame::Body};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PAIRS: usize = 10;
const ROUNDS: usize = 20;

/// Says something every few milliseconds until told to stop; returns what was acked.
async fn talk(chat: Chat, who: String, stop: CancellationToken) -> Vec<(Position, String)> {
    let mut acked = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(15));
    for count in 0.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let text = format!("{who} {count}");
        let sent = chat
            .send(text.as_str())
            .await
            .unwrap_or_else(|error| panic!("{who} said {count}: {error}"));
        acked.push((sent.position, text));
    }
    acked
}

fn texts(view: &ChatView) -> Vec<(Position, String)> {
    let text = |body: &Body| match body {
        Body::Text(text) => text.clone(),
        other => panic!("not a text: {other:?}"),
    };
    view.messages
        .iter()
        .map(|message| (message.position, text(&message.body)))
        .collect()
}

fn check_log(who: &str, view: &ChatView, acked: &[(Position, String)]) {
    let held = texts(view);
    for (index, (position, _)) in held.iter().enumerate() {
        assert_eq!(
            position.seq,
            index as u64 + 1,
            "{who}: no gap and no repeat"
        );
    }
    assert!(
        held.is_sorted_by_key(|(position, _)| *position),
        "{who}: positions ascend"
    );
    let unique: HashSet<&str> = held.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(unique.len(), held.len(), "{who}: nothing twice");
    for message in acked {
        assert!(held.contains(message), "{who}: acked and lost: {message:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_acked_messages_survive_kill_9() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = TestServer::start().await.unwrap();
    let (stop, talkers) = (CancellationToken::new(), TaskTracker::new());
    let (mut people, mut talks): (Vec<[(Person, Chat); 2]>, Vec<_>) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let names = [format!("Ana{pair:03}x"), format!("Ben{pair:03}x")];
        let transports = [Transport::WebTransport, Transport::WebSocket];
        let options = transports.map(ConnectOptions::from);
        let pair = pair_over(&server, [&names[0], &names[1]], options, "music")
            .await
            .unwrap();
        for ((_, chat), name) in pair.iter().zip(&names) {
            talks.push(talkers.spawn(talk(chat.clone(), name.clone(), stop.clone())));
        }
        people.push(pair);
    }
    for round in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..500))).await;
        server.kill().await.unwrap();
        server.restart().await.unwrap();
        for (person, _) in people.iter().flatten() {
            person.client.opened().await.unwrap();
        }
        println!("round {round}: everyone is back");
    }
    stop.cancel();
    let mut acked = Vec::new();
    for talk in talks {
        acked.push(talk.await.unwrap());
    }
    let total: usize = acked.iter().map(Vec::len).sum();
    println!("{total} messages acked");
    assert!(total > PAIRS * ROUNDS, "the pairs really talked");
    for (index, pair) in people.iter().enumerate() {
        let said = [&acked[2 * index], &acked[2 * index + 1]];
        check_pair(index, pair, said).await;
    }
}

async fn check_pair(index: usize, pair: &[(Person, Chat); 2], said: [&Vec<(Position, String)>; 2]) {
    let count = (said[0].len() + said[1].len()) as u64;
    let [ana, ben] = pair;
    let view = |chat: &Chat| {
        let chat = chat.clone();
        async move {
            let view = chat.view().await.expect("the chat goes on");
            let is_whole = view
                .messages
                .last()
                .is_some_and(|last| last.position.seq >= count);
            (is_whole && view.unsent == 0).then_some(view)
        }
    };
    let ana_view = eventually("everything at Ana's", || view(&ana.1)).await;
    let ben_view = eventually("everything at Ben's", || view(&ben.1)).await;
    let all: Vec<_> = said.into_iter().flatten().cloned().collect();
    check_log(&format!("Ana {index}"), &ana_view, &all);
    check_log(&format!("Ben {index}"), &ben_view, &all);
    assert_eq!(
        texts(&ana_view),
        texts(&ben_view),
        "pair {index}: one order for both"
    );
}
