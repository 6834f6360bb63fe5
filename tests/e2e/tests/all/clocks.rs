//! Machines whose clocks are wrong: they harm nobody.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use e2e::{Cluster, PATIENCE, ServerOptions, TestServer, eventually, matched_pair, within};
use nowrong_client::{LinkOptions, NewAccount, RawConnection, Transport, User};
use nowrong_protocol::{ServerFrame, frame::Body};
use tempfile::TempDir;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The exit code of a node that stands aside.
const STOOD_ASIDE: i32 = 75;

/// A machine's clock that a test makes wrong at any time.
struct WrongClock {
    path: PathBuf,
    _folder: TempDir,
}

impl WrongClock {
    fn right() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let clock = Self {
            path,
            _folder: folder,
        };
        clock.jump(0);
        clock
    }

    fn flag(&self) -> String {
        format!("@{}", self.path.display())
    }

    /// In one step, so that no node reads half a number.
    fn set(&self, text: &str) {
        let next = self.path.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &self.path).unwrap();
    }

    fn jump(&self, ahead_ms: i64) {
        self.set(&ahead_ms.to_string());
    }
}

/// What a start says that ends by itself.
async fn refused(flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let any = ["--listen-http", "127.0.0.1:0", "--listen-quic", "off"];
    let mut command = tokio::process::Command::new(e2e::binary().unwrap());
    command.env_remove("NOWRONG_BIN").arg("serve").args(any);
    command.arg("--data").arg(folder.path()).args(flags);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.envs([services::CLUSTER_SECRET_ENV]);
    within("the start ends", command.output()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn register(node: &TestServer, name: &str) -> User {
    let user = node.api().register(&NewAccount::named(name)).await;
    user.unwrap()
}

/// Connects to `node` with a token that the user's own node has issued.
async fn connect(user: &User, node: &TestServer) -> ServerFrame {
    let connect = user.connect().await.unwrap();
    let mut endpoint = connect.endpoint;
    endpoint.websocket = format!("ws://{}/v1/websocket", node.http());
    let options = LinkOptions {
        transport: Transport::WebSocket,
        ..LinkOptions::default()
    };
    let mut connection = RawConnection::open(&endpoint, &options).await.unwrap();
    connection.send(RawConnection::hello(connect.connect_token));
    connection.receive(PATIENCE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_a_day_off_does_not_start_and_erases_nobody() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [first, _] = &cluster.nodes;
    let [(ana, chat), (ben, _ben_chat)] = matched_pair(first).await.unwrap();
    within("an ack", chat.send("hello")).await.unwrap();
    let behind = WrongClock::right();
    behind.jump(-25 * DAY_MS / 24);
    for wrong in ["25h".to_owned(), "61s".to_owned(), behind.flag()] {
        let mut flags: Vec<&str> = cluster.flags.iter().map(String::as_str).collect();
        flags.extend(["--clock-ahead", &wrong]);
        let output = refused(&flags).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(STOOD_ASIDE), "{wrong}: {said}");
        for part in ["`store`", "`clock.off_max`", "NTP"] {
            assert!(said.contains(part), "{wrong}: {said}");
        }
    }
    for person in [&ana, &ben] {
        person.user.me().await.unwrap();
    }
    within("an ack", chat.send("still here")).await.unwrap();
    let texts = chat.history(None, 10).await.unwrap().messages;
    assert_eq!(texts.len(), 2, "nothing is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_45_seconds_off_is_said_and_changes_nothing() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [right, _] = &cluster.nodes;
    let mut flags: Vec<&str> = cluster.flags.iter().map(String::as_str).collect();
    flags.extend(["--clock-ahead", "45s"]);
    let fast = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let log = fast.log();
    assert!(
        log.contains("WARN") && log.contains("NTP"),
        "it says so: {log}"
    );
    let (ana, ben) = (register(right, "Ana").await, register(&fast, "Ben").await);
    // Each call takes from the limits of the network, which is the same for both: what the one node
    // takes must leave the rest for the other.
    for _ in 0..3 {
        for (user, node) in [(&ana, &fast), (&ben, right)] {
            let frame = connect(user, node).await;
            assert!(matches!(frame, ServerFrame::Welcome(_)), "{frame:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_jumps_leaves_the_cluster_and_its_people_go_on() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [right, _] = &cluster.nodes;
    let clock = WrongClock::right();
    let flag = clock.flag();
    let mut flags: Vec<&str> = cluster.flags.iter().map(String::as_str).collect();
    flags.extend(["--clock-ahead", &flag, "--set", "drain=2s"]);
    let mut jumpy = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(right).await.unwrap();
    for (number, ahead_ms) in [25 * DAY_MS / 24, -25 * DAY_MS / 24]
        .into_iter()
        .enumerate()
    {
        clock.jump(ahead_ms);
        let status = jumpy.ended().await.unwrap();
        assert_eq!(status.code(), Some(STOOD_ASIDE));
        let log = jumpy.log();
        assert!(log.contains("leaves the cluster"), "{log}");
        clock.jump(0);
        jumpy.restart().await.unwrap();
        let text = format!("after jump {number}");
        within("an ack", ana_chat.send(text.as_str()))
            .await
            .unwrap();
    }
    for person in [&ana, &ben] {
        person.user.me().await.unwrap();
    }
    eventually("both messages", || async {
        let view = ben_chat.view().await.unwrap();
        let texts = view.messages.iter().filter(
            |message| matches!(&message.body, Body::Text(text) if text.starts_with("after")),
        );
        (texts.count() == 2).then_some(())
    })
    .await;
}

/// Waits until the node has said so for the `times`th time.
async fn has_noticed(server: &TestServer, words: &str, times: usize) {
    let noticed = || async { (server.log().matches(words).count() >= times).then_some(()) };
    eventually(words, noticed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_single_node_a_jump_ends_no_chat_erases_nothing_and_uses_up_no_limit() {
    let clock = WrongClock::right();
    let flags = ["--clock-ahead", &clock.flag()];
    let server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    for (ahead_ms, times) in [(DAY_MS + 60_000, 1), (-2 * DAY_MS, 2)] {
        clock.jump(ahead_ms);
        has_noticed(&server, "the clock of this machine was set", times).await;
        within("an ack", ana_chat.send("hello")).await.unwrap();
        within("an ack", ben_chat.send("hello too")).await.unwrap();
        for person in [&ana, &ben] {
            person.user.me().await.unwrap();
            person.user.connect().await.unwrap();
        }
    }
    // It stands still.
    clock.set("=1800000000000");
    ana_chat.send("and again").await.unwrap();
    assert_eq!(ben_chat.history(None, 10).await.unwrap().messages.len(), 5);
}

fn keys(server: &TestServer) -> Vec<u8> {
    let path: &Path = &server.data().join("keys.bin");
    std::fs::read(path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_that_starts_with_a_wrong_clock_erases_nothing_before_the_hold_is_over() {
    let mut server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (ben, _)] = matched_pair(&server).await.unwrap();
    ana_chat.send("hello").await.unwrap();
    server.stop().await.unwrap();
    let before = keys(&server);
    server
        .restart_with(&["--clock-ahead", "8760h"])
        .await
        .unwrap();
    has_noticed(&server, "nothing is erased before that", 1).await;
    ana.user.me().await.unwrap_err();
    server.stop().await.unwrap();
    assert_eq!(keys(&server), before, "every key is there");
    server.restart().await.unwrap();
    for person in [&ana, &ben] {
        person.user.me().await.unwrap();
    }
}
