//! A lost server, a silent server, and the texts of errors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nowrong_base::privacy::Redacted;
use nowrong_store::{
    ChatStore as _, MessageStore as _, StoreError, UserStore as _,
    conformance::{NOW, chat, chat_id, message, seqs, tickets, user},
    wrapping::NoDayKeys,
};
use services::{
    mongodb::ReplicaSet,
    process::signal,
    shared::{Setting, find},
};

use super::{MongoOptions, MongoStore, migration, open, options, shared};
use crate::testing;

fn replica_set(folder: &std::path::Path, members: usize) -> ReplicaSet {
    let program = find(Setting::MongodProgram).unwrap();
    let still = ["--setParameter", "ttlMonitorEnabled=false"];
    ReplicaSet::start(program.as_ref(), folder, members, &still).unwrap()
}

/// G1 with three members: acked messages are there after the primary is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_acked_messages_survive_the_loss_of_the_primary() {
    let folder = tempfile::tempdir().unwrap();
    let mut set = replica_set(folder.path(), 3);
    let store = open(&options(&set.url())).await;
    migration::up(store.database()).await.unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let mut acked = Vec::new();
    for seq in 1..=60 {
        if seq == 20 {
            let primary = set.members.iter_mut().find(|member| member.is_primary());
            primary.unwrap().kill().unwrap();
        }
        // A failed append is repeated, as a chat would do: the same message at the same position.
        while store.append(&[message(1, 1, seq)]).await.is_err() {}
        acked.push(seq);
    }
    let stored = store.messages_after(chat_id(1), nowrong_protocol::Position::START, 100, NOW);
    assert_eq!(seqs(&stored.await.unwrap()), acked);
}

/// A stopped server neither replies nor breaks a connection: calls end at their deadline, and work
/// again when the server continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_holds_nobody_longer_than_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let set = replica_set(folder.path(), 1);
    let patient = options(&set.url());
    let store = open(&patient).await;
    migration::up(store.database()).await.unwrap();
    let hasty = MongoOptions {
        timeout: Duration::from_secs(2),
        ..patient
    };
    let store = open(&hasty).await;
    store.create_user(&user(1, "Ada")).await.unwrap();
    signal(set.members[0].id(), "-STOP").unwrap();
    let begun = Instant::now();
    let error = store.create_user(&user(2, "Bob")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(store.check().await.is_err());
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    signal(set.members[0].id(), "-CONT").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.create_user(&user(2, "Bob")).await.is_err() {
        assert!(Instant::now() < deadline, "it does not recover");
    }
}

/// G9: an error of the driver quotes documents; ours do not.
#[tokio::test]
async fn g9_an_error_quotes_no_document_and_no_password() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    let users = store
        .database()
        .collection::<mongodb::bson::Document>("Usernames");
    let secret = mongodb::bson::doc! { "_id": "secretname" };
    let driver = users.insert_one(secret).await.unwrap_err();
    let ours = StoreError::from(super::super::fault::Fault::from(driver));
    assert!(!format!("{ours} {ours:?}").contains("secretname"), "{ours}");
    let nowhere = MongoOptions {
        url: Redacted::new("mongodb://me:secretword@127.0.0.1:1/db".to_owned()),
        connections_max: 1,
        timeout: Duration::from_millis(300),
        secret: testing::secret(),
    };
    let error = MongoStore::open(&nowhere, Arc::new(NoDayKeys))
        .await
        .unwrap_err();
    let said = format!("{error} {error:?} {nowhere:?}");
    assert!(
        !said.contains("secretword") && said.contains("127.0.0.1:1"),
        "{said}"
    );
}
