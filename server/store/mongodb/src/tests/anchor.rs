//! The identity of a database: of the data, not of the address.

use mongodb::bson::doc;
use nowrong_store::Anchor as _;

use super::{migration, open, shared};

#[tokio::test]
async fn nodes_of_one_database_agree_and_another_or_a_new_one_is_another_store() {
    let options = shared();
    let opened = async |options| {
        let store = open(options).await;
        migration::up(store.database()).await.unwrap();
        store
    };
    let (one, two) = (opened(&options).await, opened(&options).await);
    let identity = one.identity().await.unwrap().unwrap();
    assert_eq!(two.identity().await.unwrap(), Some(identity));
    let other = opened(&shared()).await.identity().await.unwrap();
    assert_ne!(other, Some(identity));

    one.database().drop().await.unwrap();
    let missing = two.identity().await.unwrap_err().to_string();
    assert!(missing.contains("_checks"), "{missing}");
    migration::up(one.database()).await.unwrap();
    let restored = two.identity().await.unwrap();
    assert_ne!(restored, Some(identity), "it was replaced");
}

#[tokio::test]
async fn the_time_is_the_one_by_which_the_server_itself_judges() {
    let store = open(&shared()).await;
    let now = doc! { "$addFields": { "now": "$$NOW" } };
    let documents = doc! { "$documents": [{}] };
    let before = store.time().await.unwrap().unwrap();
    let mut told = store.database().aggregate([documents, now]).await.unwrap();
    assert!(told.advance().await.unwrap());
    let now = told.deserialize_current().unwrap();
    let now = now.get_datetime("now").unwrap().timestamp_millis() as u64;
    let after = store.time().await.unwrap().unwrap();
    assert!((before..=after).contains(&now), "{before} {now} {after}");
}
