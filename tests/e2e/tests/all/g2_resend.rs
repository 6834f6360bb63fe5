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
