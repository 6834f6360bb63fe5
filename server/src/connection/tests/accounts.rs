//! Accounts under a connection: who is here is not idle, and an account that is gone ends it.

use nowrong_protocol::frame::Join;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(60 * 60);

async fn closes_with_account_gone(client: &mut Client) {
    let gone = client.next(
        |frame| matches!(frame, ServerFrame::Bye(bye) if bye.code == CloseCode::ACCOUNT_GONE),
    );
    timeout(PATIENCE, gone).await.unwrap();
}

async fn sees_the_end(client: &mut Client) {
    let ended = client.next(|frame| matches!(frame, ServerFrame::Ended(_)));
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn who_is_connected_keeps_the_account_and_who_is_not_does_not() {
    let (node, _) = node().await;
    let _ana = Client::connect(&node, 1).await;
    let store = node.env().store.clone();
    // The accounts live for an hour after their creation.
    for _ in 0..8 {
        node.env().clock.advance(HOUR / 2);
        node.note_presence(HOUR).await;
        let now = node.env().clock.now();
        store.sweep(now, 1_000).await.unwrap();
        let ana = store.user(user_id(1), now).await.unwrap();
        assert!(ana.unwrap().expires_at > now + 3_500_000);
    }
    let now = node.env().clock.now();
    assert_eq!(store.user(user_id(2), now).await.unwrap(), None);
}

#[tokio::test]
async fn an_account_that_is_gone_ends_its_connection_and_its_chat_in_the_next_round() {
    let (node, _) = node().await;
    let (mut ana, mut ben) = (
        Client::connect(&node, 1).await,
        Client::connect(&node, 2).await,
    );
    node.env().store.delete_user(user_id(1)).await.unwrap();
    node.note_presence(HOUR).await;
    closes_with_account_gone(&mut ana).await;
    sees_the_end(&mut ben).await;
}

#[tokio::test]
async fn an_account_that_is_gone_ends_its_connection_at_a_join() {
    let (node, _) = node().await;
    let (mut ana, mut ben) = (
        Client::connect(&node, 1).await,
        Client::connect(&node, 2).await,
    );
    node.env().store.delete_user(user_id(1)).await.unwrap();
    let join = Join {
        request: 1,
        category: "music".to_owned(),
        interests: Vec::new(),
    };
    ana.send(join.into()).await;
    closes_with_account_gone(&mut ana).await;
    sees_the_end(&mut ben).await;
}
