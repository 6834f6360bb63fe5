//! How far the oplog of a real server reaches back.

use std::time::Duration;

use nowrong_store::{Advice, Anchor as _};
use services::{
    mongodb::ReplicaSet,
    shared::{Setting, find},
};

use super::{open, options};
use crate::oplog::testing::look_later;

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn an_oplog_that_reaches_back_more_than_a_day_is_a_warning_that_says_what_to_do() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let set = ReplicaSet::start(program.as_ref(), folder.path(), 1, &[]).unwrap();
    let store = open(&options(&set.url())).await;
    assert_eq!(store.advice().await, [], "it has just begun");
    assert_eq!(look_later(&store.shared, 23 * HOUR).await, None);
    let Some(Advice::Warning(said)) = look_later(&store.shared, 25 * HOUR).await else {
        panic!("the oldest entry is more than a day old");
    };
    for word in ["25 hours", "oplogMinRetentionHours", "replSetResizeOplog"] {
        assert!(said.contains(word), "{said}");
    }
}
