//! Two people chat: over each transport, and one over each.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::{Duration, Instant};

use e2e::{ServerOptions, TestServer, matched_pair, pair_over, within};
use nowrong_client::{ChatEvent, ConnectOptions, Outgoing, Transport};
use nowrong_protocol::{
    Position,
    frame::{Body, EndReason, SeatState},
};

fn text(body: &Body) -> &str {
    match body {
        Body::Text(text) => text,
        other => panic!("not a text: {other:?}"),
    }
}

async fn event<T>(
    what: &str,
    chat: &mut nowrong_client::Chat,
    mut wanted: impl FnMut(ChatEvent) -> Option<T>,
) -> T {
    within(what, async {
        loop {
            let event = chat.next_event().await.expect("the chat goes on");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    })
    .await
}

async fn they_talk(first: Transport, second: Transport) {
    let server = TestServer::start().await.unwrap();
    they_talk_on(&server, first, second).await;
}

async fn they_talk_on(server: &TestServer, first: Transport, second: Transport) {
    let options = [first, second].map(ConnectOptions::from);
    let [(ana, mut ana_chat), (ben, mut ben_chat)] =
        pair_over(server, ["Ana", "Ben"], options, "music")
            .await
            .unwrap();
    assert_eq!(ana.client.opened().await.unwrap(), first);
    assert_eq!(ben.client.opened().await.unwrap(), second);
    let partner = &ana_chat.state().members[usize::from(1 - ana_chat.you())];
    assert_eq!(
        (partner.name.as_str(), partner.seat),
        ("Ben", SeatState::Taken)
    );
    assert!(ana_chat.state().why.is_same_language);

    let hello = ana_chat.send("hello").await.unwrap();
    assert_eq!(hello.position, Position::new(1, 1));
    let got = within("the message", ben_chat.next_message())
        .await
        .unwrap();
    assert_eq!((text(&got.body), got.position), ("hello", hello.position));
    let answer = Outgoing {
        reply_to: Some(got.position),
        ..Outgoing::from("hi")
    };
    let answer = ben_chat.send(answer).await.unwrap();
    let got = within("the answer", ana_chat.next_message()).await.unwrap();
    assert_eq!(
        (text(&got.body), got.reply_to),
        ("hi", Some(hello.position))
    );

    ben_chat.typing(true).await.unwrap();
    let typing = |event| {
        matches!(
            event,
            ChatEvent::Typing {
                is_typing: true,
                ..
            }
        )
        .then_some(())
    };
    event("typing", &mut ana_chat, typing).await;
    ana_chat.read(answer.position).await.unwrap();
    let read = event("the read cursor", &mut ben_chat, |event| match event {
        ChatEvent::Cursor { read, .. } if read == answer.position => Some(read),
        _ => None,
    });
    read.await;

    ana_chat.delete(hello.position).await.unwrap();
    let deleted =
        |event| matches!(event, ChatEvent::Deleted(at) if at == hello.position).then_some(());
    event("the deletion", &mut ben_chat, deleted).await;
    let page = ben_chat.history(None, 10).await.unwrap();
    let bodies: Vec<_> = page
        .messages
        .iter()
        .map(|message| message.body.clone())
        .collect();
    assert_eq!(bodies, [Body::Deleted, Body::Text("hi".into())]);

    ana_chat.leave().await.unwrap();
    let ended = event("the end", &mut ben_chat, |event| match event {
        ChatEvent::Ended { reason, member, .. } => Some((reason, member)),
        _ => None,
    });
    assert_eq!(ended.await, (EndReason::Left, Some(ana_chat.you())));
    let refused = ben_chat.send("too late").await.unwrap_err();
    assert_eq!(
        refused.code(),
        Some(nowrong_protocol::ErrorCode::CHAT_ENDED)
    );
}

#[tokio::test]
async fn over_webtransport() {
    they_talk(Transport::WebTransport, Transport::WebTransport).await;
}

#[tokio::test]
async fn over_websocket() {
    they_talk(Transport::WebSocket, Transport::WebSocket).await;
}

/// One thread is another runtime.
#[tokio::test]
async fn on_one_thread() {
    let options = ServerOptions::flags(&["--set", "threads=1"]);
    let server = TestServer::start_with(options).await.unwrap();
    they_talk_on(&server, Transport::WebTransport, Transport::WebSocket).await;
}

#[tokio::test]
async fn one_over_each() {
    they_talk(Transport::WebTransport, Transport::WebSocket).await;
}

#[tokio::test]
async fn next_finds_another_partner_and_not_the_same_one_at_once() {
    let server = TestServer::start().await.unwrap();
    let [(_ana, ana_chat), (ben, mut ben_chat)] = matched_pair(&server).await.unwrap();
    let mut waiting = ana_chat.next().await.unwrap();
    let ended = |event| matches!(event, ChatEvent::Ended { .. }).then_some(());
    event("the end", &mut ben_chat, ended).await;
    let mut ben_waits = ben.client.join("music", &[]).await.unwrap();
    let eva = e2e::Person::arrive(&server, "Eva", ConnectOptions::default())
        .await
        .unwrap();
    let mut joining = eva.client.join("music", &[]).await.unwrap();
    let chat = within("a match", joining.matched()).await.unwrap();
    // Both came at about the same time, and neither is a recent partner of hers.
    let partner = &chat.state().members[usize::from(1 - chat.you())];
    assert!(["Ana", "Ben"].contains(&partner.name.as_str()));
    let eva_and = if partner.name == "Ana" {
        &mut waiting
    } else {
        &mut ben_waits
    };
    let other = within("the partner's match", eva_and.matched())
        .await
        .unwrap();
    assert_eq!(
        other.id(),
        chat.id(),
        "the two who just met were not matched again"
    );
}

/// Who sends on at every ack waits for one append after the other: they are 16 ms apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_are_apart_so_that_those_of_many_become_one() {
    let server = TestServer::start().await.unwrap();
    let [(_ana, ana_chat), (_ben, _ben_chat)] = matched_pair(&server).await.unwrap();
    let start = Instant::now();
    for round in 0..11 {
        let sent = within("an ack", ana_chat.send(round.to_string())).await;
        assert_eq!(sent.unwrap().position.seq, round + 1);
    }
    assert!(start.elapsed() >= 10 * Duration::from_millis(16));
}
