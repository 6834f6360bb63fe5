//! What is stored is wrapped: also what an older server has left, and what outlives its day key.

use std::sync::Arc;

use mongodb::{
    Database,
    bson::{Bson, Document, doc},
};
use nowrong_base::secret::ClusterSecret;
use nowrong_store::{
    ChatStore as _, NameClaim, StoreError, UserStore as _,
    conformance::{DAY, NOW, chat, chat_id, tickets, user, user_id},
    wrapping::WrappingStore as _,
};

use super::{MongoOptions, MongoStore, migration, open, shared};
use crate::{
    record::{binary, chat_key, date, user_key},
    testing::TestKeys,
};

/// A store whose keys the test moves.
async fn store_and_keys(options: &MongoOptions) -> (MongoStore, Arc<TestKeys>) {
    let keys = Arc::new(TestKeys::default());
    let store = MongoStore::open(options, keys.clone()).await.unwrap();
    migration::up(store.database()).await.unwrap();
    (store, keys)
}

/// Everything in a database, as bytes.
async fn dump(database: &Database) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in database.list_collection_names().await.unwrap() {
        let collection = database.collection::<Document>(&name);
        let mut all = collection.find(doc! {}).await.unwrap();
        while all.advance().await.unwrap() {
            bytes.extend_from_slice(all.current().as_bytes());
        }
    }
    bytes
}

fn holds(dump: &[u8], what: &[u8]) -> bool {
    dump.windows(what.len()).any(|window| window == what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_no_name_interest_language_or_key_is_stored_in_clear() {
    let (store, _) = store_and_keys(&shared()).await;
    let mut ada = user(1, "Adalovelace");
    ada.language = "fr-CA".to_owned();
    ada.interests = vec!["counterpoint".to_owned()];
    store.create_user(&ada).await.unwrap();
    let mut opened = chat(1, &[1, 2]);
    opened.members[0].name = "Adalovelace".to_owned();
    opened.members[1].language = "pt-BR".to_owned();
    opened.why.shared_interests = vec!["counterpoint".to_owned()];
    store.open_chat(&opened, &tickets()).await.unwrap();
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), Some(ada.clone()));
    assert_eq!(
        store.chat(opened.id, NOW).await.unwrap(),
        Some(opened.clone())
    );
    let dump = dump(store.database()).await;
    for clear in [
        "Adalovelace",
        &ada.skeleton,
        "fr-CA",
        "pt-BR",
        "counterpoint",
    ] {
        assert!(!holds(&dump, clear.as_bytes()), "{clear}");
    }
    assert!(!holds(&dump, &opened.key.0), "the key of the chat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_day_key_a_record_is_waited_for_then_gone_and_keeps_nobody() {
    let options = shared();
    let (store, keys) = store_and_keys(&options).await;
    store.create_user(&user(1, "Ada")).await.unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    keys.forget();
    let waits = |outcome: Result<(), StoreError>| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("day key"), "{error}");
    };
    waits(store.user(user_id(1), NOW).await.map(drop));
    waits(store.chat(chat_id(1), NOW).await.map(drop));
    waits(store.seat(user_id(1), NOW).await.map(drop));

    let alone = Arc::new(TestKeys::alone());
    alone.turn();
    alone.forget();
    let lost = MongoStore::open(&options, alone.clone()).await.unwrap();
    assert_eq!(lost.user(user_id(1), NOW).await.unwrap(), None);
    assert_eq!(lost.chat(chat_id(1), NOW).await.unwrap(), None);
    assert_eq!(lost.seat(user_id(1), NOW).await.unwrap(), None);
    assert_eq!(lost.active_chats(None, 10, NOW).await.unwrap(), []);
    let refused = lost.create_user(&user(7, "Eve")).await.unwrap_err();
    assert!(refused.to_string().contains("no day key"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_wrapped_again_by_the_key_of_today_and_what_changes_meanwhile_stays() {
    let (store, keys) = store_and_keys(&shared()).await;
    for (number, name) in [(1, "Ada"), (2, "Bob"), (3, "Eve")] {
        store.create_user(&user(number, name)).await.unwrap();
    }
    let sealed = async || {
        let users = store.database().collection::<Document>("Users");
        let mut found = users.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
        let mut all = Vec::new();
        while found.advance().await.unwrap() {
            let user: Document = found.deserialize_current().unwrap();
            all.push(user.get("sealed").cloned().unwrap());
        }
        all
    };
    let before = sealed().await;
    keys.turn();
    store.update_user(&user(2, "Bobby"), NOW).await.unwrap();
    let changed = sealed().await;
    let next = store.rewrap(None, 2).await.unwrap();
    assert_eq!(next, Some(user_id(2)), "it goes on behind the second");
    assert_eq!(store.rewrap(next, 2).await.unwrap(), None, "and ends");
    let after = sealed().await;
    assert_eq!(after[1], changed[1], "it was wrapped by this key");
    for index in [0, 2] {
        assert_ne!(after[index], before[index]);
    }
    for (number, name) in [(1, "Ada"), (2, "Bobby"), (3, "Eve")] {
        let found = store.user(user_id(number), NOW).await.unwrap().unwrap();
        assert_eq!(found, user(number, name));
    }
}

/// Two people, their chat and one name without an account, as a server before wrapping has stored them.
async fn write_old(database: &Database) {
    let into = async |name: &str, record: Document| {
        let collection = database.collection::<Document>(name);
        collection.insert_one(record).await.unwrap();
    };
    let (ada, until) = (user(1, "Ada"), date(NOW + DAY));
    let id = user_key(ada.id);
    into(
        "Usernames",
        doc! { "_id": &ada.skeleton, "user": id.clone(), "expiresAt": until },
    )
    .await;
    into(
        "Usernames",
        doc! { "_id": "left over", "user": id.clone(), "expiresAt": until },
    )
    .await;
    into(
        "Users",
        doc! {
            "_id": id, "name": &ada.name, "skeleton": &ada.skeleton, "language": &ada.language,
            "interests": &ada.interests, "ageBracket": "18+", "createdAt": date(ada.created_at),
            "expiresAt": date(ada.expires_at),
        },
    )
    .await;
    let old = chat(1, &[1, 2]);
    let zero = doc! { "epoch": 0_i64, "seq": 0_i64 };
    let members = old.members.iter().map(|member| {
        Bson::Document(doc! {
            "user": user_key(member.user), "name": &member.name, "language": &member.language,
            "delivered": zero.clone(), "read": zero.clone(),
        })
    });
    into("ChatSessions", doc! {
        "_id": chat_key(old.id), "category": &old.category, "members": members.collect::<Vec<_>>(),
        "sharedInterests": &old.why.shared_interests, "isSameLanguage": old.why.is_same_language,
        "epochs": [{ "number": 1_i64, "base": 0_i64 }], "startedAt": date(old.started_at),
        "expiresAt": date(old.expires_at), "end": Bson::Null,
    })
    .await;
    let key = binary(&old.key.0);
    let expires_at = date(old.expires_at);
    into(
        "ChatKeys",
        doc! { "_id": chat_key(old.id), "key": key, "expiresAt": expires_at },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_server_has_stored_in_clear_is_wrapped_by_the_first_start() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    for undone in ["tokens of accounts", "wrapped people"] {
        let down = migration::down(store.database()).await.unwrap();
        assert_eq!(down, Some(undone));
    }
    write_old(store.database()).await;
    migration::up(store.database()).await.unwrap();
    let (first, second) = tokio::join!(store.wrap_clear(), store.wrap_clear());
    assert!(first.unwrap().max(second.unwrap()) >= 3);
    assert_eq!(store.wrap_clear().await.unwrap(), 0, "once is enough");
    let dump = dump(store.database()).await;
    let old = chat(1, &[1, 2]);
    for clear in ["Ada", "left over", &old.members[1].name] {
        assert!(!holds(&dump, clear.as_bytes()), "{clear}");
    }
    assert!(!holds(&dump, &old.key.0), "the key of the chat");
    let ada = store.user(user_id(1), NOW).await.unwrap().unwrap();
    assert_eq!(ada, user(1, "Ada"));
    let found = store.chat(chat_id(1), NOW).await.unwrap().unwrap();
    assert_eq!(
        (&found.members[0].name, found.key),
        (&old.members[0].name, old.key)
    );
    let twin = store.create_user(&user(9, "Ada")).await.unwrap();
    assert_eq!(twin, NameClaim::Taken, "the name is still hers");
    for undone in ["tokens of accounts", "wrapped people"] {
        let down = migration::down(store.database()).await.unwrap();
        assert_eq!(down, Some(undone));
    }
    assert_eq!(
        store
            .database()
            .collection::<Document>("Users")
            .count_documents(doc! {})
            .await
            .unwrap(),
        0,
        "an older server finds nothing that it cannot read"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_knows_the_secret_with_which_it_was_begun() {
    let options = shared();
    let one = open(&options).await;
    migration::up(one.database()).await.unwrap();
    let two = open(&options).await;
    let (first, second) = tokio::join!(one.knows_secret(), two.knows_secret());
    assert_eq!((first.unwrap(), second.unwrap()), (true, true));
    let another = MongoOptions {
        secret: ClusterSecret::new("another secret".repeat(3)).unwrap(),
        ..options.clone()
    };
    assert!(!open(&another).await.knows_secret().await.unwrap());
    assert!(open(&options).await.knows_secret().await.unwrap());
    assert!(!format!("{another:?}").contains("another secret"));
}
