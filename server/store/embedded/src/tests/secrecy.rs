//! The bytes on the disk after a chat has expired.

use std::{fs, path::Path};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use nowrong_core::record::{ChatKey, StoredMessage};
use nowrong_store::{
    ChatStore, MessageStore,
    conformance::{DAY, NOW, chat, chat_id, end, message, tickets},
};

use crate::EmbeddedStore;

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
