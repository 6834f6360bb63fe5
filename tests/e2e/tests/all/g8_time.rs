//! G8: what is older than 24 h cannot be read, and is not there. G9: no text, name or address in the
//! log.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;

use e2e::{TestServer, eventually, matched_pair, within};
use nowrong_client::{Client, ConnectOptions, Transport};

const SECRET: &str = "a rather unusual sentence about pelicans";

/// Whether any file under `folder` holds `needle`.
fn is_on_disk(folder: &Path, needle: &[u8]) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_here = if path.is_dir() {
            is_on_disk(&path, needle)?
        } else {
            let bytes = std::fs::read(path)?;
            bytes.windows(needle.len()).any(|window| window == needle)
        };
        if is_here {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn g8_after_24_hours_nothing_can_be_read_and_the_sweeper_has_removed_it() {
    let mut server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    ana_chat.send(SECRET).await.unwrap();
    assert_eq!(ben_chat.history(None, 10).await.unwrap().messages.len(), 1);
    assert!(
        is_on_disk(&server.data(), ana.user.account().name.as_bytes()).unwrap(),
        "the probe can find"
    );
    assert!(
        !is_on_disk(&server.data(), SECRET.as_bytes()).unwrap(),
        "bodies are sealed from the first moment"
    );
    server.kill().await.unwrap();
    let keys_before = std::fs::read(server.data().join("keys.bin")).unwrap();
    assert!(keys_before.iter().any(|byte| *byte != 0));

    server
        // A leap over a stop counts after the hold.
        .restart_with(&["--clock-ahead", "24h", "--set", "clock.hold=1s"])
        .await
        .unwrap();
    let refused = ana.user.me().await.unwrap_err();
    assert!(refused.code().is_some(), "the account is gone: {refused}");
    assert!(
        Client::connect(&ben.user, ConnectOptions::from(Transport::WebSocket))
            .await
            .is_err()
    );

    let keys = server.data().join("keys.bin");
    eventually("the key of the chat is overwritten", || async {
        let now = std::fs::read(&keys).unwrap();
        let key = keys_before
            .windows(32)
            .find(|w| w.iter().filter(|b| **b != 0).count() > 24)?;
        (!now.windows(32).any(|window| window == key)).then_some(())
    })
    .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn g9_the_log_names_nobody() {
    let mut server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    ana_chat.send(SECRET).await.unwrap();
    let refresh = ana.user.refresh_token().await;
    ana_chat.leave().await.unwrap();
    within("goodbye", ben.client.close()).await;
    drop(ben_chat);
    server.stop().await.unwrap();
    let log = server.log();
    assert!(log.contains("stopped"), "there is a log:\n{log}");
    // One line says where the node itself listens, which here is where its clients are too.
    let of_people = |line: &&str| !line.contains(": started ");
    let log: Vec<&str> = log.lines().filter(of_people).collect();
    let log = log.join("\n");
    for needle in [SECRET, "pelicans", "127.0.0.1", "Ana", &refresh] {
        assert!(!log.contains(needle), "{needle:?} is in the log:\n{log}");
    }
}
