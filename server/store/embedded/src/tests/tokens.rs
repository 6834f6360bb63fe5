//! Refresh tokens that an older server has written, and what is left of tokens on the medium.

use nowrong_core::{record::RefreshToken, refresh::UNLISTED_GRACE_MS};
use nowrong_store::{
    MessageStore, Rotation, UserStore,
    conformance::{DAY, NOW, token, user, user_id},
};
use redb::ReadableTable;

use crate::{
    EmbeddedStore,
    record::{self, RefreshRecord},
    table::{self, Expiring},
};

/// Stores tokens as a server without lists of families did: each with when it was replaced.
async fn write_old(store: &EmbeddedStore, tokens: &[(RefreshToken, Option<u64>)]) {
    let tokens = tokens.to_vec();
    let write = store.write("old", move |transaction| {
        for (token, replaced_at) in &tokens {
            let record = RefreshRecord {
                token: token.clone(),
                replaced_at: *replaced_at,
                is_listed: false,
            };
            let bytes = record::encode(&record);
            transaction
                .refresh
                .write()?
                .insert(&token.hash, &bytes[..])?;
            let member = table::family_key(token);
            transaction.families.write()?.insert(&member, ())?;
            let expiring = Expiring::Refresh(token.hash);
            transaction.move_expiry(expiring, None, Some(token.expires_at))?;
        }
        Ok(())
    });
    write.await.unwrap();
}

async fn exchange(store: &EmbeddedStore, used: u8, next: u8) -> Rotation {
    let next = token(next, 1, 1);
    store.rotate_refresh(&[used; 32], &next, NOW).await.unwrap()
}

#[tokio::test]
async fn tokens_of_an_older_server_go_on() {
    let store = EmbeddedStore::in_memory().unwrap();
    let recent = NOW - UNLISTED_GRACE_MS + 1;
    let tokens = [
        (token(1, 1, 1), Some(recent)),
        (token(2, 1, 1), None),
        (token(3, 1, 1), None),
    ];
    write_old(&store, &tokens).await;
    // A lost response from before the update, siblings, and then the rule holds.
    for (used, next) in [(1, 4), (2, 5), (3, 6), (5, 7), (4, 8), (7, 9)] {
        assert_eq!(
            exchange(&store, used, next).await,
            Rotation::Rotated,
            "{used}"
        );
    }
    assert_eq!(exchange(&store, 2, 10).await, Rotation::Reused);
    assert_eq!(exchange(&store, 9, 10).await, Rotation::Unknown);
}

#[tokio::test]
async fn a_token_that_an_older_server_replaced_long_ago_is_taken_for_stolen() {
    let store = EmbeddedStore::in_memory().unwrap();
    let old = NOW - UNLISTED_GRACE_MS;
    let tokens = [(token(1, 1, 1), Some(old)), (token(2, 1, 1), None)];
    write_old(&store, &tokens).await;
    assert_eq!(exchange(&store, 1, 3).await, Rotation::Reused);
    assert_eq!(exchange(&store, 2, 3).await, Rotation::Unknown);
}

#[tokio::test]
async fn nothing_is_left_of_a_family_whose_tokens_have_expired_or_whose_account_is_gone() {
    let store = EmbeddedStore::in_memory().unwrap();
    for number in [1, 2] {
        let name = ["Ada", "Bob"][usize::from(number) - 1];
        store.create_user(&user(number.into(), name)).await.unwrap();
        let first = token(number, number, number.into());
        store.create_refresh(&first).await.unwrap();
        let next = token(number + 10, number, number.into());
        let rotation = store.rotate_refresh(&first.hash, &next, NOW).await;
        assert_eq!(rotation.unwrap(), Rotation::Rotated);
    }
    assert_eq!(families(&store), 2);
    store.delete_user(user_id(1), NOW).await.unwrap();
    assert_eq!(families(&store), 1);
    while store.sweep(NOW + 60 * DAY, 1_000).await.unwrap() > 0 {}
    assert_eq!(families(&store), 0);
}

/// How many families have a list.
fn families(store: &EmbeddedStore) -> usize {
    let count = store.read("families", |snapshot| {
        let table = snapshot.table(table::OPEN_TOKENS)?;
        Ok(table.iter()?.count())
    });
    count.unwrap()
}
