//! One node on MongoDB: G1 over its own death and over the server's, and the sentences of a store
//! that will not do.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
};

use e2e::{Person, ServerOptions, TestServer, eventually, matched_pair, within};
use nowrong_client::{Chat, ChatEvent, Outgoing, Transport};
use nowrong_protocol::{
    ClientMessageId, ErrorCode, Position,
    frame::{Body, EndReason},
};
use services::{
    CLUSTER_SECRET_ENV,
    mongodb::ReplicaSet,
    shared::{Setting, find},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A connection string of a new database on the shared server.
fn new_database() -> String {
    let url = find(Setting::Mongodb).unwrap();
    url.replace("/?", &format!("/e2e_{:016x}?", rand::random::<u64>()))
}

async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(e2e::binary().unwrap());
    command.args(arguments).stdin(Stdio::null());
    command.envs([CLUSTER_SECRET_ENV]);
    within("the command ends", command.output()).await.unwrap()
}

/// Waits until the chat holds exactly these texts, in order.
async fn holds(chat: &Chat, expected: &[(Position, String)]) {
    let what = format!("{} messages", expected.len());
    eventually(&what, || async {
        let view = chat.view().await.unwrap();
        let held = view.messages.iter().map(|message| match &message.body {
            Body::Text(text) => (message.position.seq, text.clone()),
            other => panic!("not a text: {other:?}"),
        });
        let expected = expected.iter().map(|(at, text)| (at.seq, text.clone()));
        held.eq(expected).then_some(())
    })
    .await;
}

/// What `/readyz` returns; `Err` unless it is 200.
async fn ready(server: SocketAddr) -> Result<(), String> {
    let answer = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = within("an answer of /readyz", answer).await.unwrap();
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(answer),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_on_mongodb_acked_messages_survive_the_death_of_the_node_and_of_the_server() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut set = ReplicaSet::start(program.as_ref(), folder.path(), 1, &[]).unwrap();
    let flags = ["--store", &set.url(), "--set", "mongodb.timeout=3s"];
    let mut server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    let mut acked = Vec::new();
    for text in ["one", "two", "three"] {
        let sent = within("an ack", ana_chat.send(text)).await.unwrap();
        acked.push((sent.position, text.to_owned()));
    }

    server.kill().await.unwrap();
    server.restart().await.unwrap();
    for person in [&ana, &ben] {
        within("coming back", person.client.opened()).await.unwrap();
    }
    let sent = within("an ack", ben_chat.send("four")).await.unwrap();
    acked.push((sent.position, "four".to_owned()));
    holds(&ana_chat, &acked).await;
    holds(&ben_chat, &acked).await;

    set.members[0].kill().unwrap();
    let ready = || ready(server.http());
    let said = eventually("not ready", || async { ready().await.err() }).await;
    assert!(
        said.contains("503") && said.contains("The store cannot"),
        "{said}"
    );
    let late = Outgoing {
        client_message_id: Some(ClientMessageId::from_bytes(rand::random())),
        reply_to: None,
        body: Body::Text("late".to_owned()),
    };
    let sending = tokio::spawn({
        let ana_chat = ana_chat.clone();
        async move { ana_chat.send(late).await }
    });
    let mut held = acked.clone();
    held.push((Position::new(2, 5), "late".to_owned()));
    holds(&ben_chat, &held).await;
    assert!(!sending.is_finished(), "he sees it, and she waits");

    set.members[0].restart().unwrap();
    eventually("ready again", || async { ready().await.ok() }).await;
    let sent = within("an ack", sending).await.unwrap().unwrap();
    acked.push((sent.position, "late".to_owned()));
    let sent = within("an ack", ben_chat.send("last")).await.unwrap();
    acked.push((sent.position, "last".to_owned()));
    holds(&ana_chat, &acked).await;
    holds(&ben_chat, &acked).await;
    assert!(
        server.log().contains("the store"),
        "the log says what was down"
    );
}

/// The person is in no chat: another one meets them.
async fn is_matched_again(server: &TestServer, person: &Person) {
    let joined = within("the queue", person.client.join("music", &[])).await;
    let cara = Person::arrive(server, "Cara", Transport::WebSocket.into()).await;
    let cara = cara.unwrap();
    let mut waiting = within("the queue", cara.client.join("music", &[]))
        .await
        .unwrap();
    let met = within("a match", waiting.matched()).await.unwrap();
    let also = within("a match", joined.unwrap().matched()).await.unwrap();
    assert_eq!(also.id(), met.id());
}

/// Waits until the chat ends; returns why.
async fn end_of(chat: &mut Chat) -> EndReason {
    let ended = async {
        loop {
            let event = chat.next_event().await.expect("the client is open");
            if let ChatEvent::Ended { reason, .. } = event {
                return reason;
            }
        }
    };
    within("the end of the chat", ended).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_message_in_a_chat_without_its_key_is_not_acked_and_the_chat_ends_for_both() {
    let store = new_database();
    let flags = ["--store", &store];
    let server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [(ana, mut ana_chat), (_ben, mut ben_chat)] = matched_pair(&server).await.unwrap();
    within("an ack", ana_chat.send("one")).await.unwrap();
    nowrong_store_mongodb::testing::shred(&store, ana_chat.id()).await;
    let refused = within("a refusal", ana_chat.send("two")).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::CHAT_ENDED));
    for chat in [&mut ana_chat, &mut ben_chat] {
        assert_eq!(end_of(chat).await, EndReason::Expired);
    }
    let said = "the store has erased a chat";
    eventually("a line in the log", || async {
        server.log().contains(said).then_some(())
    })
    .await;
    let texts = ["one", "two"].map(|text| server.log().contains(&format!("\"{text}\"")));
    assert_eq!(texts, [false, false], "no text is logged");
    is_matched_again(&server, &ana).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_lost_its_key_while_the_node_was_down_keeps_nobody() {
    let store = new_database();
    let flags = ["--store", &store];
    let mut server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [(ana, ana_chat), (ben, _ben_chat)] = matched_pair(&server).await.unwrap();
    within("an ack", ana_chat.send("one")).await.unwrap();
    server.kill().await.unwrap();
    nowrong_store_mongodb::testing::shred(&store, ana_chat.id()).await;
    server.restart().await.unwrap();
    for person in [&ana, &ben] {
        within("coming back", person.client.opened()).await.unwrap();
    }
    is_matched_again(&server, &ana).await;
}

#[tokio::test]
async fn a_store_that_will_not_do_is_one_sentence_without_the_password() {
    let shared = find(Setting::Mongodb).unwrap();
    let wrong = shared.replace("mongodb://", "mongodb://me:secretword@");
    let nowhere = format!(
        "mongodb://me:secretword@127.0.0.1:{}/",
        services::free_port().unwrap()
    );
    let new = new_database();
    let cases: [(&[&str], &str); 4] = [
        (&["--store", &nowhere], "no MongoDB primary answers"),
        (&["--store", &wrong], "refuses the user name or password"),
        (
            &["--store", "mongodb://me:secret@word@h"],
            "`store` must be",
        ),
        (
            &["--store", &new, "--set", "migrate_at_start=false"],
            "nowrong migrate up",
        ),
    ];
    for (flags, named) in cases {
        let common = ["serve", "--data", "memory", "--set", "mongodb.timeout=3s"];
        let arguments: Vec<_> = common.iter().chain(flags).copied().collect();
        let begun = std::time::Instant::now();
        let output = run(&arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(begun.elapsed().as_secs() < 10, "{flags:?}");
        assert!(!output.status.success(), "{flags:?}");
        assert!(said.contains(named) && said.contains("`store`"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let output = run(&["config", "--store", &wrong]).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("# store = \"<redacted>\""), "{printed}");
    assert!(!printed.contains("secretword"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_secret_or_with_another_one_says_so_in_one_sentence() {
    let store = new_database();
    let flags = ["--store", &store];
    let _first = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    for (secret, named) in [
        ("", "must be set when `store` is MongoDB"),
        ("short", "must have at least 32 characters"),
        (
            "another secret of more than 32 characters",
            "is not the one with which the database in `store` was begun",
        ),
    ] {
        let secret_flag = format!("cluster_secret={secret}");
        let any = ["--listen-http", "127.0.0.1:0", "--listen-quic", "off"];
        let common = ["serve", "--data", "memory", "--set", &secret_flag];
        let arguments = [&common[..], &any, &flags].concat();
        let output = run(&arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{secret}");
        assert!(said.contains(named), "{said}");
        assert!(said.contains("`cluster_secret`"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(secret.is_empty() || !said.contains(secret), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_folder_begins_again_without_what_it_can_no_longer_read() {
    let store = new_database();
    let flags = ["--store", &store];
    let mut server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [(ana, ana_chat), _ben] = matched_pair(&server).await.unwrap();
    within("an ack", ana_chat.send("one")).await.unwrap();
    server.kill().await.unwrap();
    std::fs::remove_file(server.data().join("day-keys")).unwrap();
    server.restart().await.unwrap();
    assert!(ana.user.me().await.is_err(), "nobody can read her account");
    let dora = Person::arrive(&server, "Dora", Transport::WebSocket.into()).await;
    is_matched_again(&server, &dora.unwrap()).await;
}

#[tokio::test]
async fn migrations_go_forward_and_back_by_command() {
    let store = new_database();
    let migrate = async |action: &str| {
        let output = run(&["migrate", action, "--store", &store]).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let none = "1 collections: pending\n2 expiry: pending\n3 sharding: only for sharded clusters\n\
                4 spent tickets: pending\n5 wrapped people: pending\n6 tokens of accounts: pending\n";
    assert_eq!(migrate("status").await, none);
    let all = none.replace("pending", "done");
    assert_eq!(migrate("up").await, all);
    let mut left = all;
    for undone in [
        "tokens of accounts",
        "wrapped people",
        "spent tickets",
        "expiry",
        "collections",
    ] {
        left = left.replace(&format!("{undone}: done"), &format!("{undone}: pending"));
        assert_eq!(migrate("down").await, left);
    }
    assert_eq!(left, none);
    assert_eq!(migrate("down").await, none);
    let output = run(&["migrate", "status"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("`store` is embedded"),
        "{said}"
    );
}
