//! Files of earlier versions, in which accounts were in clear.

use std::{fs, path::Path};

use nowrong_core::record::{Chat, User};
use nowrong_store::{
    ChatStore, MessageStore, NameClaim, UserStore,
    conformance::{DAY, NOW, chat_id, message, tickets, user, user_id},
};
use redb::{Database, TableDefinition};

use super::secrecy::{OF_PEOPLE, found, marked_chat, marked_user};
use crate::{EmbeddedStore, convert::OldChat, record, table};

/// The names of earlier versions: skeleton → user id.
const OLD_NAMES: TableDefinition<'_, &str, &[u8; 16]> = TableDefinition::new("names");

/// A folder with what a server of an earlier version leaves: two accounts, one chat and a message.
async fn old_folder(dir: &Path, schema: u64) {
    let store = EmbeddedStore::open(dir).unwrap();
    store.create_user(&marked_user(1)).await.unwrap();
    store.create_user(&marked_user(2)).await.unwrap();
    let opened = marked_chat(1, &[1, 2]);
    store.open_chat(&opened, &tickets()).await.unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    let file = |transaction: &mut crate::Transaction<'_>| transaction.file(chat_id(1));
    store.write("test", file).await.unwrap();
    store.close().await;
    drop(store);
    write_old(dir, schema, &[marked_user(1), marked_user(2)], &opened);
    // The vault had keys of chats alone.
    let vault = dir.join("keys.bin");
    let mut bytes = fs::read(&vault).unwrap();
    bytes[15] = 1;
    for slot in bytes.chunks_mut(64).skip(1) {
        if slot[..16] != *chat_id(1).as_bytes() || slot[16..48] != opened.key.0 {
            slot.fill(0);
        }
    }
    fs::write(&vault, bytes).unwrap();
}

fn write_old(dir: &Path, schema: u64, users: &[User], chat: &Chat) {
    let database = Database::open(dir.join("nowrong.redb")).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(table::USERS).unwrap();
        let mut names = write.open_table(OLD_NAMES).unwrap();
        for user in users {
            let bytes = record::encode(user);
            table.insert(user.id.as_bytes(), &bytes[..]).unwrap();
            let name = user.skeleton.as_str();
            names.insert(name, user.id.as_bytes()).unwrap();
        }
        let old = OldChat {
            category: chat.category.clone(),
            members: chat.members.clone(),
            why: chat.why.clone(),
            epochs: chat.epochs.clone(),
            started_at: chat.started_at,
            expires_at: chat.expires_at,
            end: chat.end,
        };
        let mut chats = write.open_table(table::CHATS).unwrap();
        let bytes = record::encode(&old);
        chats.insert(chat.id.as_bytes(), &bytes[..]).unwrap();
        let mut meta = write.open_table(table::META).unwrap();
        meta.insert("schema", schema).unwrap();
    }
    write.delete_table(table::NAMES).unwrap();
    if schema == 1 {
        write.delete_table(table::JOURNAL).unwrap();
    }
    write.commit().unwrap();
}

async fn is_whole(store: &EmbeddedStore) {
    for number in [1, 2] {
        let found = store.user(user_id(number), NOW).await.unwrap();
        assert_eq!(found, Some(marked_user(number)));
    }
    let found = store.chat(chat_id(1), NOW).await.unwrap();
    assert_eq!(found, Some(marked_chat(1, &[1, 2])));
    assert_eq!(store.seat(user_id(2), NOW).await.unwrap(), Some(chat_id(1)));
    let said = store.messages_before(chat_id(1), None, 9, NOW).await;
    assert_eq!(said.unwrap(), [message(1, 1, 1)]);
    let like_it = User {
        id: user_id(3),
        ..marked_user(1)
    };
    let claim = store.create_user(&like_it).await.unwrap();
    assert_eq!(claim, NameClaim::Taken);
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_sealed_by_the_next_start_and_nothing_is_lost() {
    for schema in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        old_folder(dir.path(), schema).await;
        assert!(
            found(dir.path()).len() >= OF_PEOPLE.len(),
            "it was in clear"
        );
        let copy = dir.path().with_extension("copy");
        fs::hard_link(dir.path().join("nowrong.redb"), &copy).unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        is_whole(&store).await;
        store.close().await;
        assert_eq!(found(dir.path()), [""; 0]);
        let old = fs::read(&copy).unwrap();
        fs::remove_file(&copy).unwrap();
        assert!(
            old.iter().all(|byte| *byte == 0),
            "the old file is overwritten"
        );
        drop(store);
        let store = EmbeddedStore::open(dir.path()).unwrap();
        is_whole(&store).await;
        store.delete_user(user_id(1), NOW).await.unwrap();
        while store.sweep(NOW + 60 * DAY, 1_000).await.unwrap() > 0 {}
        let again = User {
            created_at: NOW + DAY,
            ..marked_user(1)
        };
        let claim = store.create_user(&again).await.unwrap();
        assert_eq!(claim, NameClaim::Claimed);
    }
}

/// A crash after the keys were written and before the new file was in its place.
#[tokio::test]
async fn a_conversion_that_was_cut_short_is_done_again_with_the_same_keys() {
    let dir = tempfile::tempdir().unwrap();
    old_folder(dir.path(), 2).await;
    let file = dir.path().join("nowrong.redb");
    let old = fs::read(&file).unwrap();
    drop(EmbeddedStore::open(dir.path()).unwrap());
    let vault = dir.path().join("keys.bin");
    let (new, keys) = (fs::read(&file).unwrap(), fs::read(&vault).unwrap());
    fs::write(&file, old).unwrap();
    fs::write(dir.path().join("nowrong.redb.new"), &new[..new.len() / 2]).unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    is_whole(&store).await;
    assert_eq!(found(dir.path()), [""; 0]);
    assert!(!dir.path().join("nowrong.redb.new").exists());
    assert_eq!(fs::read(&vault).unwrap(), keys);
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.create_user(&user(1, "Ada")).await.unwrap();
    drop(store);
    let database = Database::open(dir.path().join("nowrong.redb")).unwrap();
    let write = database.begin_write().unwrap();
    let mut meta = write.open_table(table::META).unwrap();
    meta.insert("schema", 4).unwrap();
    drop(meta);
    write.commit().unwrap();
    drop(database);
    let keys = fs::read(dir.path().join("keys.bin")).unwrap();
    let error = EmbeddedStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("schema 4"), "{error}");
    assert_eq!(fs::read(dir.path().join("keys.bin")).unwrap(), keys);
}
