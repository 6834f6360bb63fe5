//! Documents that the server removes by itself when no sweeper runs. Uses a server of its own, with
//! the real clock.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use nowrong_store::{
    ChatStore as _, MessageStore as _, UserStore as _,
    conformance::{DAY, NOW, chat, message, tickets, token, user, user_id},
};
use services::{
    mongodb::ReplicaSet,
    shared::{Setting, find},
};

use super::{MongoStore, migration, open, options, shared};

#[tokio::test]
async fn g8_keys_and_messages_expire_without_a_sweeper() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let often = ["--setParameter", "ttlMonitorSleepSecs=1"];
    let set = ReplicaSet::start(program.as_ref(), folder.path(), 1, &often).unwrap();
    let store = open(&options(&set.url())).await;
    migration::up(store.database()).await.unwrap();
    let now = nowrong_base::clock::Clock::default().now();
    for (number, begun) in [(1, now - 2 * DAY), (2, now)] {
        let mut one = chat(number, &[10 * number, 10 * number + 1]);
        (one.started_at, one.expires_at) = (begun, begun + DAY);
        store.open_chat(&one, &tickets()).await.unwrap();
        let mut said = message(number, 1, 1);
        (said.at, said.expires_at) = (begun, begun + DAY);
        store.append(&[said]).await.unwrap();
    }
    for name in ["ChatKeys", "Messages"] {
        let left = store.database().collection::<Document>(name);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while left.count_documents(doc! {}).await.unwrap() > 1 {
            assert!(tokio::time::Instant::now() < deadline, "{name} stay");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(left.count_documents(doc! {}).await.unwrap(), 1, "{name}");
    }
}

/// How often the server has looked for what expired.
async fn passes(store: &MongoStore) -> i64 {
    let admin = store.database().client().database("admin");
    let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let ttl = status.get_document("metrics").unwrap();
    let ttl = ttl.get_document("ttl").unwrap();
    ttl.get_i64("passes").unwrap()
}

#[tokio::test]
async fn an_account_that_expired_while_the_server_was_away_is_revived_with_its_tokens() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let often = ["--setParameter", "ttlMonitorSleepSecs=1"];
    let set = ReplicaSet::start(program.as_ref(), folder.path(), 1, &often).unwrap();
    let store = open(&options(&set.url())).await;
    migration::up(store.database()).await.unwrap();
    let now = nowrong_base::clock::Clock::default().now();
    let mut ada = user(1, "Ada");
    (ada.created_at, ada.expires_at) = (now - DAY, now - 1_000);
    store.create_user(&ada).await.unwrap();
    let mut first = token(1, 1, 1);
    first.expires_at = now - 1_000;
    store.create_refresh(&first).await.unwrap();
    let begun = passes(&store).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while passes(&store).await < begun + 2 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it looks for nothing"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    store.touch(&[ada.id], now + DAY).await.unwrap();
    assert!(store.user(ada.id, now).await.unwrap().is_some());
    let kept = store.refresh(&first.hash, now).await.unwrap();
    assert_eq!(kept.map(|kept| kept.expires_at), Some(now + DAY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_not_swept_before_an_account_that_expired_with_them() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    for number in [1, 2] {
        let name = format!("Ada{number}");
        store.create_user(&user(number, &name)).await.unwrap();
        let token = token(number as u8, 1, number);
        store.create_refresh(&token).await.unwrap();
    }
    let over = NOW + 31 * DAY;
    // As if the sweep had come to the tokens before it came to the account of the first.
    store.delete_user(user_id(2), NOW).await.unwrap();
    store.shared.sweep_rest(over, 1_000).await.unwrap();
    store.touch(&[user_id(1)], over + DAY).await.unwrap();
    assert!(store.user(user_id(1), over).await.unwrap().is_some());
    assert!(store.refresh(&[1; 32], over).await.unwrap().is_some());
    let tokens = store.database().collection::<Document>("RefreshTokens");
    let count = tokens.count_documents(doc! {}).await.unwrap();
    assert_eq!(count, 1, "an account that is gone keeps none");
}
