//! What an operator does, and what happens around a node: logs that cannot be written, signals, the
//! variables of an orchestrator, files that change.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
};

use e2e::{
    Cluster, PATIENCE, Person, ServerOptions, Stderr, TestServer, eventually, matched_pair, within,
};
use nowrong_client::{ConnectOptions, Error, LinkOptions, NewAccount, RawConnection, Transport};
use nowrong_protocol::{ErrorCode, ServerFrame};

use super::wire;

/// The response to `GET path`, head and body.
async fn get(server: SocketAddr, path: &str) -> String {
    wire::ask("127.0.0.1", server, &wire::get(path, "")).await
}

fn command(arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(e2e::binary().unwrap());
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("NOWRONG_BIN");
    command
}

async fn output(mut command: tokio::process::Command) -> Output {
    within("the command ends", command.output()).await.unwrap()
}

async fn logged(server: &TestServer, text: &str) {
    let what = format!("{text:?} in the log");
    eventually(&what, || async {
        server.log().contains(text).then_some(())
    })
    .await;
}

/// Somebody who is connected over a WebSocket and hears every frame.
async fn listener(server: &TestServer) -> RawConnection {
    let user = server.api().register(&NewAccount::named("Kim")).await;
    let connect = user.unwrap().connect().await.unwrap();
    let options = LinkOptions {
        transport: Transport::WebSocket,
        ..LinkOptions::default()
    };
    let opened = RawConnection::open(&connect.endpoint, &options).await;
    let mut connection = opened.unwrap();
    connection.send(RawConnection::hello(connect.connect_token));
    hears(&mut connection, |frame| {
        matches!(frame, ServerFrame::Welcome(_))
    })
    .await;
    connection
}

async fn hears(connection: &mut RawConnection, is_it: impl Fn(&ServerFrame) -> bool) {
    while !is_it(&connection.receive(PATIENCE).await.unwrap()) {}
}

#[tokio::test]
async fn a_log_that_cannot_be_written_changes_nothing() {
    for stderr in [Stderr::FullDevice, Stderr::BrokenPipe] {
        let options = ServerOptions {
            stderr,
            ..ServerOptions::default()
        };
        let mut server = TestServer::start_with(options).await.unwrap();
        let mut kim = listener(&server).await;
        let [(_ana, ana_chat), (_ben, _ben_chat)] = matched_pair(&server).await.unwrap();
        within("an ack", ana_chat.send("hello")).await.unwrap();
        server.terminate().await.unwrap();
        hears(&mut kim, |frame| matches!(frame, ServerFrame::GoAway(_))).await;
        hears(&mut kim, |frame| matches!(frame, ServerFrame::Bye(_))).await;
        let status = server.ended().await.unwrap();
        assert!(status.success(), "{stderr:?}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_lost_log_a_node_survives_the_loss_of_its_redis() {
    let mut cluster = Cluster::start_with(ServerOptions {
        stderr: Stderr::FullDevice,
        ..ServerOptions::default()
    })
    .await
    .unwrap();
    cluster.redis.kill().unwrap();
    let node = cluster.nodes[0].http();
    eventually("not ready", || async {
        get(node, "/readyz").await.contains("503").then_some(())
    })
    .await;
    cluster.redis.restart().unwrap();
    eventually("ready", || async {
        get(node, "/readyz").await.contains("200 OK").then_some(())
    })
    .await;
    let api = cluster.nodes[0].api();
    api.register(&NewAccount::named("Ana")).await.unwrap();
}

#[tokio::test]
async fn signals_that_mean_nothing_end_nothing_and_sighup_reads_again() {
    let mut server = TestServer::start().await.unwrap();
    let mut kim = listener(&server).await;
    for signal in ["-USR1", "-USR2", "-HUP", "-HUP"] {
        server.signal(signal).await.unwrap();
    }
    logged(&server, "SIGHUP: certificate and log level were read again").await;
    within("a match", matched_pair(&server)).await.unwrap();
    server.terminate().await.unwrap();
    hears(&mut kim, |frame| matches!(frame, ServerFrame::GoAway(_))).await;
    assert!(server.ended().await.unwrap().success());
}

#[tokio::test]
async fn the_log_says_what_runs_where_without_colours() {
    let server = TestServer::start().await.unwrap();
    logged(&server, "started").await;
    let log = server.log();
    let line = log.lines().find(|line| line.contains("started")).unwrap();
    for part in [
        "role=\"all\"",
        "embedded in",
        "broker=\"local\"",
        "http=127.0.0.1:",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!log.contains('\x1b'), "{log}");
    assert!(
        !log.contains("WARN"),
        "a start without arguments is fine: {log}"
    );
}

#[tokio::test]
async fn a_command_whose_output_cannot_be_written_ends_quietly_or_with_a_sentence() {
    for arguments in [&["config"][..], &["openapi"]] {
        let mut full = command(arguments);
        let device = std::fs::File::options().write(true).open("/dev/full");
        full.stdout(device.unwrap()).stderr(Stdio::piped());
        let full = within("the end", full.spawn().unwrap().wait_with_output());
        let full = full.await.unwrap();
        let said = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("No space left on device"), "{said}");

        let mut broken = command(arguments);
        broken
            .stdout(std::io::pipe().unwrap().1)
            .stderr(Stdio::piped());
        let broken = within("the end", broken.spawn().unwrap().wait_with_output());
        let broken = broken.await.unwrap();
        assert_eq!(broken.status.code(), Some(1), "{arguments:?}");
        assert_eq!(String::from_utf8(broken.stderr).unwrap(), "");
    }
}

#[tokio::test]
async fn the_variables_of_an_orchestrator_are_warnings() {
    let mut config = command(&["config"]);
    config
        .env("NOWRONG_SERVICE_HOST", "10.96.0.10")
        .env("NOWRONG_PORT", "tcp://10.96.0.10:8080")
        .env("NOWRONG_STORE", "")
        .env("NOWRONG_DRIAN", "s3cret")
        .env("PORT", "3000");
    let config = output(config).await;
    let said = String::from_utf8(config.stderr).unwrap();
    assert!(config.status.success(), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("did you mean NOWRONG_DRAIN?"), "{said}");
    assert!(
        said.contains("NOWRONG_PORT, NOWRONG_SERVICE_HOST"),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
    let printed = String::from_utf8(config.stdout).unwrap();
    let line = "listen_http = \"0.0.0.0:3000\"  # environment PORT";
    assert!(printed.contains(line), "{printed}");
}

#[tokio::test]
async fn an_address_that_only_this_machine_can_use_is_said() {
    let flags = ["--origin", "https://chat.example"];
    let server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    logged(&server, "pages of https://chat.example").await;
}

/// Writes a file of categories with these ids.
fn categories(folder: &Path, name: &str, ids: &[&str]) -> String {
    let entry =
        |id: &&str| format!("[[category]]\nid='{id}'\ntitle='A'\ndescription='B'\nemoji='🎵'\n");
    let path = folder.join(name);
    std::fs::write(&path, ids.iter().map(entry).collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn listed(server: &TestServer) -> Vec<String> {
    let list = server.api().categories().await.unwrap();
    list.into_iter().map(|category| category.id).collect()
}

#[tokio::test]
async fn the_file_of_categories_counts_at_each_start_until_one_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name, ids: &[&str]| categories(folder.path(), name, ids);
    let set = |path: &str| format!("categories={path}");
    let first = set(&file("first", &["music", "old"]));
    let second = set(&file("second", &["music", "new"]));
    let flags = ["--set", &first];
    let mut server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    assert_eq!(listed(&server).await, ["music", "old"]);
    server.stop().await.unwrap();
    server.restart_with(&["--set", &second]).await.unwrap();
    assert_eq!(listed(&server).await, ["music", "new"]);
    logged(&server, "new: new; gone: old").await;
    server.stop().await.unwrap();

    let (data, third) = (server.data(), file("third", &["theirs"]));
    let data = data.to_str().unwrap();
    let imported = output(command(&["categories", "import", &third, "--data", data])).await;
    assert!(imported.status.success(), "{imported:?}");
    let shown = output(command(&["categories", "--data", data])).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("id = \"theirs\""), "{shown}");
    server.restart_with(&["--set", &second]).await.unwrap();
    assert_eq!(listed(&server).await, ["theirs"]);
    logged(
        &server,
        "the file differs from the categories in the database",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_a_category_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let old = categories(folder.path(), "old", &["music", "old"]);
    let new = categories(folder.path(), "new", &["music"]);
    let flags = ["--set", &format!("categories={old}"), "--set", "drain=2s"];
    let mut cluster = Cluster::start(&flags).await.unwrap();
    cluster.nodes[1].stop().await.unwrap();
    let ana = Person::arrive(&cluster.nodes[0], "Ana", ConnectOptions::default());
    let ana = ana.await.unwrap();
    let mut ticket = ana.client.join("old", &[]).await.unwrap();
    let new = format!("categories={new}");
    cluster.nodes[1]
        .restart_with(&["--set", &new])
        .await
        .unwrap();
    cluster.nodes[0].stop().await.unwrap();
    let Err(error) = within("the end of the ticket", ticket.matched()).await else {
        panic!("nobody else waits");
    };
    match error {
        Error::Refused { code, .. } => assert_eq!(code, ErrorCode::CATEGORY_UNKNOWN),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_refuses_writes_is_not_ready() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let node = cluster.nodes[0].http();
    let limit = |bytes| cluster.redis.ask(&["CONFIG", "SET", "maxmemory", bytes]);
    limit("1").unwrap();
    let said = eventually("not ready", || async {
        let answer = get(node, "/readyz").await;
        answer.starts_with("HTTP/1.1 503").then_some(answer)
    })
    .await;
    assert!(said.contains("The broker cannot be written to."), "{said}");
    limit("0").unwrap();
    eventually("ready", || async {
        get(node, "/readyz").await.contains("200 OK").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_with_one_address_say_so() {
    let url = "public_url.websocket=ws://127.0.0.1:9/v1/websocket";
    let cluster = Cluster::start(&["--set", url]).await.unwrap();
    for node in &cluster.nodes {
        logged(
            node,
            "another node tells its clients an address of this node",
        )
        .await;
    }
}

#[tokio::test]
async fn a_data_folder_that_goes_away_under_a_running_node_is_noticed_and_said_once() {
    let server = TestServer::start().await.unwrap();
    let ready = get(server.http(), "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    std::fs::remove_dir_all(server.data()).unwrap();
    // What was found before is repeated for a second.
    eventually("it is not ready", || async {
        let ready = get(server.http(), "/readyz").await;
        ready.contains("STORAGE_UNAVAILABLE").then_some(())
    })
    .await;
    let refused = server.api().register(&NewAccount::named("Kim")).await;
    assert!(refused.is_err(), "nothing is stored any more");
    let log = server.log();
    let said: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("the store writes nothing"))
        .collect();
    assert_eq!(said.len(), 1, "{log}");
    for part in [
        "ERROR",
        "nowrong.redb was removed",
        "start the server again",
    ] {
        assert!(said[0].contains(part), "{part}: {said:?}");
    }
    assert!(!server.data().exists(), "nothing is made in its place");
}
