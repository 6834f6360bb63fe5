//! Promises about chats and seats.

use super::*;
use crate::Opening;

pub async fn an_opened_chat_can_be_read_and_seats_its_members(store: Subject) {
    let opened = chat(1, &[2, 1]);
    assert_eq!(
        store.open_chat(&opened, &tickets()).await.unwrap(),
        Opening::Opened
    );
    assert_eq!(
        store.open_chat(&opened, &tickets()).await.unwrap(),
        Opening::Opened
    );
    assert_eq!(
        store.chat(opened.id, NOW).await.unwrap(),
        Some(opened.clone())
    );
    for user in [1, 2] {
        assert_eq!(
            store.seat(user_id(user), NOW).await.unwrap(),
            Some(opened.id)
        );
    }
    assert_eq!(store.seat(user_id(3), NOW).await.unwrap(), None);
    assert_eq!(store.chat(chat_id(2), NOW).await.unwrap(), None);
}

pub async fn a_seated_user_is_not_seated_again_and_nobody_else_is(store: Subject) {
    store
        .open_chat(&chat(1, &[5, 7]), &tickets())
        .await
        .unwrap();
    let refused = chat(2, &[9, 7, 5]);
    assert_eq!(
        store
            .open_chat(&refused, &[7, 8, 9].map(ticket))
            .await
            .unwrap(),
        Opening::Seated(user_id(5))
    );
    assert_eq!(store.seat(user_id(9), NOW).await.unwrap(), None);
    assert_eq!(store.seat(user_id(5), NOW).await.unwrap(), Some(chat_id(1)));
    assert_eq!(store.chat(refused.id, NOW).await.unwrap(), None);
    assert_eq!(store.avoid(user_id(9), NOW).await.unwrap().recent, []);
    assert_eq!(store.active_chats(None, 10, NOW).await.unwrap().len(), 1);
}

pub async fn one_of_many_chats_gets_a_shared_user(store: Subject) {
    let answers = at_once(1..=50, |number| {
        let store = Arc::clone(&store);
        async move {
            (
                number,
                store
                    .open_chat(&chat(number, &[7, 100 + number]), &tickets())
                    .await
                    .unwrap(),
            )
        }
    })
    .await;
    let opened: Vec<_> = answers
        .iter()
        .filter(|(_, opening)| *opening == Opening::Opened)
        .collect();
    assert_eq!(opened.len(), 1, "{answers:?}");
    assert_eq!(
        store.seat(user_id(7), NOW).await.unwrap(),
        Some(chat_id(opened[0].0))
    );
    for (number, opening) in &answers {
        let seat = store.seat(user_id(100 + number), NOW).await.unwrap();
        let expected = (*opening == Opening::Opened).then(|| chat_id(*number));
        assert_eq!(seat, expected);
        assert!(*opening == Opening::Opened || *opening == Opening::Seated(user_id(7)));
    }
}

pub async fn ending_a_chat_frees_its_seats_and_stays(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let first = end(NOW + 60_000);
    assert_eq!(
        store.end_chat(chat_id(1), &first).await.unwrap(),
        Some(first)
    );
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    assert_eq!(store.active_chats(None, 10, NOW).await.unwrap(), []);
    assert_eq!(
        store
            .open_chat(&chat(2, &[2, 3]), &tickets())
            .await
            .unwrap(),
        Opening::Opened
    );
    let second = ChatEnd {
        reason: EndReason::Idle,
        at: NOW + 20,
        ..end(NOW + 1)
    };
    assert_eq!(
        store.end_chat(chat_id(1), &second).await.unwrap(),
        Some(first)
    );
    assert_eq!(store.seat(user_id(2), NOW).await.unwrap(), Some(chat_id(2)));
    let ended = store.chat(chat_id(1), NOW + 59_999).await.unwrap().unwrap();
    assert_eq!((ended.end, ended.expires_at), (Some(first), NOW + 60_000));
}

pub async fn an_end_never_prolongs_a_chat(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let held = store
        .end_chat(chat_id(1), &end(NOW + 3 * DAY))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(held, end(NOW + DAY));
    assert!(
        store
            .chat(chat_id(1), NOW + DAY - 1)
            .await
            .unwrap()
            .is_some()
    );
    assert!(store.chat(chat_id(1), NOW + DAY).await.unwrap().is_none());
}

pub async fn an_unknown_chat_cannot_end_or_begin_an_epoch(store: Subject) {
    assert_eq!(store.end_chat(chat_id(1), &end(NOW)).await.unwrap(), None);
    assert_eq!(store.begin_epoch(chat_id(1), 1, NOW).await.unwrap(), None);
    let at = Position::new(1, 1);
    store.save_cursors(&[cursors(1, 0, at, at)]).await.unwrap();
    store.save_cursors(&[]).await.unwrap();
}

pub async fn active_chats_are_paged_by_id(store: Subject) {
    for number in [5, 3, 1, 4, 2] {
        store
            .open_chat(&chat(number, &[10 * number, 10 * number + 1]), &tickets())
            .await
            .unwrap();
    }
    store
        .end_chat(chat_id(3), &end(NOW + 60_000))
        .await
        .unwrap();
    let page = |after, limit| {
        let store = Arc::clone(&store);
        async move {
            let chats = store.active_chats(after, limit, NOW).await.unwrap();
            chats.into_iter().map(|chat| chat.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(None, 3).await, [chat_id(1), chat_id(2), chat_id(4)]);
    assert_eq!(page(Some(chat_id(4)), 3).await, [chat_id(5)]);
    assert_eq!(page(Some(chat_id(5)), 3).await, []);
    assert_eq!(page(None, 1_000).await.len(), 4);
    assert_eq!(page(None, 0).await, []);
}

pub async fn cursors_never_go_back(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let save = |delivered, read| {
        let store = Arc::clone(&store);
        let at = |seq| Position::new(1, seq);
        async move {
            store
                .save_cursors(&[cursors(1, 1, at(delivered), at(read))])
                .await
                .unwrap();
            let member = store.chat(chat_id(1), NOW).await.unwrap().unwrap().members[1].clone();
            (member.delivered.seq, member.read.seq)
        }
    };
    assert_eq!(save(5, 3).await, (5, 3));
    assert_eq!(save(4, 4).await, (5, 4));
    assert_eq!(save(6, 2).await, (6, 4));
    assert_eq!(save(1, 1).await, (6, 4));
    let other = &store.chat(chat_id(1), NOW).await.unwrap().unwrap().members[0];
    assert_eq!(
        (other.delivered, other.read),
        (Position::START, Position::START)
    );
    // Among many, missing ones do not affect the others.
    let open = chat(2, &[3, 4]);
    store.open_chat(&open, &tickets()).await.unwrap();
    let (far, further) = (Position::new(1, 9), Position::new(2, 1));
    let many = [
        cursors(1, 9, far, Position::START),
        cursors(7, 0, far, far),
        cursors(1, 0, further, far),
        cursors(2, 1, far, Position::START),
        cursors(2, 1, far, far),
    ];
    store.save_cursors(&many).await.unwrap();
    for (number, member, expected) in [(1, 0, (further, far)), (2, 1, (far, far))] {
        let stored = store.chat(chat_id(number), NOW).await.unwrap().unwrap();
        let member = &stored.members[member];
        assert_eq!((member.delivered, member.read), expected);
    }
}

pub async fn an_epoch_begins_after_the_last_message(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store
        .open_chat(&chat(2, &[3, 4]), &tickets())
        .await
        .unwrap();
    let mut expected = vec![Epoch { number: 1, base: 0 }];
    for (number, written, base) in [(2, 0..0, 0), (3, 1..4, 3), (4, 0..0, 3), (5, 4..300, 299)] {
        for seq in written {
            store.append(&[message(1, number - 1, seq)]).await.unwrap();
        }
        store.append(&[message(2, 1, 1_000)]).await.unwrap();
        let epoch = Epoch { number, base };
        let begun = store.begin_epoch(chat_id(1), number - 1, NOW).await;
        assert_eq!(begun.unwrap(), Some(epoch));
        expected.push(epoch);
        for other in [0, number - 1, number + 1] {
            let begun = store.begin_epoch(chat_id(1), other, NOW).await;
            assert_eq!(begun.unwrap(), None);
        }
    }
    assert_eq!(
        store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs,
        expected
    );
    let late = store.begin_epoch(chat_id(1), 5, NOW + DAY).await;
    assert_eq!(late.unwrap(), None);
}

pub async fn of_many_who_begin_an_epoch_one_does(store: Subject) {
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store.append(&[message(1, 1, 1)]).await.unwrap();
    let begun = at_once(0..20, |_| {
        let store = Arc::clone(&store);
        async move { store.begin_epoch(chat_id(1), 1, NOW).await.unwrap() }
    })
    .await;
    let begun: Vec<_> = begun.into_iter().flatten().collect();
    assert_eq!(begun, [Epoch { number: 2, base: 1 }]);
    let epochs = store.chat(chat_id(1), NOW).await.unwrap().unwrap().epochs;
    assert_eq!(epochs[1..], begun);
}
