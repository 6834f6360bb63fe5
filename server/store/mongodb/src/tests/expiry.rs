//! Documents that the server removes by itself when no sweeper runs. Uses a server of its own, with
//! the real clock.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use nowrong_store::{
    ChatStore as _, MessageStore as _,
    conformance::{DAY, chat, message, tickets},
};
use services::{
    mongodb::ReplicaSet,
    shared::{Setting, find},
};

use super::{migration, open, options};

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
