//! Accounts under a connection: who is here is not idle, and an account that is gone ends it.

use nowrong_protocol::frame::{Join, SeatState};
use nowrong_store::{
    Rotation,
    conformance::{NOW, token},
};
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(60 * 60);

async fn closes_with_account_gone(client: &mut Client) {
    closes_with(client, CloseCode::ACCOUNT_GONE).await;
}

async fn closes_with(client: &mut Client, code: CloseCode) {
    let bye = client.next(|frame| matches!(frame, ServerFrame::Bye(bye) if bye.code == code));
    timeout(PATIENCE, bye).await.unwrap();
}

/// A connect token for Ana, who has the tokens of this generation.
async fn connect_token(node: &Arc<Node>, generation: u64) -> String {
    let (env, user) = (node.env(), user_id(1));
    let holder = Holder { user, generation };
    let token = issue_connect(&*env.broker, holder, env.clock.now()).await;
    token.unwrap().into_exposed()
}

/// Somebody brings an old token of Ana.
async fn revoke(node: &Arc<Node>) {
    let store = node.env().store.clone();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    for (used, next, expected) in [
        (1, 2, Rotation::Rotated),
        (2, 3, Rotation::Rotated),
        (1, 4, Rotation::Reused),
    ] {
        let next = token(next, 1, 1);
        let rotation = store.rotate_refresh(&[used; 32], &next, NOW).await;
        assert_eq!(rotation.unwrap(), expected);
    }
}

fn join() -> ClientFrame {
    ClientFrame::from(Join {
        request: 1,
        category: "music".to_owned(),
        interests: Vec::new(),
    })
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
    node.env().store.delete_user(user_id(1), NOW).await.unwrap();
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
    node.env().store.delete_user(user_id(1), NOW).await.unwrap();
    ana.send(join()).await;
    closes_with_account_gone(&mut ana).await;
    sees_the_end(&mut ben).await;
}

#[tokio::test]
async fn a_revocation_closes_the_connection_and_holds_the_seat() {
    let (node, _) = node().await;
    let (mut ana, mut ben) = (
        Client::connect(&node, 1).await,
        Client::connect(&node, 2).await,
    );
    revoke(&node).await;
    node.end_older(user_id(1), 1);
    node.end_older(user_id(2), 0);
    closes_with(&mut ana, CloseCode::TOKEN_REFUSED).await;
    let held =
        ben.next(|frame| matches!(frame, ServerFrame::Seat(seat) if seat.state == SeatState::Held));
    timeout(PATIENCE, held).await.unwrap();
    // Who has the new tokens goes on in the chat.
    let token = connect_token(&node, 1).await;
    let mut ana = Client::knock(&node, token).await;
    let back =
        ana.next(|frame| matches!(frame, ServerFrame::Welcome(welcome) if welcome.chat.is_some()));
    timeout(PATIENCE, back).await.unwrap();
    node.end_older(user_id(1), 1);
    ben.next(|frame| matches!(frame, ServerFrame::Seat(seat) if seat.state == SeatState::Taken))
        .await;
    assert_eq!(node.connections(), 2);
}

#[tokio::test]
async fn a_connect_token_from_before_a_revocation_opens_nothing() {
    let (node, _) = node().await;
    let before = connect_token(&node, 0).await;
    revoke(&node).await;
    let mut thief = Client::knock(&node, before).await;
    closes_with(&mut thief, CloseCode::TOKEN_REFUSED).await;
    // The generation in it is not the client's to choose.
    let forged = connect_token(&node, 0).await.replace(".0", ".1");
    let mut thief = Client::knock(&node, forged).await;
    closes_with(&mut thief, CloseCode::TOKEN_REFUSED).await;
}

#[tokio::test]
async fn a_revocation_of_which_nobody_told_ends_the_connection_in_the_next_round_or_at_a_join() {
    for seen_by in ["presence", "a look", "a join"] {
        let (node, _) = node().await;
        let mut ana = Client::connect(&node, 1).await;
        let _ben = Client::connect(&node, 2).await;
        revoke(&node).await;
        // Not due, so nothing is looked at.
        node.look_at_accounts_if_due().await;
        assert!(node.hub().entry(user_id(1)).unwrap().state().kick.is_none());
        match seen_by {
            "presence" => node.note_presence(HOUR).await,
            "a look" => {
                // What the inbox does when notices were lost.
                node.look_at_accounts_soon();
                node.look_at_accounts_if_due().await;
            }
            _ => ana.send(join()).await,
        }
        closes_with(&mut ana, CloseCode::TOKEN_REFUSED).await;
        assert!(
            node.hub()
                .entry(user_id(1))
                .unwrap()
                .state()
                .ticket
                .is_none()
        );
    }
}
