//! The edge of the HTTP side: silence, refusals, strangers' headers, few files, and folders that are not
//! for everybody.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use e2e::{ServerOptions, TestServer, eventually, within};
use services::free_port;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::wire::{ask, connect, get, head, register, rest, status, upgrade};

/// The deadline for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// A server with these keys, and where its metrics are.
async fn server_with(keys: &[&str]) -> (TestServer, SocketAddr) {
    let metrics = format!("127.0.0.1:{}", free_port().unwrap());
    let listen = format!("listen_metrics={metrics}");
    let keys = keys.iter().copied().chain([listen.as_str()]);
    let flags: Vec<&str> = keys.flat_map(|key| ["--set", key]).collect();
    let server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    (server, metrics.parse().unwrap())
}

#[tokio::test]
async fn connections_that_say_nothing_end_on_every_listener() {
    let (server, metrics) = server_with(&[]).await;
    let silent = |to: SocketAddr, bytes: &'static str| async move {
        let mut stream = connect("127.0.0.1", to).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let begun = Instant::now();
        assert_eq!(rest(&mut stream).await, "", "{bytes}");
        begun.elapsed()
    };
    let half = "GET / HTTP/1.1\r\nHo";
    let lived = tokio::join!(
        silent(server.http(), ""),
        silent(server.http(), half),
        silent(metrics, ""),
        silent(metrics, half),
    );
    for lived in [lived.0, lived.1, lived.2, lived.3] {
        assert!(
            lived > HEAD_DEADLINE / 2 && lived < HEAD_DEADLINE * 2,
            "{lived:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_says_when_to_come_back_and_is_counted() {
    let keys = [
        "limits.handshakes_burst=2",
        "limits.handshakes_period=1h",
        "limits.register_burst=1",
    ];
    let (server, metrics) = server_with(&keys).await;
    let http = server.http();
    let cases = [
        (get("/v1/websocket", ""), 426, "upgrade: websocket"),
        (
            upgrade("").replace("version: 13", "version: 8"),
            426,
            "sec-websocket-version: 13",
        ),
        (
            upgrade("").replace("sec-websocket-key", "x"),
            400,
            "Sec-WebSocket-Key",
        ),
        (
            upgrade("").replace("GET", "POST"),
            405,
            "METHOD_NOT_ALLOWED",
        ),
    ];
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let wrong_keys = [
        "AA==",
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZTEyMw==",
        "dGhlIHNhbXBsZSBub25j*Q==",
        "dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let wrong_keys = wrong_keys.map(|wrong| {
        let request = upgrade("").replace(key, wrong);
        (request, 400, "Sec-WebSocket-Key")
    });
    for (request, expected, part) in cases.into_iter().chain(wrong_keys) {
        let request = request.replace("connection: Upgrade", "connection: Upgrade, close");
        let response = ask("127.0.0.1", http, &request).await;
        assert_eq!(status(&response), expected, "{response}");
        for part in [
            part,
            "content-type: application/problem+json",
            "\"detail\":",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none';",
        ] {
            assert!(response.contains(part), "{part} in {response}");
        }
    }
    // The second is an example of the RFC, whose last bits are not zero.
    for good in [key, "AQIDBAUGBwgJCgsMDQ4PEC=="] {
        let request = upgrade("").replace(key, good);
        assert_eq!(status(&head("127.0.0.1", http, &request).await), 101);
    }
    let closing = upgrade("").replace("Upgrade\r\n", "Upgrade, close\r\n");
    let refused = ask("127.0.0.1", http, &closing).await;
    assert_eq!(status(&refused), 429, "{refused}");
    for part in [
        "application/problem+json",
        "retry-after: ",
        "\"name\":\"RATE_LIMITED\"",
        "retry_after_ms",
    ] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert_eq!(
        status(&ask("127.0.0.1", http, &register("Robin", "")).await),
        201
    );
    assert_eq!(
        status(&ask("127.0.0.1", http, &register("Kim", "")).await),
        429
    );
    let text = ask("127.0.0.1", metrics, &get("/metrics", "")).await;
    for limit in ["handshakes", "register"] {
        let line = format!("nowrong_limit_refusals_total{{limit=\"{limit}\"}} 1");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("127.0.0"), "{text}");
}

#[tokio::test]
async fn headers_of_strangers_change_nothing_and_the_log_says_so_once_without_an_address() {
    let (server, _) = server_with(&["limits.register_burst=2", "trusted_proxies=10.0.0.0/8"]).await;
    let statuses = async |headers: fn(u8) -> String| {
        let mut statuses = Vec::new();
        for last in 1..=4 {
            let request = register(&format!("Robin {}", rand::random::<u16>()), &headers(last));
            statuses.push(status(&ask("127.0.0.1", server.http(), &request).await));
        }
        statuses
    };
    let usual = statuses(|last| format!("x-forwarded-for: 203.0.113.{last}\r\n")).await;
    assert_eq!(usual, [201, 201, 429, 429]);
    let standard = statuses(|last| format!("forwarded: for=203.0.113.{last}\r\n")).await;
    assert_eq!(standard, [429; 4]);
    let log = server.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("trusted_proxies"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("on this machine"),
        "{}",
        lines[0]
    );
    assert!(!log.contains("203.0.113"), "{log}");
}

#[tokio::test]
async fn the_log_says_once_when_everybody_comes_from_one_address() {
    let (server, _) = server_with(&[]).await;
    let said = "everybody so far came from one address";
    for number in 0..60 {
        let registered = ask(
            "127.0.0.1",
            server.http(),
            &register(&format!("Robin {number}"), ""),
        )
        .await;
        assert_eq!(status(&registered), 201, "{registered}");
        if number == 48 {
            assert!(!server.log().contains(said), "{}", server.log());
        }
    }
    assert_eq!(server.log().matches(said).count(), 1, "{}", server.log());
}

#[tokio::test]
async fn a_folder_with_secrets_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "home").unwrap();
    std::fs::write(
        folder.path().join("nowrong.toml"),
        "web_root = '.'\ndata = 'memory'",
    )
    .unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["--web-root", "."], "`data`"),
        (&["--web-root", ".", "--data", "site/../data"], "`data`"),
        (&["--config", "nowrong.toml"], "the configuration file"),
    ];
    for (flags, named) in cases {
        let mut command = Command::new(e2e::binary().unwrap());
        command.arg("serve").args(flags).current_dir(folder.path());
        let output = command
            .env_remove("NOWRONG_BIN")
            .stdin(Stdio::null())
            .output();
        let output = within("the failure", output).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{flags:?}");
        assert!(
            said.contains("`web_root`") && said.contains(named),
            "{said}"
        );
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    assert!(
        !folder.path().join("data").exists(),
        "nothing was made there"
    );
}

#[tokio::test]
async fn a_pipe_or_a_device_instead_of_a_file_ends_the_start_at_once_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg("pipe")
        .current_dir(folder.path())
        .status()
        .await;
    assert!(made.unwrap().success());
    let cases: [(&[&str], &str); 6] = [
        (&["serve", "--config", "pipe"], "pipe: it is a pipe"),
        (&["serve", "--set", "categories=pipe"], "pipe: it is a pipe"),
        (
            &["serve", "--set", "categories=/dev/zero"],
            "/dev/zero: it is a device",
        ),
        (
            &["serve", "--tls-cert", "pipe", "--tls-key", "pipe"],
            "pipe: it is a pipe",
        ),
        (&["config", "--config", "pipe"], "pipe: it is a pipe"),
        (&["categories", "import", "pipe"], "pipe: it is a pipe"),
    ];
    for (arguments, named) in cases {
        let mut command = Command::new(e2e::binary().unwrap());
        command.args(arguments).current_dir(folder.path());
        command.envs([
            ("NOWRONG_DATA", "memory"),
            ("NOWRONG_LISTEN_HTTP", "127.0.0.1:0"),
            ("NOWRONG_LISTEN_QUIC", "127.0.0.1:0"),
        ]);
        let output = command
            .env_remove("NOWRONG_BIN")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = within("the failure", output).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}

#[tokio::test]
async fn what_somebody_wrote_cannot_change_a_terminal() {
    let red = "\u{1b}[31m";
    let (path, role) = (format!("/{red}"), format!("role={red}"));
    let cases: [&[&str]; 4] = [
        &["config", "--config", &path],
        &["config", "--set", &role],
        &["config", red],
        &["config", "--web-root", &path],
    ];
    for arguments in cases {
        let mut command = Command::new(e2e::binary().unwrap());
        command.args(arguments).env(format!("NOWRONG_{red}"), "x");
        let output = command
            .env_remove("NOWRONG_BIN")
            .stdin(Stdio::null())
            .output();
        let output = within("the failure", output).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains("\\u{1b}[31m"), "{said:?}");
        assert!(!said.contains(red), "{said:?}");
    }
}

/// A server that may have this many files, and where it listens.
async fn with_files(most: u32, log: &Path) -> (Child, SocketAddr) {
    let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(e2e::binary().unwrap())
        .args([
            "serve",
            "--data",
            "memory",
            "--listen-http",
            "127.0.0.1:0",
            "--listen-quic",
            "off",
        ])
        .env_remove("NOWRONG_BIN")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = within("the server is ready", lines.next_line())
        .await
        .unwrap()
        .unwrap();
    let http = ready.split("http://").nth(1).unwrap();
    let http = http.split_whitespace().next().unwrap().parse().unwrap();
    (child, http)
}

#[tokio::test]
async fn with_few_files_a_flood_of_silent_connections_leaves_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (_child, http) = with_files(128, &log).await;
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("WARN") && said.contains("`limits.connections_max`"),
        "{said}"
    );
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut stream = connect("127.0.0.1", http).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHo").await;
        held.push(stream);
    }
    // From the same address the health, from others everything.
    let health = ask("127.0.0.1", http, &get("/readyz", "")).await;
    assert_eq!(status(&health), 200, "{health}");
    let busy = ask("127.0.0.1", http, &get("/v1/categories", "")).await;
    assert_eq!(status(&busy), 503, "{busy}");
    let served = ask("127.0.0.2", http, &get("/v1/categories", "")).await;
    assert_eq!(status(&served), 200, "{served}");
    // Also when every address does it.
    for last in 3..200 {
        if let Ok(stream) = connect(&format!("127.0.0.{last}"), http).await {
            held.push(stream);
        }
    }
    let health = ask("127.0.1.1", http, &get("/readyz", "")).await;
    assert_eq!(status(&health), 200, "{health}");
    // Silence ends, and then all is as before.
    for stream in &mut held {
        rest(stream).await;
    }
    let served = ask("127.0.0.1", http, &get("/v1/categories", "")).await;
    assert_eq!(status(&served), 200, "{served}");
}

/// Lowers the limit of open files of a running process, so that it gets not a single one more; or sets it.
async fn limit_files(pid: u32, most: Option<usize>) {
    let none_left = || {
        let name = |number: usize| Path::new("/proc").join(format!("{pid}/fd/{number}"));
        (0..).find(|number| !name(*number).is_symlink()).unwrap()
    };
    let limit = format!("--nofile={}:512", most.unwrap_or_else(none_left));
    let mut command = Command::new("prlimit");
    let status = command.args([format!("--pid={pid}"), limit]).status().await;
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn what_cannot_be_accepted_is_said_once_and_comes_in_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (child, http) = with_files(512, &log).await;
    let pid = child.id().unwrap();
    limit_files(pid, None).await;
    let said = "connections cannot be accepted";
    let mut waiting = connect("127.0.0.1", http).await.unwrap();
    waiting
        .write_all(get("/healthz", "").as_bytes())
        .await
        .unwrap();
    eventually("the log says so", || async {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains(said)
            .then_some(())
    })
    .await;
    limit_files(pid, Some(512)).await;
    let response = rest(&mut waiting).await;
    assert_eq!(status(&response), 200, "{response}");
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("ERROR"), "{log}");
}
