//! Promises about messages.

use super::*;
use crate::Stored;

pub async fn messages_come_back_as_they_were(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let sent: Vec<_> = (1..=3).map(|seq| message(1, 1, seq)).collect();
    store.append(&sent).await.unwrap();
    assert_eq!(
        store
            .messages_after(chat_id(1), Position::START, 10, NOW)
            .await
            .unwrap(),
        sent
    );
    assert_eq!(
        store
            .messages_before(chat_id(1), None, 10, NOW)
            .await
            .unwrap(),
        sent
    );
}

pub async fn appending_again_changes_nothing(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let first = message(1, 1, 1);
    store.append(std::slice::from_ref(&first)).await.unwrap();
    let mut other = message(1, 1, 1);
    other.sealed = Bytes::from_static(b"something else");
    for again in [
        [other, message(1, 1, 2)],
        [message(1, 1, 2), first.clone()],
        [message(1, 1, 2), message(1, 1, 2)],
    ] {
        let stored = store.append(&again).await.unwrap();
        assert_eq!(stored, Stored::default());
    }
    let stored = store
        .messages_after(chat_id(1), Position::START, 10, NOW)
        .await
        .unwrap();
    assert_eq!(stored, [first.clone(), message(1, 1, 2)]);
    assert!(
        store
            .delete_message(chat_id(1), first.position)
            .await
            .unwrap()
    );
    store.append(&[first]).await.unwrap();
    let stored = store
        .messages_after(chat_id(1), Position::START, 1, NOW)
        .await
        .unwrap();
    assert!(stored[0].is_deleted && stored[0].sealed.is_empty());
}

/// A message that differs from [`message`] only in its sender and the sender's id.
fn another(chat: u64, epoch: u32, seq: u64) -> StoredMessage {
    StoredMessage {
        client_message_id: ClientMessageId::from_bytes([0x77; 16]),
        ..message(chat, epoch, seq)
    }
}

async fn all(store: &Subject, chat: u64) -> Vec<StoredMessage> {
    let all = store.messages_after(chat_id(chat), Position::START, 1_000, NOW);
    all.await.unwrap()
}

pub async fn another_message_at_a_position_is_void_and_the_first_one_stays(store: Subject) {
    for number in 1..=2 {
        let members = [10 * number, 10 * number + 1];
        let opened = chat(number, &members);
        store.open_chat(&opened, &tickets()).await.unwrap();
        store.append(&[message(number, 1, 1)]).await.unwrap();
    }
    let of_other_sender = StoredMessage {
        member: 0,
        ..message(1, 1, 1)
    };
    let of_this_batch = another(1, 1, 2);
    for conflict in [
        vec![another(1, 1, 1)],
        vec![of_other_sender],
        vec![message(1, 1, 2), of_this_batch],
        vec![another(1, 1, 1), message(1, 1, 2)],
    ] {
        let batch = [&conflict[..], &[message(2, 1, 2)]].concat();
        let stored = store.append(&batch).await.unwrap();
        assert_eq!(stored.void, [chat_id(1)]);
        assert_eq!(all(&store, 1).await[0], message(1, 1, 1));
    }
    // The other chat of the batch is not affected.
    assert_eq!(all(&store, 2).await, [message(2, 1, 1), message(2, 1, 2)]);
}

pub async fn messages_of_an_older_epoch_are_void(store: Subject) {
    for number in 1..=2 {
        let opened = chat(number, &[10 * number, 10 * number + 1]);
        store.open_chat(&opened, &tickets()).await.unwrap();
        store.append(&[message(number, 1, 1)]).await.unwrap();
    }
    store.begin_epoch(chat_id(1), 1, NOW).await.unwrap();
    let batch = [message(1, 1, 2), message(2, 1, 2)];
    let stored = store.append(&batch).await.unwrap();
    assert_eq!(stored.void, [chat_id(1)]);
    // For a node that believes in the older epoch even a surviving message counts as void: it must
    // load the chat.
    let stored = store.append(&[message(1, 1, 1)]).await.unwrap();
    assert_eq!(stored.void, [chat_id(1)]);
    let stored = store.append(&[message(1, 2, 2)]).await.unwrap();
    assert_eq!(stored, Stored::default());
    assert_eq!(all(&store, 1).await, [message(1, 1, 1), message(1, 2, 2)]);
    assert_eq!(all(&store, 2).await, [message(2, 1, 1), message(2, 1, 2)]);
}

pub async fn what_comes_after_the_base_of_a_later_epoch_is_never_read(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    store.begin_epoch(chat_id(1), 1, NOW).await.unwrap();
    // Messages of a slow node: before the next epoch has any message, and after.
    store.append(&[message(1, 1, 2)]).await.unwrap();
    assert_eq!(all(&store, 1).await, [message(1, 1, 1)]);
    store.append(&[message(1, 2, 2)]).await.unwrap();
    store
        .append(&[message(1, 1, 3), message(1, 1, 4)])
        .await
        .unwrap();
    let surviving = [message(1, 1, 1), message(1, 2, 2)];
    assert_eq!(all(&store, 1).await, surviving);
    let newest = store.messages_before(chat_id(1), None, 1, NOW).await;
    assert_eq!(newest.unwrap(), surviving[1..]);
    let before = Some(Position::new(2, 2));
    let older = store.messages_before(chat_id(1), before, 1, NOW).await;
    assert_eq!(older.unwrap(), surviving[..1]);
    // Nor does it count for the base of the next epoch.
    let next = store.begin_epoch(chat_id(1), 2, NOW).await.unwrap();
    assert_eq!(next, Some(Epoch { number: 3, base: 2 }));
    assert_eq!(all(&store, 1).await, surviving);
}

pub async fn a_page_has_what_survives_however_much_is_void(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    store.begin_epoch(chat_id(1), 1, NOW).await.unwrap();
    let void: Vec<_> = (2..=20).map(|seq| message(1, 1, seq)).collect();
    store.append(&void).await.unwrap();
    store.append(&[message(1, 2, 2)]).await.unwrap();
    let surviving = [message(1, 1, 1), message(1, 2, 2)];
    for limit in [2, 3, 5, 19, 30] {
        let after = store.messages_after(chat_id(1), Position::START, limit, NOW);
        assert_eq!(after.await.unwrap(), surviving);
        let before = store.messages_before(chat_id(1), None, limit, NOW);
        assert_eq!(before.await.unwrap(), surviving);
    }
}

/// A reader that reads all the time sees each batch completely or not at all.
pub async fn a_batch_is_stored_whole(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let reader = Arc::clone(&store);
    let watch = tokio::spawn(async move {
        loop {
            let seen = reader
                .messages_after(chat_id(1), Position::START, 1_000, NOW)
                .await
                .unwrap();
            assert_eq!(seen.len() % 10, 0, "{:?}", seqs(&seen));
            if seen.len() == 200 {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    for batch in 0..20 {
        let messages: Vec<_> = (1..=10)
            .map(|seq| message(1, 1, 10 * batch + seq))
            .collect();
        store.append(&messages).await.unwrap();
    }
    watch.await.unwrap();
}

pub async fn pages_meet_at_their_borders(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    for (epoch, seqs) in [(1, 1..=5), (2, 6..=10)] {
        let sent: Vec<_> = seqs.map(|seq| message(1, epoch, seq)).collect();
        store.append(&sent).await.unwrap();
        store.begin_epoch(chat_id(1), epoch, NOW).await.unwrap();
    }
    let after = async |epoch, seq, limit| {
        let at = Position::new(epoch, seq);
        seqs(
            &store
                .messages_after(chat_id(1), at, limit, NOW)
                .await
                .unwrap(),
        )
    };
    let before = async |at: Option<Position>, limit| {
        seqs(
            &store
                .messages_before(chat_id(1), at, limit, NOW)
                .await
                .unwrap(),
        )
    };
    assert_eq!(after(0, 0, 3).await, [1, 2, 3]);
    assert_eq!(after(1, 3, 4).await, [4, 5, 6, 7]);
    assert_eq!(after(1, 99, 100).await, [6, 7, 8, 9, 10]);
    assert_eq!(after(2, 9, 100).await, [10]);
    assert!(after(2, 10, 100).await.is_empty());
    assert!(after(0, 0, 0).await.is_empty());
    assert_eq!(before(None, 3).await, [8, 9, 10]);
    assert_eq!(before(Some(Position::new(2, 8)), 4).await, [4, 5, 6, 7]);
    assert_eq!(
        before(Some(Position::new(2, 1)), 100).await,
        [1, 2, 3, 4, 5]
    );
    assert!(before(Some(Position::new(1, 1)), 4).await.is_empty());
    assert!(before(Some(Position::START), 4).await.is_empty());
    assert_eq!(before(None, 1_000).await.len(), 10);
}

pub async fn chats_do_not_see_each_others_messages(store: Subject) {
    for number in 1..=3 {
        store
            .open_chat(&chat(number, &[10 * number, 10 * number + 1]), &tickets())
            .await
            .unwrap();
        store.append(&[message(number, 1, number)]).await.unwrap();
        let next = store.begin_epoch(chat_id(number), 1, NOW).await;
        assert_eq!(next.unwrap().unwrap().base, number);
        store.append(&[message(number, 2, 50)]).await.unwrap();
    }
    let after = store
        .messages_after(chat_id(2), Position::START, 10, NOW)
        .await
        .unwrap();
    assert_eq!(after, [message(2, 1, 2), message(2, 2, 50)]);
    assert_eq!(
        store
            .messages_before(chat_id(2), None, 10, NOW)
            .await
            .unwrap(),
        after
    );
    let nobodys = store.append(&[message(99, 1, 1)]).await.unwrap();
    assert_eq!(nobodys, gone(99));
    let unknown = store
        .messages_after(chat_id(99), Position::START, 10, NOW)
        .await
        .unwrap();
    assert_eq!(unknown, []);
}

/// What an append returns that has met this erased chat and no other hindrance.
fn gone(chat: u64) -> Stored {
    Stored {
        gone: vec![chat_id(chat)],
        ..Stored::default()
    }
}

pub async fn g1_a_message_of_an_erased_chat_is_never_called_stored(store: Subject) {
    let mut young = chat(2, &[3, 4]);
    young.expires_at = NOW + 2 * DAY;
    for opened in [chat(1, &[1, 2]), young] {
        store.open_chat(&opened, &tickets()).await.unwrap();
    }
    let sent: Vec<_> = (1..=25).map(|seq| message(1, 1, seq)).collect();
    store.append(&sent).await.unwrap();
    // In small steps of a sweep: the key is destroyed, other parts of the chat are still stored.
    while store.chat(chat_id(1), NOW).await.unwrap().is_some() {
        store.sweep(NOW + DAY, 4).await.unwrap();
    }
    let batch = [message(1, 1, 26), message(2, 1, 1), message(1, 1, 27)];
    assert_eq!(store.append(&batch).await.unwrap(), gone(1));
    let again = store.append(&[message(1, 1, 25)]).await.unwrap();
    assert_eq!(again, gone(1), "though it was stored before");
    let older = store.append(&[message(1, 9, 28)]).await.unwrap();
    assert_eq!(older, gone(1), "whatever its epoch");
    assert_eq!(all(&store, 1).await, []);
    assert_eq!(all(&store, 2).await, [message(2, 1, 1)]);
    while store.sweep(NOW + DAY, 1_000).await.unwrap() > 0 {}
    let late = store.append(&[message(1, 1, 26)]).await.unwrap();
    assert_eq!(late, gone(1), "nothing of it is left");
    let left = store.sweep(NOW + DAY, 1_000).await.unwrap();
    assert_eq!(left, 0, "and nothing was kept");
}

pub async fn g1_a_message_of_an_expired_chat_is_never_called_stored(store: Subject) {
    let opened = chat(1, &[1, 2]);
    store.open_chat(&opened, &tickets()).await.unwrap();
    let over = NOW + 60_000;
    store.end_chat(opened.id, &end(over)).await.unwrap();
    let at = |at, seq| StoredMessage {
        at,
        ..message(1, 1, seq)
    };
    let before = store.append(&[at(over - 1, 1)]).await.unwrap();
    assert_eq!(before, Stored::default(), "it can still be read");
    let after = store.append(&[at(over, 2)]).await.unwrap();
    assert_eq!(after, gone(1), "though it was not swept");
}

pub async fn many_tasks_append_at_once(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    at_once(1..=200, |seq| {
        let store = Arc::clone(&store);
        async move { store.append(&[message(1, 1, seq)]).await.unwrap() }
    })
    .await;
    let stored = store
        .messages_after(chat_id(1), Position::START, 1_000, NOW)
        .await
        .unwrap();
    assert_eq!(seqs(&stored), (1..=200).collect::<Vec<_>>());
}

pub async fn deleting_a_message_erases_its_body(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store
        .append(&[message(1, 1, 1), message(1, 1, 2)])
        .await
        .unwrap();
    assert!(
        !store
            .delete_message(chat_id(1), Position::new(1, 3))
            .await
            .unwrap()
    );
    assert!(
        !store
            .delete_message(chat_id(2), Position::new(1, 1))
            .await
            .unwrap()
    );
    for _ in 0..2 {
        assert!(
            store
                .delete_message(chat_id(1), Position::new(1, 1))
                .await
                .unwrap()
        );
    }
    let deleted = StoredMessage {
        sealed: Bytes::new(),
        is_deleted: true,
        ..message(1, 1, 1)
    };
    let stored = store
        .messages_after(chat_id(1), Position::START, 10, NOW)
        .await
        .unwrap();
    assert_eq!(stored, [deleted, message(1, 1, 2)]);
}
