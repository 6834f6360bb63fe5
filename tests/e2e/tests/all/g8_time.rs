//! G8: what is older than 24 h cannot be read, and is not there. G9: no text, name or address in the
//! log.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;

use e2e::{TestServer, eventually, matched_pair, within};
use nowrong_client::{Client, ConnectOptions, Transport};

const SECRET: &str = "a rather unusual sentence about pelicans";

/// The category of the pair, which is stored in clear.
const CATEGORY: &str = "music";

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

/// The keys of chats and accounts in a vault: slots of 64 bytes, of which 16 are the owner and 32 the key. The
/// first slot is the header, and the key of names has no owner.
fn keys_with_an_owner(vault: &[u8]) -> Vec<Vec<u8>> {
    let slots = vault.chunks(64).skip(1);
    let owned = slots.filter(|slot| slot[..16].iter().any(|byte| *byte != 0));
    owned.map(|slot| slot[16..48].to_vec()).collect()
}

#[tokio::test]
async fn g8_after_24_hours_nothing_can_be_read_and_the_sweeper_has_removed_it() {
    let mut server = TestServer::start().await.unwrap();
    let [(ana, ana_chat), (ben, ben_chat)] = matched_pair(&server).await.unwrap();
    ana_chat.send(SECRET).await.unwrap();
    assert_eq!(ben_chat.history(None, 10).await.unwrap().messages.len(), 1);
    assert!(
        is_on_disk(&server.data(), CATEGORY.as_bytes()).unwrap(),
        "the probe can find"
    );
    for private in [SECRET, &ana.user.account().name] {
        assert!(
            !is_on_disk(&server.data(), private.as_bytes()).unwrap(),
            "texts and names are sealed from the first moment"
        );
    }
    server.kill().await.unwrap();
    let keys = server.data().join("keys.bin");
    let people_and_chats = keys_with_an_owner(&std::fs::read(&keys).unwrap());
    assert_eq!(people_and_chats.len(), 3, "two accounts and a chat");

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

    eventually(
        "the keys of the chat and the accounts are overwritten",
        || async {
            let now = std::fs::read(&keys).unwrap();
            let is_there = |key: &Vec<u8>| now.windows(key.len()).any(|window| window == key);
            (!people_and_chats.iter().any(is_there)).then_some(())
        },
    )
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
