//! Accounts in use: no request that is lost or repeated costs anybody the account or the name, and
//! who is here is not idle.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{net::SocketAddr, time::Duration};

use e2e::{Person, ServerOptions, TestServer, eventually, matched_pair, within};
use nowrong_client::{ConnectOptions, NewAccount, Transport};
use nowrong_protocol::ErrorCode;
use services::{
    mongodb::ReplicaSet,
    shared::{Setting, find},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

/// How long an unused account lives here.
const IDLE: &str = "account_idle=3s";

/// How long people stay: several times as long.
const STAY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_talks_or_is_only_connected_keeps_account_and_name_on_the_embedded_store() {
    who_is_here_is_not_idle(&["--set", IDLE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_talks_or_is_only_connected_keeps_account_and_name_on_mongodb() {
    let url = find(Setting::Mongodb).unwrap();
    let store = url.replace("/?", &format!("/e2e_{:016x}?", rand::random::<u64>()));
    who_is_here_is_not_idle(&["--set", IDLE, "--store", &store]).await;
}

async fn who_is_here_is_not_idle(flags: &[&str]) {
    let server = TestServer::start_with(ServerOptions::flags(flags))
        .await
        .unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    let silent = ConnectOptions::from(Transport::WebSocket);
    let cem = Person::arrive(&server, "Cem", silent).await.unwrap();
    let idle = server.api().register(&NewAccount::named("Dov")).await;
    let idle = idle.unwrap();

    let until = Instant::now() + STAY;
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    while Instant::now() < until {
        ticks.tick().await;
        within("an ack", ana_chat.send("still here")).await.unwrap();
        within("an ack", ben_chat.send("so am I")).await.unwrap();
        ana.user.me().await.unwrap();
        ben.user.me().await.unwrap();
    }

    // Each name is still theirs, and so is the way back in.
    for person in [&ana, &ben, &cem] {
        let name = person.user.account().name.clone();
        let taken = server.api().register(&NewAccount::named(name)).await;
        assert_eq!(taken.unwrap_err().code(), Some(ErrorCode::NAME_TAKEN));
        let token = person.user.refresh_token().await;
        let same = server.api().user(&token).await.unwrap();
        assert_eq!(same.id(), person.user.id());
    }
    cem.client.join("music", &[]).await.unwrap();
    ana_chat.leave().await.unwrap();
    ana.client.join("art", &[]).await.unwrap();
    // Who was not here is gone, and the name rests.
    let gone = idle.me().await.unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::REFRESH_REFUSED));
    let taken = server.api().register(&NewAccount::named("Dov")).await;
    assert_eq!(taken.unwrap_err().code(), Some(ErrorCode::NAME_TAKEN));
}

/// A name that looks like no other: its letters are `a` to `h`.
fn numbered(name: &str, number: u8) -> String {
    let letter = |index: u8| char::from(b'a' + index);
    format!("{name}{}{}", letter(number / 8), letter(number % 8))
}

/// `POST /v1/users` as bytes.
fn registration(name: &str) -> String {
    let body = format!(r#"{{"name":"{name}","language":"en","age_bracket":"18+"}}"#);
    format!(
        "POST /v1/users HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         idempotency-key: the-key-of-{name}-1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends the request; waits for the response or closes the connection after `patience`.
pub(super) async fn post(server: SocketAddr, request: &str, patience: Option<Duration>) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => {
            let read = stream.read_to_string(&mut answer);
            within("a response", read).await.unwrap();
        }
    }
    answer
}

#[tokio::test]
async fn a_registration_that_is_cut_off_can_be_sent_again() {
    let server = TestServer::start().await.unwrap();
    let mut made = 0;
    for number in 0..20_u8 {
        let name = numbered("Robin", number);
        let request = registration(&name);
        // Cut off before, while and after the server carries it out.
        let patience = Duration::from_micros(200 * u64::from(number));
        post(server.http(), &request, Some(patience)).await;
        let again = eventually("the account", || async {
            let again = post(server.http(), &request, None).await;
            again.starts_with("HTTP/1.1 201").then_some(again)
        });
        assert!(again.await.contains("refresh_token"));
        made += 1;
        let other = request.replace("the-key", "a-key");
        let taken = post(server.http(), &other, None).await;
        assert!(taken.starts_with("HTTP/1.1 409"), "{taken}");
    }
    assert_eq!(made, 20);
}

/// Sends the registration until its outcome is known; returns how often that was.
async fn register_patiently(server: SocketAddr, name: String) -> usize {
    let request = registration(&name);
    let mut count = 0;
    loop {
        count += 1;
        let answer = post(server, &request, None).await;
        match &answer[..12] {
            "HTTP/1.1 201" => return count,
            "HTTP/1.1 503" => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => panic!("{name}: {answer}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_while_mongodb_dies_cost_nobody_the_name() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut set = ReplicaSet::start(program.as_ref(), folder.path(), 1, &[]).unwrap();
    let flags = ["--store", &set.url(), "--set", "mongodb.timeout=2s"];
    let server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for number in 0..60_u8 {
        ticks.tick().await;
        let name = numbered("Kim", number);
        tasks.spawn(register_patiently(server.http(), name));
        if number == 30 {
            set.members[0].kill().unwrap();
        }
    }
    set.members[0].restart().unwrap();
    let mut repeated = 0;
    while let Some(count) = within("a registration", tasks.join_next()).await {
        repeated += usize::from(count.unwrap() > 1);
    }
    assert!(repeated > 20, "{repeated} met the outage");
}

#[tokio::test]
async fn tabs_that_renew_at_once_and_lost_responses_cost_nobody_the_account() {
    let server = TestServer::start().await.unwrap();
    let api = server.api();
    let user = api.register(&NewAccount::named("Ana")).await.unwrap();
    let token = user.refresh_token().await;
    let (mut tabs, mut tasks) = (Vec::new(), JoinSet::new());
    for _ in 0..6 {
        let (api, token) = (api.clone(), token.clone());
        tasks.spawn(async move { api.user(&token).await });
    }
    while let Some(tab) = tasks.join_next().await {
        tabs.push(tab.unwrap().unwrap());
    }
    // A response that never arrived, and then each tab by itself.
    drop(api.user(&token).await.unwrap());
    for tab in tabs {
        let own = tab.refresh_token().await;
        let next = api.user(&own).await.unwrap();
        assert_eq!(next.id(), user.id());
    }
    let stolen = api.user(&token).await.unwrap_err();
    assert_eq!(stolen.code(), Some(ErrorCode::REFRESH_REFUSED));
}
