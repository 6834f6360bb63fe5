//! A graceful stop, and the sentences of a start that fails.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::process::Stdio;

use e2e::{TestServer, matched_pair};
use nowrong_client::{Client, ConnectOptions};
use nowrong_protocol::CloseCode;

#[tokio::test]
async fn sigterm_sends_clients_away_keeps_what_was_acked_and_exits_with_0() {
    let mut server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (_ben, ben_chat)] = matched_pair(&server).await.unwrap();
    ana_chat.send("before the stop").await.unwrap();
    let status = server.stop().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(
        Client::connect(&ana.user, ConnectOptions::default())
            .await
            .is_err(),
        "it is closed"
    );
    server.restart().await.unwrap();
    ana.client.opened().await.unwrap();
    let page = ben_chat.history(None, 10).await.unwrap();
    assert_eq!(page.messages.len(), 1);
}

#[tokio::test]
async fn an_erased_account_is_closed_and_its_chat_ends() {
    let server = TestServer::start().await.unwrap();
    let [(ana, _ana_chat), (_ben, mut ben_chat)] = matched_pair(&server).await.unwrap();
    let mut state = ana.client.state();
    ana.user.delete().await.unwrap();
    let closed = e2e::within("the close", async {
        loop {
            state.changed().await.unwrap();
            if let nowrong_client::ConnectionState::Closed { code } = *state.borrow() {
                return code;
            }
        }
    });
    assert_eq!(closed.await, Some(CloseCode::ACCOUNT_GONE));
    e2e::within("the end", async {
        while !matches!(
            ben_chat.next_event().await,
            Some(nowrong_client::ChatEvent::Ended { .. })
        ) {}
    })
    .await;
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_one_sentence() {
    let server = TestServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let free = "127.0.0.1:0";
    let data = folder.path().join("data");
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let corrupt = folder.path().join("corrupt");
    std::fs::create_dir(&corrupt).unwrap();
    std::fs::write(corrupt.join("nowrong.redb"), vec![7; 8_192]).unwrap();
    let taken = server.http().to_string();
    let data = data.to_str().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (
            &[
                "--listen-http",
                &taken,
                "--listen-quic",
                free,
                "--data",
                data,
            ],
            "listen_http",
        ),
        (
            &[
                "--listen-http",
                free,
                "--listen-quic",
                &server.quic().to_string(),
                "--data",
                data,
            ],
            "listen_quic",
        ),
        (
            &["--set", "limts.connections_max=5", "--data", data],
            "limits.connections_max",
        ),
        (
            &[
                "--listen-http",
                free,
                "--listen-quic",
                free,
                "--data",
                file.to_str().unwrap(),
            ],
            "file",
        ),
        (
            &[
                "--listen-http",
                free,
                "--listen-quic",
                free,
                "--data",
                corrupt.to_str().unwrap(),
            ],
            "nowrong.redb",
        ),
    ];
    for (flags, named) in cases {
        let mut command = tokio::process::Command::new(e2e::binary().unwrap());
        command.arg("serve").args(flags).stdin(Stdio::null());
        let output = e2e::within("the failure", command.output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{flags:?}");
        assert!(said.contains(named), "{flags:?} said: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{flags:?} said: {said}");
    }
}
