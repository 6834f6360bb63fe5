//! The bytes on the disk: who people are is nowhere in clear, and after a chat or an account is gone nobody
//! can read anything of it.

use std::{fs, path::Path};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use nowrong_core::record::{Chat, ChatKey, StoredMessage, User};
use nowrong_store::{
    ChatStore, MessageStore, NameClaim, UserStore,
    conformance::{DAY, NOW, chat, chat_id, end, message, tickets, user, user_id},
};
use redb::ReadableTable as _;

use crate::{EmbeddedStore, table, vault::KeyId};

const SAID: &[u8] = b"nobody will ever read this again";

fn key(number: u64) -> ChatKey {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (number as u8)
            .wrapping_mul(37)
            .wrapping_add(at as u8 ^ 0x6b);
    }
    ChatKey(bytes)
}

fn aead(key: &ChatKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).unwrap())
}

fn seal(key: &ChatKey, seq: u64) -> Bytes {
    let mut body = SAID.to_vec();
    let nonce = Nonce::assume_unique_for_key([seq as u8; 12]);
    aead(key)
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut body)
        .unwrap();
    body.into()
}

fn holds(path: &Path, needle: &[u8]) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn after_the_sweep_no_key_and_no_word_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (database, vault) = (dir.path().join("nowrong.redb"), dir.path().join("keys.bin"));
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for number in 1..=3 {
        let mut opened = chat(number, &[2 * number, 2 * number + 1]);
        opened.key = key(number);
        store.open_chat(&opened, &tickets()).await.unwrap();
        let messages: Vec<_> = (1..=50)
            .map(|seq| StoredMessage {
                sealed: seal(&key(number), seq),
                ..message(number, 1, seq)
            })
            .collect();
        store.append(&messages).await.unwrap();
    }
    store.end_chat(chat_id(1), &end(NOW + 1_000)).await.unwrap();
    let sealed = seal(&key(1), 7);
    assert!(holds(&vault, &key(1).0) && holds(&vault, &key(2).0));
    assert!(holds(&database, &sealed));
    while store.sweep(NOW + 1_000, 10).await.unwrap() > 0 {}
    assert!(
        !holds(&vault, &key(1).0),
        "the key of an ended chat is destroyed"
    );
    assert!(holds(&vault, &key(2).0), "the key of a living chat is kept");
    while store.sweep(NOW + DAY, 10).await.unwrap() > 0 {}
    store.close().await;
    for number in 1..=3 {
        for file in [&database, &vault] {
            assert!(!holds(file, &key(number).0));
            assert!(!holds(file, SAID));
        }
        assert!(!holds(&vault, chat_id(number).as_bytes()));
    }
}

/// What of people is in the records below.
pub(super) const OF_PEOPLE: [&str; 6] = [
    "Zaphodia",
    "zaphodia-skeleton",
    "xanthic-beetles",
    "tlh-Latn",
    "Quillonia",
    "queueing-theory",
];

/// An account with everything that people tell of themselves.
pub(super) fn marked_user(number: u64) -> User {
    User {
        name: format!("Zaphodia{number}"),
        skeleton: format!("zaphodia-skeleton{number}"),
        language: "tlh-Latn".to_owned(),
        interests: vec!["xanthic-beetles".to_owned()],
        ..user(number, "")
    }
}

/// A chat whose members have such names.
pub(super) fn marked_chat(number: u64, users: &[u64]) -> Chat {
    let mut chat = chat(number, users);
    for member in &mut chat.members {
        "Quillonia".clone_into(&mut member.name);
        "tlh-Latn".clone_into(&mut member.language);
    }
    chat.why.shared_interests = vec!["queueing-theory".to_owned()];
    chat
}

/// Which words of people are in the files of the folder.
pub(super) fn found(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 2, "{files:?}");
    let hits = files.iter().flat_map(|file| {
        let words = OF_PEOPLE.into_iter();
        words.filter_map(move |word| {
            let is_there = holds(file, word.as_bytes());
            is_there.then(|| format!("{word} in {}", file.display()))
        })
    });
    hits.collect()
}

#[tokio::test]
async fn who_people_are_is_never_in_a_file_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for number in 1..=40 {
        let claim = store.create_user(&marked_user(number)).await.unwrap();
        assert_eq!(claim, NameClaim::Claimed);
    }
    let renamed = User {
        skeleton: "zaphodia-skeleton-again".to_owned(),
        ..marked_user(3)
    };
    store.update_user(&renamed, NOW).await.unwrap();
    let opened = marked_chat(1, &[1, 2]);
    store.open_chat(&opened, &tickets()).await.unwrap();
    store.touch(&[user_id(1)], NOW + 40 * DAY).await.unwrap();
    let read = store.user(user_id(3), NOW).await.unwrap();
    assert_eq!(read, Some(renamed));
    assert_eq!(store.chat(chat_id(1), NOW).await.unwrap(), Some(opened));
    assert_eq!(found(dir.path()), [""; 0]);
    store.close().await;
    assert_eq!(found(dir.path()), [""; 0]);
}

/// An erased account cannot be opened by a thief who has a copy of the database of any moment: its key is gone from the
/// vault, and was never elsewhere.
#[tokio::test]
async fn the_key_of_an_erased_or_expired_account_is_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("keys.bin");
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let mut keys = Vec::new();
    for number in 1..=3 {
        store.create_user(&marked_user(number)).await.unwrap();
        let id = KeyId::User(user_id(number));
        keys.push(store.shared.keys.find(id).unwrap());
    }
    assert!(keys.iter().all(|key| holds(&vault, key.expose())));
    store.delete_user(user_id(1), NOW).await.unwrap();
    let is_there = |key: usize| holds(&vault, keys[key].expose());
    assert!(!is_there(0) && is_there(1) && is_there(2));
    assert!(!holds(&vault, user_id(1).as_bytes()));
    while store.sweep(NOW + 30 * DAY, 10).await.unwrap() > 0 {}
    assert!(!is_there(1) && !is_there(2));
    store.close().await;
    let database = dir.path().join("nowrong.redb");
    assert!(keys.iter().all(|key| !holds(&database, key.expose())));
}

/// An account whose key is destroyed is gone, and its name is free.
#[tokio::test]
async fn an_account_without_its_key_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.create_user(&user(1, "Ada")).await.unwrap();
    drop(store);
    fs::remove_file(dir.path().join("keys.bin")).unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(store.user(user_id(1), NOW).await.unwrap(), None);
    let gone = store.touch(&[user_id(1)], NOW + 60 * DAY).await.unwrap();
    assert_eq!(gone, [user_id(1)]);
    let renamed = store.update_user(&user(1, "Bob"), NOW).await.unwrap();
    assert_eq!(renamed, NameClaim::Unknown);
    let claim = store.create_user(&user(2, "Ada")).await.unwrap();
    assert_eq!(claim, NameClaim::Claimed);
    while store.sweep(NOW + 30 * DAY, 10).await.unwrap() > 0 {}
    let left = store.read("left", |snapshot| {
        let users = snapshot.table(table::USERS)?.iter()?.count();
        Ok(users + snapshot.table(table::NAMES)?.iter()?.count())
    });
    // The hash of the first name was made with the key that is lost.
    assert!(left.unwrap() <= 1);
}

/// A key whose chat was never committed, because of a crash in between, is destroyed by the next
/// start.
#[tokio::test]
async fn a_stray_key_is_destroyed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("keys.bin");
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let mut opened = chat(1, &[1, 2]);
    opened.key = key(1);
    store.open_chat(&opened, &tickets()).await.unwrap();
    drop(store);
    fs::remove_file(dir.path().join("nowrong.redb")).unwrap();
    assert!(holds(&vault, &key(1).0));
    drop(EmbeddedStore::open(dir.path()).unwrap());
    assert!(!holds(&vault, &key(1).0));
}

/// A chat whose key is destroyed counts as expired, including its seats.
#[tokio::test]
async fn a_chat_without_its_key_is_expired() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    drop(store);
    fs::remove_file(dir.path().join("keys.bin")).unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(store.chat(chat_id(1), NOW).await.unwrap(), None);
    assert_eq!(
        store
            .messages_before(chat_id(1), None, 10, NOW)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.begin_epoch(chat_id(1), 1, NOW).await.unwrap(), None);
    assert_eq!(
        store
            .seat(chat(1, &[1]).members[0].user, NOW)
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.active_chats(None, 10, NOW).await.unwrap(), []);
    let next = chat(2, &[1, 2]);
    assert_eq!(
        store.open_chat(&next, &tickets()).await.unwrap(),
        nowrong_store::Opening::Opened
    );
    assert!(store.chat(next.id, NOW).await.unwrap().is_some());
}
