//! Stolen tokens, lost responses, revocations: one chain of tokens for each account, and nothing that was
//! issued before a revocation opens or keeps anything.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Duration;

use e2e::{Cluster, ServerOptions, TestServer, eventually, matched_pair, within};
use nowrong_client::{
    Api, ApiError, Client, LinkOptions, NewAccount, RawConnection, Transport, User,
};
use nowrong_protocol::{CloseCode, ErrorCode, ServerFrame};
use tokio::task::JoinSet;

use super::{
    accounts::post,
    erasing::{get_in, race},
};

/// How long a connection may outlive the tokens that opened it.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How often a race is run: the two meet at another moment each time.
const TRIES: usize = 40;

/// How often an account is erased while a connection of it gets in.
const ERASURES: usize = 200;

/// The account with the tokens after `token`.
async fn renewed(api: &Api, token: &str) -> User {
    within("new tokens", api.user(token)).await.unwrap()
}

async fn is_refused(api: &Api, token: &str) {
    let refused = within("a response", api.user(token)).await;
    assert_eq!(code(refused), Some(ErrorCode::REFRESH_REFUSED));
}

fn code<T>(outcome: Result<T, ApiError>) -> Option<ErrorCode> {
    outcome.err().and_then(|error| error.code())
}

/// An account whose tokens were renewed twice, and its first token, whose successor was used.
async fn renewed_twice(api: &Api, name: &str) -> (String, User) {
    let first = api.register(&NewAccount::named(name)).await.unwrap();
    let first = first.refresh_token().await;
    let second = renewed(api, &first).await.refresh_token().await;
    (first, renewed(api, &second).await)
}

/// A link to `node` and a connect token of the account for it.
async fn knock(user: &User, node: &TestServer) -> (RawConnection, String) {
    let connect = user.at(&node.api()).connect().await.unwrap();
    // Whichever node has the least to do.
    let mut endpoint = connect.endpoint;
    endpoint.websocket = format!("ws://{}/v1/websocket", node.http());
    let options = LinkOptions {
        transport: Transport::WebSocket,
        ..LinkOptions::default()
    };
    let link = RawConnection::open(&endpoint, &options).await.unwrap();
    (link, connect.connect_token)
}

/// A connection of the account to `node`.
async fn connected(user: &User, node: &TestServer) -> RawConnection {
    let (mut link, token) = knock(user, node).await;
    link.send(RawConnection::hello(token));
    let welcome = link.receive(ENDS_WITHIN).await.unwrap();
    assert!(matches!(welcome, ServerFrame::Welcome(_)), "{welcome:?}");
    link
}

async fn ends(mut link: RawConnection) {
    let bye = link.receive_bye(ENDS_WITHIN).await.unwrap();
    assert_eq!(bye.code, CloseCode::TOKEN_REFUSED);
}

#[tokio::test]
async fn two_three_and_twenty_tabs_that_renew_at_once_stay_one_chain() {
    let server = TestServer::start().await.unwrap();
    let api = server.api();
    let user = api.register(&NewAccount::named("Ana")).await.unwrap();
    let mut token = user.refresh_token().await;
    for count in [2, 3, 20] {
        let mut tabs = JoinSet::new();
        for _ in 0..count {
            let (api, token) = (api.clone(), token.clone());
            tabs.spawn(async move { renewed(&api, &token).await.refresh_token().await });
        }
        let tokens = tabs.join_all().await;
        assert!(tokens.iter().all(|it| *it == tokens[0]), "{count} tabs");
        token.clone_from(&tokens[0]);
    }
    renewed(&api, &token).await.me().await.unwrap();
}

/// `POST /v1/auth/refresh` as bytes.
fn refresh(token: &str) -> String {
    let body = format!(r#"{{"refresh_token":"{token}"}}"#);
    format!(
        "POST /v1/auth/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn responses_that_are_lost_cost_nobody_the_account() {
    let server = TestServer::start().await.unwrap();
    let api = server.api();
    let user = api.register(&NewAccount::named("Ana")).await.unwrap();
    let mut token = user.refresh_token().await;
    for round in 0..20_u64 {
        // Cut off before, while and after the server carries it out.
        for lost in 0..=round % 3 {
            let patience = Duration::from_micros(150 * (round + lost));
            post(server.http(), &refresh(&token), Some(patience)).await;
        }
        token = renewed(&api, &token).await.refresh_token().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thief_who_comes_within_seconds_is_found_and_everything_of_the_account_ends() {
    let server = TestServer::start().await.unwrap();
    let api = server.api();
    let user = api.register(&NewAccount::named("Ana")).await.unwrap();
    let first = user.refresh_token().await;
    let owner = renewed(&api, &first).await;
    let thief = renewed(&api, &first).await;
    let link = connected(&thief, &server).await;
    // The owner goes on; the thief was away meanwhile.
    let next = owner.refresh_token().await;
    let next = renewed(&api, &next).await.refresh_token().await;
    let newest = renewed(&api, &next).await;
    is_refused(&api, &thief.refresh_token().await).await;
    ends(link).await;
    for user in [owner, thief, newest] {
        assert_eq!(code(user.me().await), Some(ErrorCode::REFRESH_REFUSED));
        assert_eq!(code(user.connect().await), Some(ErrorCode::REFRESH_REFUSED));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thief_who_comes_after_nine_hours_is_found_and_everything_of_the_account_ends() {
    let mut server = TestServer::start().await.unwrap();
    let (first, owner) = renewed_twice(&server.api(), "Ana").await;
    server.stop().await.unwrap();
    server.restart_with(&["--clock-ahead", "9h"]).await.unwrap();
    let owner = renewed(&server.api(), &owner.refresh_token().await).await;
    let link = connected(&owner, &server).await;
    is_refused(&server.api(), &first).await;
    ends(link).await;
    assert_eq!(code(owner.me().await), Some(ErrorCode::REFRESH_REFUSED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_the_connection_on_another_node_and_not_the_partners() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [home, away] = &cluster.nodes;
    let [(ana, _ana_chat), (ben, ben_chat)] = matched_pair(away).await.unwrap();
    let first = ana.user.refresh_token().await;
    let second = renewed(&home.api(), &first).await.refresh_token().await;
    let third = renewed(&home.api(), &second).await;
    drop(ana);
    let link = connected(&third, away).await;
    is_refused(&home.api(), &first).await;
    ends(link).await;
    ben.user.me().await.unwrap();
    within("an ack", ben_chat.send("still here")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_ends_the_connections_of_the_last_device_or_of_all() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [home, away] = &cluster.nodes;
    for everywhere in [false, true] {
        let name = format!("Ana {everywhere}");
        let first = home.api().register(&NewAccount::named(name)).await.unwrap();
        let second = renewed(&home.api(), &first.refresh_token().await).await;
        let link = connected(&first, away).await;
        second.log_out(everywhere).await.unwrap();
        ends(link).await;
        second.log_out(everywhere).await.unwrap();
        for user in [first, second] {
            assert_eq!(code(user.me().await), Some(ErrorCode::REFRESH_REFUSED));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_code_takes_the_account_back_from_a_thief_and_the_chat_goes_on() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [home, away] = &cluster.nodes;
    let [(ana, ana_chat), (_ben, ben_chat)] = matched_pair(away).await.unwrap();
    let written = ana.user.make_recovery_code().await.unwrap();
    let stolen = ana.user.refresh_token().await;
    drop(ana);
    let thief = renewed(&away.api(), &stolen).await;
    let link = connected(&thief, away).await;
    let back = home.api().recover(&written.to_lowercase()).await.unwrap();
    assert_eq!(back.id(), thief.id());
    ends(link).await;
    assert_eq!(
        code(thief.connect().await),
        Some(ErrorCode::REFRESH_REFUSED)
    );
    let client = within(
        "connecting",
        Client::connect(&back, Transport::WebSocket.into()),
    );
    let client = client.await.unwrap();
    let chat = within("the chat", client.chat()).await.unwrap().unwrap();
    assert_eq!(chat.id(), ana_chat.id());
    within("an ack", chat.send("it is me again")).await.unwrap();
    let heard = eventually("the message", || async {
        let view = ben_chat.view().await.unwrap();
        (view.messages.len() == 1).then_some(())
    });
    heard.await;
}

#[tokio::test]
async fn a_recovery_code_that_was_removed_lets_nobody_in_and_logs_nobody_out() {
    let server = TestServer::start().await.unwrap();
    let api = server.api();
    let user = api.register(&NewAccount::named("Ana")).await.unwrap();
    let removed = user.make_recovery_code().await.unwrap();
    // Also when there is none left.
    for _ in 0..2 {
        user.remove_recovery_code().await.unwrap();
    }
    let refused = api.recover(&removed).await;
    assert_eq!(code(refused), Some(ErrorCode::REFRESH_REFUSED));
    let kept = user.make_recovery_code().await.unwrap();
    assert_eq!(api.recover(&kept).await.unwrap().id(), user.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_at_the_moment_of_a_revocation_give_nothing_that_counts() {
    let server = TestServer::start().await.unwrap();
    let api = server.api();
    let mut given = 0;
    for number in 0..20 {
        let (first, owner) = renewed_twice(&api, &format!("Ana {number}")).await;
        let newest = owner.refresh_token().await;
        let mut tabs = JoinSet::new();
        for tab in 0..8 {
            let token = if tab == number % 8 { &first } else { &newest };
            let (api, token) = (api.clone(), token.clone());
            tabs.spawn(async move { api.user(&token).await });
        }
        for user in tabs.join_all().await.into_iter().flatten() {
            given += 1;
            assert_eq!(code(user.me().await), Some(ErrorCode::REFRESH_REFUSED));
        }
    }
    assert!(given > 0, "no renewal came before a revocation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signing_key_is_replaced_by_command_and_nobody_is_logged_out() {
    let mut server = TestServer::start().await.unwrap();
    let user = server.api().register(&NewAccount::named("Ana")).await;
    let user = user.unwrap();
    let data = server.data().to_string_lossy().into_owned();
    let rotate = || async {
        let mut command = tokio::process::Command::new(e2e::binary().unwrap());
        command.args(["rotate-keys", "--data", &data]);
        let output = within("the command ends", command.output()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let before = std::fs::read_to_string(server.data().join("signing-keys.json")).unwrap();
    assert!(rotate().await.starts_with("a new signing key is stored"));
    assert!(rotate().await.starts_with("nothing was changed"));
    let after = std::fs::read_to_string(server.data().join("signing-keys.json")).unwrap();
    assert_eq!(
        after.matches("seed").count(),
        before.matches("seed").count() + 1
    );
    user.me().await.unwrap();
    // The new key signs, and the token of the old one is still good.
    server.stop().await.unwrap();
    server.restart_with(&["--clock-ahead", "6m"]).await.unwrap();
    let user = user.at(&server.api());
    user.me().await.unwrap();
    renewed(&server.api(), &user.refresh_token().await).await;
}

/// Somebody brings an old token to `home` while a connection of the account gets in at `door`.
async fn revocation(number: usize, home: &TestServer, door: &TestServer) {
    let api = home.api();
    let (first, user) = renewed_twice(&api, &format!("Mallory {number}")).await;
    let (link, token) = knock(&user, door).await;
    let revoke = async {
        for _ in 0..number % 8 {
            api.categories().await.unwrap();
        }
        is_refused(&api, &first).await;
    };
    let ((), end) = tokio::join!(revoke, get_in(link, token));
    let code = end.map(|bye| bye.code);
    assert_eq!(code, Some(CloseCode::TOKEN_REFUSED), "try {number}");
}

async fn revoke_and_get_in(home: &TestServer, door: &TestServer) {
    for number in (0..TRIES).step_by(4) {
        let run = |more| revocation(number + more, home, door);
        tokio::join!(run(0), run(1), run(2), run(3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_in_while_the_tokens_are_revoked_is_sent_away() {
    let server = TestServer::start().await.unwrap();
    revoke_and_get_in(&server, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_in_by_another_node_while_the_tokens_are_revoked_is_sent_away() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [home, door] = &cluster.nodes;
    revoke_and_get_in(home, door).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_accounts_that_are_erased_while_they_connect_none_stays() {
    let server = TestServer::start_with(ServerOptions::default())
        .await
        .unwrap();
    for number in (0..ERASURES).step_by(4) {
        let run = |more| race(number + more, &server, &server);
        tokio::join!(run(0), run(1), run(2), run(3));
    }
}
