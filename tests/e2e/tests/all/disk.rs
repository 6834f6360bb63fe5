//! A disk that fills up: the server takes nothing new while it still has room to erase, and goes on when there is
//! more.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use e2e::{ServerOptions, TestServer, eventually, matched_pair, within};
use nowrong_client::{Chat, NewAccount};
use nowrong_protocol::{ErrorCode, Position, frame::Body};

use super::{
    plain::Plain,
    wire::{ask, get, status},
};

/// The disk, and the room below which it counts as full.
const DISK_MB: u32 = 64;
const LEAST: &str = "limits.disk_free_min_mb=16";

/// The room that is left when somebody else fills it.
const LEFT: u64 = 8_000_000;

async fn becomes(server: &TestServer, expected: u16) {
    eventually("the node says whether it is ready", || async {
        let response = ask("127.0.0.1", server.http(), &get("/readyz", "")).await;
        (status(&response) == expected).then_some(())
    })
    .await;
}

async fn texts(chat: &Chat) -> Vec<(u64, Body)> {
    let view = chat.view().await.unwrap();
    let texts = view.messages.into_iter();
    texts.map(|it| (it.position.seq, it.body)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_disk_that_is_nearly_full_takes_nothing_new_and_loses_nothing() {
    let options = ServerOptions {
        disk_mb: Some(DISK_MB),
        ..ServerOptions::flags(&["--set", LEAST])
    };
    let mut server = TestServer::start_with(options).await.unwrap();
    let people = matched_pair(&server).await.unwrap();
    let [ana_chat, ben_chat] = [&people[0].1, &people[1].1];
    within("an ack", ana_chat.send("one")).await.unwrap();
    let mut cem = Plain::arrive(&server, "Cem").await;
    let mut dov = Plain::arrive(&server, "Dov").await;
    cem.matched().await;
    dov.matched().await;
    let eve = server.api().register(&NewAccount::named("Eve")).await;
    let eve = eve.unwrap();
    becomes(&server, 200).await;

    server.fill_disk(Some(LEFT)).unwrap();
    becomes(&server, 503).await;
    cem.say(2, "two").await;
    let refused = cem.reply(2).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::STORAGE_UNAVAILABLE);
    assert_eq!(refused.retry_after_ms, 10_000);
    let refused = server.api().register(&NewAccount::named("Fay")).await;
    let refused = refused.unwrap_err().code();
    assert_eq!(refused, Some(ErrorCode::STORAGE_UNAVAILABLE));
    // What erases goes on, and so do those who are here.
    eve.delete().await.unwrap();
    people[0].0.user.me().await.unwrap();

    server.fill_disk(None).unwrap();
    becomes(&server, 200).await;
    cem.say(3, "two").await;
    assert_eq!(cem.reply(3).await.unwrap(), Position::new(1, 1));
    dov.sees(1).await;
    within("an ack", ben_chat.send("two")).await.unwrap();
    let fay = server.api().register(&NewAccount::named("Fay")).await;
    fay.unwrap();
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    let said = ["one", "two"].map(|text| Body::Text(text.to_owned()));
    let said: Vec<_> = (1..).zip(said).collect();
    for chat in [ana_chat, ben_chat] {
        eventually("all that was acked", || async {
            (texts(chat).await == said).then_some(())
        })
        .await;
    }
}
