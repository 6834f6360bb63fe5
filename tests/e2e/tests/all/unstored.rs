//! A store that refuses for a while: who is shown a message keeps it, and who wrote it gets the ack
//! late, or is told to send it again. Nobody has to reconnect.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Instant;

use e2e::{ServerOptions, TestServer, eventually, matched_pair, within};
use nowrong_client::Chat;
use nowrong_protocol::{ErrorCode, Position, frame::Body};

use super::plain::Plain;

/// So little that no page of the database can be written; the log of a quiet server has room.
const FULL_BYTES: u64 = 8_192;

async fn start() -> TestServer {
    let options = ServerOptions {
        is_quiet: true,
        ..ServerOptions::default()
    };
    TestServer::start_with(options).await.unwrap()
}

async fn texts(chat: &Chat) -> Vec<(u64, Body)> {
    let view = chat.view().await.unwrap();
    let texts = view.messages.into_iter();
    texts.map(|it| (it.position.seq, it.body)).collect()
}

fn said(texts: &[&str]) -> Vec<(u64, Body)> {
    let body = |text: &&str| Body::Text((*text).to_owned());
    (1..).zip(texts.iter().map(body)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_disk_refused_is_acked_when_there_is_room_again() {
    let server = start().await;
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    within("an ack", ana_chat.send("one")).await.unwrap();
    let connections = [&ana, &ben].map(|person| {
        let mut state = person.client.state();
        state.mark_unchanged();
        state
    });
    server.limit_files(Some(FULL_BYTES)).await.unwrap();
    let say = |chat: &Chat, text: &'static str| {
        let chat = chat.clone();
        tokio::spawn(async move { chat.send(text).await })
    };
    let two = say(&ana_chat, "two");
    eventually("Ben sees it", || async {
        (texts(&ben_chat).await == said(&["one", "two"])).then_some(())
    })
    .await;
    eventually("the store refuses", || async {
        server.log().contains("could not be stored").then_some(())
    })
    .await;
    let three = say(&ben_chat, "three");
    assert!(!two.is_finished() && !three.is_finished());

    server.limit_files(None).await.unwrap();
    let two = within("an ack", two).await.unwrap().unwrap();
    assert_eq!(two.position.seq, 2);
    let three = within("an ack", three).await.unwrap().unwrap();
    assert_eq!(three.position.seq, 3);
    for chat in [&ana_chat, &ben_chat] {
        eventually("the same for both", || async {
            (texts(chat).await == said(&["one", "two", "three"])).then_some(())
        })
        .await;
    }
    for state in connections {
        assert!(!state.has_changed().unwrap(), "no connection was lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_refuses_nobody_is_shown_more_and_the_sender_is_told_in_time() {
    let server = start().await;
    let mut ana = Plain::arrive(&server, "Ana").await;
    let mut ben = Plain::arrive(&server, "Ben").await;
    ana.matched().await;
    ben.matched().await;
    server.limit_files(Some(FULL_BYTES)).await.unwrap();
    let begun = Instant::now();
    ana.say(2, "one").await;
    ben.sees(1).await;
    eventually("the store refuses", || async {
        server.log().contains("could not be stored").then_some(())
    })
    .await;
    // What comes now is refused before anybody sees it.
    ana.say(3, "two").await;
    let refused = ana.reply(3).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::STORAGE_UNAVAILABLE);
    assert_eq!(refused.retry_after_ms, 1_000);
    assert!(begun.elapsed().as_secs() < 9, "and at once");
    // What Ben sees waits, but not so long that Ana's client gives it up.
    let late = ana.reply(2).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::STORAGE_UNAVAILABLE);
    let waited = begun.elapsed().as_secs();
    assert!((10..15).contains(&waited), "{waited} s");

    server.limit_files(None).await.unwrap();
    let mut request = 4;
    for (text, seq) in [("one", 1), ("two", 2)] {
        loop {
            ana.say(request, text).await;
            let reply = ana.reply(request).await;
            request += 1;
            match reply {
                Ok(position) => break assert_eq!(position, Position::new(1, seq)),
                Err(fail) => assert!(fail.code.is_temporary(), "{fail:?}"),
            }
        }
    }
    ben.sees(2).await;
    assert_eq!(ben.shown, said(&["one", "two"]), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_with_what_it_could_not_store_leaves_both_with_the_same() {
    let mut server = start().await;
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    within("an ack", ana_chat.send("one")).await.unwrap();
    server.limit_files(Some(FULL_BYTES)).await.unwrap();
    let two = tokio::spawn({
        let ana_chat = ana_chat.clone();
        async move { ana_chat.send("two").await }
    });
    eventually("Ben sees it", || async {
        (texts(&ben_chat).await == said(&["one", "two"])).then_some(())
    })
    .await;
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    for person in [&ana, &ben] {
        within("coming back", person.client.opened()).await.unwrap();
    }
    let two = within("an ack", two).await.unwrap().unwrap();
    assert_eq!(two.position, Position::new(2, 2), "sent again");
    for chat in [&ana_chat, &ben_chat] {
        eventually("the same for both", || async {
            (texts(chat).await == said(&["one", "two"])).then_some(())
        })
        .await;
    }
}
