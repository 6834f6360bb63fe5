//! G8 beyond the collections: what MongoDB's own logs and copies hold of people who are gone.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::HashSet;

use e2e::{ServerOptions, TestServer, eventually, within};
use nowrong_base::seal::SealingKey;
use nowrong_client::{Client, ConnectOptions, NewAccount, Transport};
use nowrong_store_mongodb::testing::Spy;
use services::{
    mongodb::ReplicaSet,
    shared::{Setting, find},
};

const TEXT: &str = "a rather unusual sentence about pelicans";

fn holds(dump: &[u8], what: &str) -> bool {
    let what = what.as_bytes();
    dump.windows(what.len()).any(|window| window == what)
}

/// Registers, connects and joins.
async fn arrive(server: &TestServer, name: &str, language: &str) -> (nowrong_client::User, Client) {
    let account = NewAccount {
        language: language.to_owned(),
        interests: vec!["counterpoint".to_owned()],
        ..NewAccount::named(name)
    };
    let user = server.api().register(&account).await.unwrap();
    let options = ConnectOptions::from(Transport::WebSocket);
    let client = within("connecting", Client::connect(&user, options)).await;
    (user, client.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_deleted_is_deleted_in_mongodbs_oplog_and_change_streams_too() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let set = ReplicaSet::start(program.as_ref(), folder.path(), 1, &[]).unwrap();
    let url = set.url().replace("/?", "/spied?");
    let spy = Spy::open(&url).await;
    let flags = ["--store", &url, "--set", "grace=1s"];
    let server = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();

    let (ana, ana_client) = arrive(&server, "Zanzibarina", "fr-CA").await;
    let (ben, ben_client) = arrive(&server, "Xylophonius", "pt-BR").await;
    let interest = ["counterpoint"];
    let mut waiting = ana_client.join("music", &interest).await.unwrap();
    let mut joining = ben_client.join("music", &interest).await.unwrap();
    let mut ben_chat = within("a match", joining.matched()).await.unwrap();
    let ana_chat = within("a match", waiting.matched()).await.unwrap();
    within("an ack", ana_chat.send(TEXT)).await.unwrap();
    let heard = within("the message", ben_chat.next_message()).await;
    assert!(heard.is_some());
    ana_chat.leave().await.unwrap();
    for user in [&ana, &ben] {
        user.delete().await.unwrap();
    }
    eventually("everything is deleted", || async {
        let counts = ["ChatKeys", "ChatSessions", "Messages"].map(|name| spy.deleted(name));
        // The names rest for a day: a keyed hash of each, which the dump below shows.
        (counts == [1, 1, 1] && spy.deleted("Users") == 2).then_some(())
    })
    .await;

    let dump = spy.dump().await;
    let bodies = spy.bodies();
    assert_eq!(bodies.len(), 1, "the message is there, sealed");
    for clear in [
        TEXT,
        "Zanzibarina",
        "zanzibarina",
        "Xylophonius",
        "counterpoint",
        "fr-CA",
        "pt-BR",
    ] {
        assert!(!holds(&dump, clear), "{clear}");
    }
    // Whatever stands anywhere, taken for a key.
    let windows = dump.windows(32);
    let keys: HashSet<[u8; 32]> = windows.map(|key| key.try_into().unwrap()).collect();
    assert!(keys.len() > 10_000, "{}", keys.len());
    for body in &bodies {
        assert!(
            dump.windows(body.sealed.len())
                .any(|window| window == body.sealed)
        );
        let opens = |key: &[u8; 32]| {
            SealingKey::new(key)
                .open(&body.about, &body.sealed)
                .is_some()
        };
        assert!(!keys.iter().any(opens), "a key of the chat can be found");
    }
}
