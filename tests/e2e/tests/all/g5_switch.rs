//! G5: a switch of transport in mid-chat loses and repeats nothing. G4: a resume brings the whole
//! gap, also to a client that has received nothing yet.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Duration;

use e2e::{TestServer, eventually, matched_pair, within};
use nowrong_client::{ChatEvent, RawConnection, Transport};
use nowrong_protocol::{
    Position, ServerFrame,
    frame::{Body, EndReason, Resume, SeatState},
};

const MESSAGES: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_switching_transports_in_mid_chat_loses_and_repeats_nothing() {
    let server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    let switching = {
        let client = ana.client.clone();
        tokio::spawn(async move {
            for round in 0..6 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                let to = [Transport::WebSocket, Transport::WebTransport][round % 2];
                client.switch(to).await.unwrap();
                assert_eq!(within("the switch", client.opened()).await.unwrap(), to);
            }
        })
    };
    for count in 0..MESSAGES {
        let (from, text) = if count % 2 == 0 {
            (&ana_chat, "Ana")
        } else {
            (&ben_chat, "Ben")
        };
        within("an ack", from.send(format!("{text} {count}")))
            .await
            .unwrap();
    }
    switching.await.unwrap();
    for chat in [&ana_chat, &ben_chat] {
        let view = eventually("all messages", || async {
            let view = chat.view().await.unwrap();
            (view.messages.len() >= MESSAGES).then_some(view)
        });
        let texts: Vec<_> = view
            .await
            .messages
            .into_iter()
            .map(|message| message.body)
            .collect();
        let said: Vec<_> = (0..MESSAGES)
            .map(|n| Body::Text(format!("{} {n}", ["Ana", "Ben"][n % 2])))
            .collect();
        assert_eq!(texts, said);
    }
    drop(ben);
}

#[tokio::test]
async fn g4_who_resumes_with_nothing_gets_everything_and_a_strange_chat_is_gone() {
    let server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (ben, _ben_chat)] = matched_pair(&server).await.unwrap();
    for text in ["one", "two", "three"] {
        ana_chat.send(text).await.unwrap();
    }
    let options = nowrong_client::LinkOptions {
        transport: Transport::WebSocket,
        ..Default::default()
    };
    let connect = ben.user.connect().await.unwrap();
    let mut raw = RawConnection::open(&connect.endpoint, &options)
        .await
        .unwrap();
    let strange = nowrong_protocol::ChatId::from_bytes([7; 16]);
    let resume = [ana_chat.id(), strange].map(|chat| Resume {
        chat,
        position: Position::START,
    });
    let mut hello = RawConnection::hello(connect.connect_token);
    hello.resume = resume.to_vec();
    raw.send(hello);
    let (mut texts, mut gone) = (Vec::new(), Vec::new());
    while texts.len() < 3 || gone.is_empty() {
        match raw.receive(Duration::from_secs(10)).await.unwrap() {
            ServerFrame::Message(message) => texts.push((message.position.seq, message.body)),
            ServerFrame::Gone(frame) => gone.push(frame.chat),
            ServerFrame::Welcome(welcome) => {
                let chat = welcome.chat.expect("the chat goes on");
                assert_eq!((chat.resumed, chat.unread), (Position::START, 3));
            }
            _ => {}
        }
    }
    let said = ["one", "two", "three"].map(|text| Body::Text(text.into()));
    let expected: Vec<_> = (1..).zip(said).collect();
    assert_eq!((texts, gone), (expected, vec![strange]));
    drop(ana);
}

#[tokio::test]
async fn a_lost_partner_is_shown_held_and_back_and_after_the_hold_the_chat_ends() {
    let options = e2e::ServerOptions::flags(&["--set", "seat_hold=2s"]);
    let server = TestServer::start_with(options).await.unwrap();
    let [(ana, mut ana_chat), (ben, _ben_chat)] = matched_pair(&server).await.unwrap();
    let mut seats = Vec::new();
    ben.client.cut().await.unwrap();
    within("held and back", async {
        while seats.len() < 2 {
            if let Some(ChatEvent::Seat { state, .. }) = ana_chat.next_event().await {
                seats.push(state);
            }
        }
    })
    .await;
    assert_eq!(seats, [SeatState::Held, SeatState::Taken]);
    ben.client.close().await;
    let reason = within("the end", async {
        loop {
            if let Some(ChatEvent::Ended { reason, .. }) = ana_chat.next_event().await {
                return reason;
            }
        }
    });
    assert_eq!(reason.await, EndReason::Gone);
    drop(ana);
}
