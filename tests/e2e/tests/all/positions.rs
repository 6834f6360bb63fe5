//! Positions that name no message: nothing that one client chooses may reach another one's decoder
//! unchecked.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use e2e::{Person, ServerOptions, TestServer, eventually, within};
use nowrong_client::Transport;
use nowrong_protocol::{
    ErrorCode, Position,
    frame::{Delivered, Read},
};

use super::plain::Plain;

/// More than a client whose numbers are doubles can count.
const FAR: u64 = 1 << 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_name_no_message_never_reach_the_partner() {
    let server = TestServer::start_with(ServerOptions::default())
        .await
        .unwrap();
    let mut mallory = Plain::arrive(&server, "Mallory").await;
    let ben = Person::arrive(&server, "Ben", Transport::WebTransport.into());
    let ben = ben.await.unwrap();
    let mut ticket = ben.client.join("music", &[]).await.unwrap();
    let ben_chat = within("a match", ticket.matched()).await.unwrap();
    mallory.matched().await;
    let chat = mallory.chat;
    within("an ack", ben_chat.send("hello")).await.unwrap();
    mallory.sees(1).await;

    let odd = [
        (0, 0),
        (0, 1),
        (0, FAR),
        (1, 0),
        (1, 2),
        (1, FAR),
        (2, 1),
        (u32::MAX, u64::MAX),
    ];
    for (request, (epoch, seq)) in (10..).zip(odd) {
        let to = Position::new(epoch, seq);
        mallory
            .reply_to(request, Some(to), &format!("to {epoch}.{}", seq.min(9)))
            .await;
        let refused = mallory.reply(request).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::MESSAGE_UNKNOWN, "{to}");
        for frame in [
            Delivered { chat, position: to }.into(),
            Read { chat, position: to }.into(),
        ] {
            mallory.tell(frame).await;
        }
    }
    mallory
        .reply_to(30, Some(Position::new(1, 1)), "good")
        .await;
    mallory.reply(30).await.unwrap();

    let theirs = || async {
        let view = ben_chat.view().await.unwrap();
        let them = view
            .state
            .members
            .iter()
            .find(|member| member.name == "Mallory")?;
        (them.read == Position::new(1, 1)).then_some((view.messages.len(), them.delivered))
    };
    let seen = eventually("all of it arrives", theirs).await;
    assert_eq!(seen.1, Position::new(1, 1), "beyond the head is the head");
    // What `Welcome` says after a new connection is as good.
    ben.client.cut().await.unwrap();
    within("coming back", ben.client.opened()).await.unwrap();
    let again = eventually("all of it is there", theirs).await;
    assert_eq!(again, (2, Position::new(1, 1)));
}
