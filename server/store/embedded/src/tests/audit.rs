//! Records that the sweeper does not find: the audit does.

use std::collections::HashMap;

use nowrong_core::record::UnixMs;
use nowrong_protocol::{ChatId, UserId};
use nowrong_store::{
    ChatStore, MessageStore, Overdue, UserStore,
    conformance::{DAY, NOW, chat, chat_id, message, tickets, user},
};
use redb::ReadableTable as _;

use crate::{
    EmbeddedStore, sealed, table,
    vault::{KeyChanges, KeyId, Vault},
};

const LATER: UnixMs = NOW + 40 * DAY;

async fn swept(store: &EmbeddedStore) -> Overdue {
    while store.sweep(LATER, 1_000).await.unwrap() > 0 {}
    store.overdue(LATER, 100).await.unwrap()
}

#[tokio::test]
async fn records_without_an_entry_for_the_sweeper_are_counted() {
    let store = EmbeddedStore::in_memory().unwrap();
    store.create_user(&user(1, "Ada")).await.unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    let forget = store.write("test", |transaction| {
        transaction.file(chat_id(1))?;
        let index = transaction.expiry.write()?;
        index.retain(|_, ()| false)?;
        Ok(())
    });
    forget.await.unwrap();
    let found = swept(&store).await;
    assert_eq!((found.accounts, found.chats), (1, 1));
    assert_eq!(store.overdue(NOW, 100).await.unwrap(), Overdue::default());
    let forget = store.write("test", |transaction| {
        let gone = transaction.chats.write()?.remove(chat_id(1).as_bytes())?;
        assert!(gone.is_some());
        drop(gone);
        let left = transaction.messages.read()?.iter()?.count();
        assert_eq!(left, 1);
        Ok(())
    });
    forget.await.unwrap();
    assert_eq!(swept(&store).await.messages, 1);
}

/// A key that belongs to nothing: a crash came in between, and no start has cleared it since.
#[tokio::test]
async fn keys_of_nothing_are_counted_unless_their_record_may_still_come() {
    let mut vault = Vault::open(Box::new(redb::backends::InMemoryBackend::new())).unwrap();
    let id = |at: UnixMs| {
        let mut id = [7; 16];
        id[..6].copy_from_slice(&at.to_be_bytes()[2..]);
        id
    };
    let key = || Some(sealed::new_key().unwrap());
    let made: KeyChanges = HashMap::from([
        (KeyId::Chat(ChatId::from_bytes(id(NOW))), key()),
        (KeyId::User(UserId::from_bytes(id(NOW))), key()),
        (KeyId::User(UserId::from_bytes(id(NOW + 2))), key()),
        (KeyId::Names, key()),
    ]);
    vault.apply(&made).unwrap();
    let store = EmbeddedStore::in_memory().unwrap();
    let read = store.shared.with_database(|database| {
        use redb::ReadableDatabase as _;
        Ok(database.begin_read()?)
    });
    let snapshot = crate::Snapshot::new(read.unwrap(), vault.keys().clone());
    assert!(snapshot.table(table::USERS).is_ok());
    assert_eq!(snapshot.overdue(NOW + 1, 100).unwrap().keys, 2);
    assert_eq!(snapshot.overdue(NOW + 2, 100).unwrap().keys, 3);
    assert_eq!(snapshot.overdue(NOW - 1, 100).unwrap().keys, 0);
}
