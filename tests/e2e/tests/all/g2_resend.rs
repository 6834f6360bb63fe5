//! G2: what is sent again is the same message: at once, over another connection, and after a crash.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use e2e::{TestServer, eventually, matched_pair, within};
use nowrong_client::{Outgoing, Transport};
use nowrong_protocol::{ClientMessageId, ErrorCode, frame::Body};

use super::plain::Plain;

#[tokio::test]
async fn g2_a_message_sent_again_is_the_same_message() {
    let mut server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (_ben, ben_chat)] = matched_pair(&server).await.unwrap();
    let id = ClientMessageId::from_bytes([5; 16]);
    let again = || Outgoing {
        client_message_id: Some(id),
        reply_to: None,
        body: Body::Text("only once".into()),
    };
    let first = ana_chat.send(again()).await.unwrap();
    assert_eq!(
        ana_chat.send(again()).await.unwrap(),
        first,
        "on the same connection"
    );
    ana.client.switch(Transport::WebSocket).await.unwrap();
    within("the switch", ana.client.opened()).await.unwrap();
    assert_eq!(
        ana_chat.send(again()).await.unwrap(),
        first,
        "over another transport"
    );
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(
        within("an ack", ana_chat.send(again())).await.unwrap(),
        first,
        "after a crash"
    );
    ana_chat.send("last").await.unwrap();
    let texts = eventually("the last message", || async {
        let view = ben_chat.view().await.unwrap();
        let texts: Vec<_> = view
            .messages
            .into_iter()
            .map(|message| message.body)
            .collect();
        (texts.last() == Some(&Body::Text("last".into()))).then_some(texts)
    });
    assert_eq!(
        texts.await,
        ["only once", "last"].map(|text| Body::Text(text.into()))
    );
}

#[tokio::test]
async fn g2_a_message_sent_again_after_the_end_of_the_chat_is_the_same_message() {
    let server = TestServer::start().await.unwrap();
    let mut ana = Plain::arrive(&server, "Ana").await;
    let mut ben = Plain::arrive(&server, "Ben").await;
    ana.matched().await;
    ben.matched().await;
    ana.say(2, "one").await;
    ben.sees(1).await;
    ben.leave(2).await;
    ana.ended().await;
    ana.say(3, "one").await;
    ana.say(4, "two").await;
    let again = ana.reply(3).await.unwrap();
    assert_eq!(again.seq, 1, "Ben has it");
    let unknown = ana.reply(4).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::CHAT_ENDED, "nobody has it");
}

#[tokio::test]
async fn g2_a_message_sent_again_from_the_next_chat_is_the_same_message() {
    let server = TestServer::start().await.unwrap();
    let mut ana = Plain::arrive(&server, "Ana").await;
    let mut ben = Plain::arrive(&server, "Ben").await;
    ana.matched().await;
    ben.matched().await;
    let before = ana.chat;
    ana.say(2, "one").await;
    ben.sees(1).await;
    ben.leave(2).await;
    ana.ended().await;
    ana.join(3, &[]).await;
    let mut kim = Plain::arrive(&server, "Kim").await;
    ana.matched().await;
    kim.matched().await;
    let next = std::mem::replace(&mut ana.chat, before);
    ana.say(4, "one").await;
    ana.say(5, "two").await;
    assert_eq!(ana.reply(4).await.unwrap().seq, 1, "Ben has it");
    let unknown = ana.reply(5).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::CHAT_ENDED, "nobody has it");
    kim.chat = before;
    kim.say(2, "one").await;
    let strange = kim.reply(2).await.unwrap_err();
    assert_eq!(strange.code, ErrorCode::CHAT_UNKNOWN, "it is not Kim's");
    ana.chat = next;
    ana.say(6, "hello").await;
    kim.sees(1).await;
    assert_eq!(ana.reply(6).await.unwrap().seq, 1);
}

#[tokio::test]
async fn a_join_that_is_refused_changes_nothing_of_the_next_next() {
    let server = TestServer::start().await.unwrap();
    let mut ana = Plain::arrive(&server, "Ana").await;
    let mut ben = Plain::arrive(&server, "Ben").await;
    ana.matched().await;
    ben.matched().await;
    ana.join(2, &[""]).await;
    let refused = ana.queued(2).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::INVALID);
    ana.next(3).await;
    ben.ended().await;
    ana.is_queued(3).await;
}
