//! What follows when the key of a chat was destroyed, or the chat itself removed, by another hand than
//! the sweep's, or when another hand changed something that can be read no more: messages that arrive
//! later, and seats that are left behind.

use mongodb::bson::{Document, doc};
use nowrong_store::{
    ChatStore as _, MessageStore as _, Opening, UserStore as _,
    conformance::{DAY, NOW, chat, chat_id, end, message, tickets, user, user_id},
};

use super::{MongoStore, migration, open, shared};
use crate::record::{CHATS, KEYS, MESSAGES, USERS, binary, chat_key, user_key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_what_is_stored_after_the_shredding_is_not_left_behind() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    for (number, people) in [(1, [1, 2]), (2, [3, 4])] {
        let opened = chat(number, &people);
        store.open_chat(&opened, &tickets()).await.unwrap();
    }
    let keys = store.database().collection::<Document>(KEYS);
    let shred = keys.delete_one(doc! { "_id": chat_key(chat_id(1)) });
    assert_eq!(shred.await.unwrap().deleted_count, 1);
    let batch = [message(1, 1, 1), message(2, 1, 1), message(1, 1, 2)];
    let stored = store.append(&batch).await.unwrap();
    assert_eq!(stored.gone, [chat_id(1)]);
    let left = store.database().collection::<Document>(MESSAGES);
    let count = |chat| left.count_documents(doc! { "_id.chat": chat_key(chat_id(chat)) });
    assert_eq!(count(1).await.unwrap(), 0);
    assert_eq!(count(2).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_what_is_stored_after_its_chat_was_removed_is_never_called_stored() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    let opened = chat(1, &[1, 2]);
    store.open_chat(&opened, &tickets()).await.unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    let chats = store.database().collection::<Document>(CHATS);
    let removed = chats.delete_one(doc! { "_id": chat_key(opened.id) });
    assert_eq!(removed.await.unwrap().deleted_count, 1);
    let stored = store.append(&[message(1, 1, 1), message(1, 1, 2)]).await;
    assert_eq!(
        stored.unwrap().gone,
        [opened.id],
        "it has a key, but no chat"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_kept_in_the_seat_of_a_shredded_chat() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    let shredded = chat(1, &[1, 2]);
    store.open_chat(&shredded, &tickets()).await.unwrap();
    let keys = store.database().collection::<Document>(KEYS);
    let shred = keys.delete_one(doc! { "_id": chat_key(shredded.id) });
    assert_eq!(shred.await.unwrap().deleted_count, 1);
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    let next = chat(2, &[1, 3]);
    let opening = store.open_chat(&next, &tickets()).await.unwrap();
    assert_eq!(opening, Opening::Opened);
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), Some(next.id));
    // The end of the old chat frees the seats that are still in it, and no other.
    let ended = store.end_chat(shredded.id, &end(NOW + 1_000)).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), Some(next.id));
}

/// How something other than a node makes a chat unreadable.
#[derive(Clone, Copy, Debug)]
enum Change {
    KeyOfAnotherChat,
    KeyCut,
    PeopleOfAnotherChat,
    PeopleOverwritten,
    MemberLess,
    EpochsGarbled,
}

const CHANGES: [Change; 6] = [
    Change::KeyOfAnotherChat,
    Change::KeyCut,
    Change::PeopleOfAnotherChat,
    Change::PeopleOverwritten,
    Change::MemberLess,
    Change::EpochsGarbled,
];

impl Change {
    async fn apply(self, store: &MongoStore, other: Document, other_key: Document) {
        let (collection, update) = match self {
            Self::KeyOfAnotherChat => {
                let key = other_key.get("key").cloned().unwrap();
                (KEYS, doc! { "$set": { "key": key } })
            }
            Self::KeyCut => {
                let bytes = other_key.get_binary_generic("key").unwrap();
                (KEYS, doc! { "$set": { "key": binary(&bytes[..20]) } })
            }
            Self::PeopleOfAnotherChat => {
                let sealed = other.get("sealed").cloned().unwrap();
                (CHATS, doc! { "$set": { "sealed": sealed } })
            }
            Self::PeopleOverwritten => (CHATS, doc! { "$set": { "sealed": binary(&[0xa5; 99]) } }),
            Self::MemberLess => (CHATS, doc! { "$pop": { "members": 1 } }),
            Self::EpochsGarbled => (CHATS, doc! { "$set": { "epochs": ["garbled"] } }),
        };
        let changed = store.database().collection::<Document>(collection);
        let change = changed.update_one(doc! { "_id": chat_key(chat_id(1)) }, update);
        assert_eq!(change.await.unwrap().modified_count, 1);
    }
}

async fn stored(store: &MongoStore, collection: &str, number: u64) -> Document {
    let found = store.database().collection::<Document>(collection);
    let found = found.find_one(doc! { "_id": chat_key(chat_id(number)) });
    found.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_another_hand_made_unreadable_is_gone_and_keeps_nobody() {
    for change in CHANGES {
        let store = open(&shared()).await;
        migration::up(store.database()).await.unwrap();
        for (number, people) in [(1, [1, 2]), (2, [3, 4])] {
            let opened = chat(number, &people);
            store.open_chat(&opened, &tickets()).await.unwrap();
        }
        let (other, key) = (
            stored(&store, CHATS, 2).await,
            stored(&store, KEYS, 2).await,
        );
        change.apply(&store, other, key).await;
        assert_eq!(
            store.chat(chat_id(1), NOW).await.unwrap(),
            None,
            "{change:?}"
        );
        assert_eq!(
            store.seat(user_id(1), NOW).await.unwrap(),
            None,
            "{change:?}"
        );
        let active = store.active_chats(None, 10, NOW).await.unwrap();
        let active: Vec<_> = active.iter().map(|chat| chat.id).collect();
        assert_eq!(active, [chat_id(2)], "{change:?}");
        let opening = store.open_chat(&chat(3, &[1, 5]), &tickets()).await;
        assert_eq!(opening.unwrap(), Opening::Opened, "{change:?}");
        assert_eq!(
            store.seat(user_id(1), NOW).await.unwrap(),
            Some(chat_id(3)),
            "{change:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_no_message_is_called_stored_under_a_key_that_does_not_open() {
    for change in [Change::KeyOfAnotherChat, Change::KeyCut] {
        let store = open(&shared()).await;
        migration::up(store.database()).await.unwrap();
        for (number, people) in [(1, [1, 2]), (2, [3, 4])] {
            let opened = chat(number, &people);
            store.open_chat(&opened, &tickets()).await.unwrap();
        }
        let (other, key) = (
            stored(&store, CHATS, 2).await,
            stored(&store, KEYS, 2).await,
        );
        change.apply(&store, other, key).await;
        let said = store.append(&[message(1, 1, 1), message(2, 1, 1)]).await;
        let said = said.unwrap();
        assert_eq!(
            (said.gone, said.void),
            (vec![chat_id(1)], vec![]),
            "{change:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_another_hand_made_unreadable_is_gone_and_keeps_no_other_from_living() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    for (number, name) in [(1, "Ada"), (2, "Bob"), (3, "Eve")] {
        store.create_user(&user(number, name)).await.unwrap();
    }
    let users = store.database().collection::<Document>(USERS);
    let bobs = users.find_one(doc! { "_id": user_key(user_id(2)) });
    let bobs = bobs.await.unwrap().unwrap();
    for (number, change) in [
        (1, doc! { "sealed": bobs.get("sealed").cloned() }),
        (3, doc! { "ageBracket": "garbled" }),
    ] {
        let change = users.update_one(
            doc! { "_id": user_key(user_id(number)) },
            doc! { "$set": change },
        );
        assert_eq!(change.await.unwrap().modified_count, 1);
        assert_eq!(store.user(user_id(number), NOW).await.unwrap(), None);
    }
    let all = [1, 2, 3].map(user_id);
    store.touch(&all, NOW + 40 * DAY).await.unwrap();
    let bob = store.user(user_id(2), NOW + 39 * DAY).await.unwrap();
    assert_eq!(bob.map(|bob| bob.name), Some("Bob".to_owned()));
    for number in [1, 2, 3] {
        store.delete_user(user_id(number), NOW).await.unwrap();
    }
    assert_eq!(users.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_read_is_erased_in_its_time_and_keeps_nothing_else() {
    let store = open(&shared()).await;
    migration::up(store.database()).await.unwrap();
    for (number, people) in [(1, [1, 2]), (2, [3, 4])] {
        let opened = chat(number, &people);
        store.open_chat(&opened, &tickets()).await.unwrap();
        store.append(&[message(number, 1, 1)]).await.unwrap();
        let name = format!("Ada{number}");
        store.create_user(&user(number, &name)).await.unwrap();
    }
    for (collection, key) in [(CHATS, chat_key(chat_id(1))), (USERS, user_key(user_id(1)))] {
        let garbled = store.database().collection::<Document>(collection);
        let garble = doc! { "$set": { "epochs": ["garbled"], "ageBracket": "garbled" } };
        let garble = garbled.update_one(doc! { "_id": key }, garble);
        assert_eq!(garble.await.unwrap().modified_count, 1);
    }
    let ended = store.end_chat(chat_id(1), &end(NOW + 1_000)).await;
    assert_eq!(ended.unwrap(), None, "there is none that could end");
    while store.sweep(NOW + 60 * DAY, 1_000).await.unwrap() > 0 {}
    for collection in [CHATS, KEYS, MESSAGES, USERS] {
        let left = store.database().collection::<Document>(collection);
        assert_eq!(
            left.count_documents(doc! {}).await.unwrap(),
            0,
            "{collection}"
        );
    }
}
