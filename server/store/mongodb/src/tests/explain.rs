//! Every query of the store must be a walk over an index that contains the shard key.
//!
//! The commands are those that the driver really sends while each method runs once, so no query is
//! overlooked.

use std::sync::{Arc, Mutex};

use mongodb::{
    Database,
    bson::{Bson, Document, doc},
    event::{EventHandler, command::CommandEvent},
};
use nowrong_core::record::{Registration, RegistrationKey};
use nowrong_protocol::Position;
use nowrong_store::{
    CategorySource, CategoryStore as _, ChatStore as _, MessageStore as _, UserStore as _,
    conformance::{
        DAY, NOW, category, chat, chat_id, cursors, end, message, ticket, tickets, token, user,
        user_id,
    },
    wrapping::WrappingStore as _,
};

use super::{MongoStore, migration, shared};
use crate::testing::TestKeys;

/// Fields of a command that do not belong to its query.
const ENVELOPE: [&str; 10] = [
    "$db",
    "lsid",
    "txnNumber",
    "startTransaction",
    "autocommit",
    "$clusterTime",
    "$readPreference",
    "readConcern",
    "writeConcern",
    "ordered",
];

type Seen = Arc<Mutex<Vec<Document>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_walks_the_index_of_the_shard_key() {
    let seen = Seen::default();
    let (store, keys) = watched(&seen).await;
    seen.lock().unwrap().clear();
    use_all_of(&store, &keys).await;
    let calls = std::mem::take(&mut *seen.lock().unwrap());
    for (commands, least) in [
        ("find", 20),
        ("update", 15),
        ("delete", 5),
        ("findAndModify", 2),
    ] {
        let count = calls.iter().filter(|call| call.contains_key(commands));
        assert!(count.count() >= least, "too few of {commands}");
    }
    for call in calls {
        check(store.database(), &call, &["_id"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweeper_walks_the_index_of_what_expires() {
    let seen = Seen::default();
    let (store, keys) = watched(&seen).await;
    use_all_of(&store, &keys).await;
    seen.lock().unwrap().clear();
    while store.sweep(NOW + 60 * DAY, 1_000).await.unwrap() > 0 {}
    let calls = std::mem::take(&mut *seen.lock().unwrap());
    assert!(calls.len() > 15, "{}", calls.len());
    for call in calls {
        check(store.database(), &call, &["_id", "expiresAt", "trimAt"]).await;
    }
}

/// A store whose queries go to `seen`.
async fn watched(seen: &Seen) -> (MongoStore, Arc<TestKeys>) {
    let (seen, keys) = (seen.clone(), Arc::<TestKeys>::default());
    let handler = move |event| {
        if let CommandEvent::Started(event) = event
            && ["find", "update", "delete", "aggregate", "findAndModify"]
                .contains(&&*event.command_name)
        {
            seen.lock().unwrap().push(event.command);
        }
    };
    let tune = |options: &mut mongodb::options::ClientOptions| {
        options.command_event_handler = Some(EventHandler::callback(handler));
    };
    let store = MongoStore::open_tuned(&shared(), keys.clone(), tune)
        .await
        .unwrap();
    migration::up(store.database()).await.unwrap();
    (store, keys)
}

/// Calls every method in a state where it finds data.
async fn use_all_of(store: &MongoStore, keys: &TestKeys) {
    store
        .put_categories(&[category("music", 1)], CategorySource::File)
        .await
        .unwrap();
    store.categories().await.unwrap();
    for (number, name) in [(1, "Ada"), (2, "Bob"), (3, "Eve")] {
        store.create_user(&user(number, name)).await.unwrap();
    }
    store.user(user_id(1), NOW).await.unwrap();
    keys.turn();
    store.rewrap(None, 1).await.unwrap();
    store.rewrap(Some(user_id(1)), 10).await.unwrap();
    store.update_user(&user(1, "Zoe"), NOW).await.unwrap();
    let pair = [user_id(1), user_id(2)];
    store.touch(&pair, NOW + 60 * DAY).await.unwrap();
    store.generations(&pair).await.unwrap();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    store.refresh(&[1; 32], NOW).await.unwrap();
    for next in 2..4 {
        let next = token(next, 1, 1);
        store.rotate_refresh(&[1; 32], &next, NOW).await.unwrap();
    }
    let registration = Registration {
        user: user(9, "Pat"),
        token: token(9, 9, 9),
        key: Some(RegistrationKey {
            hash: [0xee; 32],
            request: [1; 32],
            expires_at: NOW + DAY,
        }),
    };
    for _ in 0..2 {
        store.register(&registration).await.unwrap();
    }
    store.touch(&pair, NOW + 61 * DAY).await.unwrap();
    for _ in 0..2 {
        assert!(store.put_recovery(user_id(2), &[77; 32]).await.unwrap());
    }
    let first = token(78, 8, 2);
    let found = store.recover(&[77; 32], &first, NOW).await;
    assert!(found.unwrap().is_some());
    store.delete_recovery(user_id(2)).await.unwrap();
    for everywhere in [false, true] {
        let out = store.log_out(&[2; 32], everywhere, NOW).await;
        out.unwrap();
    }
    store.block(user_id(1), user_id(3), NOW).await.unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let cancelled = store.cancel_ticket(user_id(3), ticket(1), NOW).await;
    assert!(cancelled.unwrap());
    store.avoid(user_id(1), NOW).await.unwrap();
    store.seat(user_id(1), NOW).await.unwrap();
    store.chat(chat_id(1), NOW).await.unwrap();
    store.active_chats(None, 10, NOW).await.unwrap();
    store.active_chats(Some(chat_id(0)), 10, NOW).await.unwrap();
    for seq in [1, 2, 2] {
        store.append(&[message(1, 1, seq)]).await.unwrap();
    }
    let at = Position::new(1, 1);
    let begun = store.begin_epoch(chat_id(1), 1, NOW).await.unwrap();
    assert!(begun.is_some());
    store.save_cursors(&[cursors(1, 0, at, at)]).await.unwrap();
    store.messages_after(chat_id(1), at, 10, NOW).await.unwrap();
    store
        .messages_before(chat_id(1), None, 10, NOW)
        .await
        .unwrap();
    store
        .messages_before(chat_id(1), Some(at), 10, NOW)
        .await
        .unwrap();
    store.delete_message(chat_id(1), at).await.unwrap();
    store
        .end_chat(chat_id(1), &end(NOW + 60_000))
        .await
        .unwrap();
    store.delete_user(user_id(1), NOW).await.unwrap();
    store.check().await.unwrap();
}

/// Lets the server explain the command, and checks its plan.
async fn check(database: &Database, call: &Document, indexes: &[&str]) {
    let kept = call
        .iter()
        .filter(|(name, _)| !ENVELOPE.contains(&name.as_str()));
    let query: Document = kept
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // A command with several updates is explained one update at a time.
    if let Ok(updates) = query.get_array("updates")
        && updates.len() > 1
    {
        for update in updates {
            let mut one = query.clone();
            one.insert("updates", vec![update.clone()]);
            Box::pin(check(database, &one, indexes)).await;
        }
        return;
    }
    let explain = doc! { "explain": query.clone(), "verbosity": "queryPlanner" };
    let plan = database.run_command(explain).await.unwrap();
    let plan = plan.get_document("queryPlanner").unwrap();
    let plan = plan.get_document("winningPlan").unwrap();
    let mut leaves = Vec::new();
    gather_leaves(plan, &mut leaves);
    assert!(!leaves.is_empty(), "{query}\n{plan}");
    for (stage, keys) in leaves {
        let is_by_key = stage == "IDHACK" || stage.starts_with("EXPRESS");
        let is_walk = stage == "IXSCAN" && indexes.iter().any(|key| keys.contains_key(key));
        assert!(is_by_key || is_walk, "{query}\n{plan}");
    }
}

/// The stages that read, and the keys of their indexes.
fn gather_leaves(plan: &Document, leaves: &mut Vec<(String, Document)>) {
    let stage = plan.get_str("stage").unwrap_or("?").to_owned();
    assert_ne!(stage, "SORT", "sorted in memory: {plan}");
    let inner = plan.get_document("inputStage").ok();
    let many = plan.get_array("inputStages").ok();
    let inputs: Vec<&Document> = inner
        .into_iter()
        .chain(many.into_iter().flatten().filter_map(Bson::as_document))
        .collect();
    if inputs.is_empty() {
        let keys = plan.get_document("keyPattern").cloned();
        leaves.push((stage, keys.unwrap_or_default()));
    }
    for input in inputs {
        gather_leaves(input, leaves);
    }
}
