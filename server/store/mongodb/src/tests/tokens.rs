//! Refresh tokens beside an older server, which keeps no list of a family.

use mongodb::bson::{Document, doc};
use nowrong_core::refresh::UNLISTED_GRACE_MS;
use nowrong_store::{
    Rotation, UserStore as _,
    conformance::{NOW, token, user_id},
};

use super::{MongoStore, migration, open, shared};
use crate::record::{binary, date, token_key, user_key};

/// Stores tokens as an older server did: each with when it was replaced.
async fn write_old(store: &MongoStore, tokens: &[(u8, Option<u64>)]) {
    let database = store.database();
    for (number, replaced_at) in tokens {
        let token = token(*number, 1, 1);
        let record = doc! {
            "_id": token_key(&token.hash),
            "user": user_key(token.user),
            "family": binary(&token.family),
            "expiresAt": date(token.expires_at),
            "replacedAt": replaced_at.map(date),
            "isGraceUsed": false,
        };
        let tokens = database.collection::<Document>("RefreshTokens");
        tokens.insert_one(record).await.unwrap();
    }
    let token = token(0, 1, 1);
    let key = doc! { "user": user_key(token.user), "family": binary(&token.family) };
    let longer = doc! { "$max": { "expiresAt": date(token.expires_at) } };
    let families = database.collection::<Document>("RefreshFamilies");
    let update = families
        .update_one(doc! { "_id": key }, longer)
        .upsert(true);
    update.await.unwrap();
}

async fn store() -> MongoStore {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    store
}

async fn exchange(store: &MongoStore, used: u8, next: u8) -> Rotation {
    let next = token(next, 1, 1);
    store.rotate_refresh(&[used; 32], &next, NOW).await.unwrap()
}

#[tokio::test]
async fn tokens_of_an_older_server_go_on() {
    let store = store().await;
    let recent = NOW - UNLISTED_GRACE_MS + 1;
    write_old(&store, &[(1, Some(recent)), (2, None), (3, None)]).await;
    // A lost response from before the update, siblings, and then the rule holds.
    for (used, next) in [(1, 4), (2, 5), (3, 6), (5, 7), (4, 8), (7, 9)] {
        assert_eq!(
            exchange(&store, used, next).await,
            Rotation::Rotated,
            "{used}"
        );
    }
    // The older server adds one of its own while both run.
    write_old(&store, &[(20, None)]).await;
    for (used, next) in [(20, 21), (21, 22), (9, 10)] {
        assert_eq!(
            exchange(&store, used, next).await,
            Rotation::Rotated,
            "{used}"
        );
    }
    assert_eq!(store.touch(&[user_id(1)], NOW).await.unwrap(), [user_id(1)]);
    assert_eq!(exchange(&store, 2, 30).await, Rotation::Reused);
    assert_eq!(exchange(&store, 9, 30).await, Rotation::Unknown);
}

#[tokio::test]
async fn a_token_that_an_older_server_replaced_long_ago_is_taken_for_stolen() {
    let store = store().await;
    let old = NOW - UNLISTED_GRACE_MS;
    write_old(&store, &[(1, Some(old)), (2, None)]).await;
    assert_eq!(exchange(&store, 1, 3).await, Rotation::Reused);
    assert_eq!(exchange(&store, 2, 3).await, Rotation::Unknown);
}

/// An older node reads these fields of every token, and must go on beside this one.
#[tokio::test]
async fn an_older_server_can_read_what_this_one_writes() {
    let store = store().await;
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    assert_eq!(exchange(&store, 1, 2).await, Rotation::Rotated);
    let tokens = store.database().collection::<Document>("RefreshTokens");
    for (number, is_replaced) in [(1, true), (2, false)] {
        let key = doc! { "_id": token_key(&[number; 32]) };
        let record = tokens.find_one(key).await.unwrap().unwrap();
        assert_eq!(record.get_datetime("replacedAt").is_ok(), is_replaced);
        assert_eq!(record.get_bool("isGraceUsed").unwrap(), is_replaced);
    }
}
