//! Opening: what survives it, and one clear sentence for each fault.

use std::{fs, path::Path};

use nowrong_core::record::Category;
use nowrong_protocol::Position;
use nowrong_store::{
    CategorySource, CategoryStore, ChatStore, MessageStore, UserStore,
    conformance::{NOW, category, chat, chat_id, cursors, message, tickets, token, user, user_id},
};

use crate::{EmbeddedStore, OpenError};

#[tokio::test]
async fn everything_survives_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/data");
    let store = EmbeddedStore::open(&path).unwrap();
    store.create_user(&user(1, "Ada")).await.unwrap();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    store.block(user_id(1), user_id(3), NOW).await.unwrap();
    store
        .put_categories(&[category("music", 1)], CategorySource::File)
        .await
        .unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    let read = Position::new(1, 1);
    store
        .save_cursors(&[cursors(1, 0, read, read)])
        .await
        .unwrap();
    store.close().await;
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(
        store.user(user_id(1), NOW).await.unwrap(),
        Some(user(1, "Ada"))
    );
    assert_eq!(
        store.refresh(&[1; 32], NOW).await.unwrap(),
        Some(token(1, 1, 1))
    );
    let avoid = store.avoid(user_id(1), NOW).await.unwrap();
    assert_eq!(
        (avoid.blocked, avoid.recent),
        (vec![user_id(3)], vec![user_id(2)])
    );
    let categories: Vec<Category> = store.categories().await.unwrap();
    assert_eq!(categories, [category("music", 1)]);
    let mut expected = chat(1, &[1, 2]);
    (expected.members[0].delivered, expected.members[0].read) = (read, read);
    assert_eq!(store.chat(chat_id(1), NOW).await.unwrap(), Some(expected));
    assert_eq!(store.seat(user_id(2), NOW).await.unwrap(), Some(chat_id(1)));
    let messages = store
        .messages_before(chat_id(1), None, 10, NOW)
        .await
        .unwrap();
    assert_eq!(messages, [message(1, 1, 1)]);
}

#[tokio::test]
async fn nothing_is_stored_while_a_file_is_not_where_the_next_start_looks_for_it() {
    for name in ["nowrong.redb", "keys.bin", ""] {
        let dir = tempfile::tempdir().unwrap();
        let (data, away) = (dir.path().join("data"), dir.path().join("away"));
        let store = EmbeddedStore::open(&data).unwrap();
        store
            .open_chat(&chat(1, &[1, 2]), &tickets())
            .await
            .unwrap();
        let place = if name.is_empty() {
            data
        } else {
            data.join(name)
        };
        fs::rename(&place, &away).unwrap();
        for _ in 0..2 {
            let error = store.check().await.unwrap_err().to_string();
            assert!(error.contains("was removed, moved or replaced"), "{error}");
        }
        store.append(&[message(1, 1, 1)]).await.unwrap_err();
        let seat = store.seat(user_id(2), NOW).await;
        assert_eq!(seat.unwrap(), Some(chat_id(1)), "it can be read");
        assert!(!place.exists(), "nothing is made in its place");
        fs::rename(&away, &place).unwrap();
        store.append(&[message(1, 1, 1)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_took_the_place_of_an_open_one_is_not_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let file = dir.path().join("nowrong.redb");
    let copy = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, copy).unwrap();
    let error = store.check().await.unwrap_err().to_string();
    assert!(error.contains("nowrong.redb was removed"), "{error}");
    fs::remove_dir_all(dir.path()).unwrap();
    store.check().await.unwrap_err();
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    for name in ["nowrong.redb", "keys.bin"] {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        says(&refused(dir.path()), &[name, "it is a pipe"]);
    }
}

#[test]
fn a_folder_in_use_is_refused_and_free_after_drop() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    says(
        &error,
        &["nowrong.redb", "in use by another process", "stop it"],
    );
    drop(store);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[test]
fn a_path_that_is_no_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("data")] {
        let error = refused(&path);
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
        says(
            &error,
            &[
                path.to_str().unwrap(),
                "cannot write",
                "choose another data folder",
            ],
        );
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    for (name, content) in [
        ("nowrong.redb", "not a database, "),
        ("keys.bin", "not a vault, "),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let content = content.repeat(1_000);
        fs::write(dir.path().join(name), &content).unwrap();
        let error = refused(dir.path());
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
        says(&error, &[name, "is damaged", "move it away"]);
        assert!(fs::read(dir.path().join(name)).unwrap() == content.as_bytes());
    }
}

/// The next start reports bits that flipped while the file was closed, and never panics.
#[tokio::test]
async fn a_damaged_page_is_found_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    for seq in 1..=200 {
        store.append(&[message(1, 1, seq)]).await.unwrap();
    }
    drop(store);
    let file = dir.path().join("nowrong.redb");
    let good = fs::read(&file).unwrap();
    let needle = b"sealed 1 1 77";
    let places: Vec<_> = (0..good.len())
        .filter(|at| good[*at..].starts_with(needle))
        .collect();
    assert!(!places.is_empty());
    let mut damaged = good.clone();
    places.iter().for_each(|at| damaged[*at] ^= 0x40);
    fs::write(&file, &damaged).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    fs::write(&file, &good).unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let messages = store
        .messages_before(chat_id(1), None, 1_000, NOW)
        .await
        .unwrap();
    assert_eq!(messages.len(), 200);
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let _store = EmbeddedStore::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("nowrong.redb")), 0o600);
    assert_eq!(mode(&path.join("keys.bin")), 0o600);
}

fn refused(path: &Path) -> OpenError {
    EmbeddedStore::open(path).err().unwrap()
}

fn says(error: &OpenError, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}
