//! Promises about what is erased, and when.

use super::*;
use crate::{NameClaim, Opening, Overdue, Rotation, StoreError};

/// Well after everything here has expired.
const LATER: UnixMs = NOW + 40 * DAY;

/// One of each: an account, its token, a chat of it, messages.
async fn fill(store: &Subject) {
    store.create_user(&user(1, "Ada")).await.unwrap();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    let messages: Vec<_> = (1..=25).map(|seq| message(1, 1, seq)).collect();
    store.append(&messages).await.unwrap();
}

/// Sweeps until nothing is due; returns how many records were removed.
async fn sweep_all(store: &Subject, now: UnixMs) -> usize {
    let mut removed = 0;
    loop {
        match store.sweep(now, 1_000).await.unwrap() {
            0 => return removed,
            some => removed += some,
        }
    }
}

pub async fn what_outlives_its_time_is_counted_until_it_is_swept(store: Subject) {
    fill(&store).await;
    let none = Overdue::default();
    assert_eq!(store.overdue(NOW, 1_000).await.unwrap(), none);
    let chats = store.overdue(NOW + DAY, 1_000).await.unwrap();
    assert_eq!((chats.chats, chats.accounts, chats.tokens), (1, 0, 0));
    let all = store.overdue(LATER, 1_000).await.unwrap();
    assert_eq!((all.chats, all.accounts), (1, 1));
    assert!(all.tokens >= 1 && all.sum() >= 3, "{all:?}");
    sweep_all(&store, LATER).await;
    assert_eq!(store.overdue(LATER, 1_000).await.unwrap(), none);
}

pub async fn expired_records_are_not_read_though_not_swept(store: Subject) {
    fill(&store).await;
    let mut short = message(1, 1, 26);
    short.expires_at = NOW + 1_000;
    store.append(&[short]).await.unwrap();
    let all = store
        .messages_after(chat_id(1), Position::START, 100, NOW)
        .await
        .unwrap();
    assert_eq!(all.len(), 26);
    let rest = store
        .messages_before(chat_id(1), None, 100, NOW + 1_000)
        .await
        .unwrap();
    assert_eq!(rest.len(), 25);
    let over = NOW + DAY;
    assert!(store.chat(chat_id(1), over - 1).await.unwrap().is_some());
    assert_eq!(store.chat(chat_id(1), over).await.unwrap(), None);
    assert_eq!(store.seat(user_id(1), over).await.unwrap(), None);
    assert_eq!(store.active_chats(None, 10, over).await.unwrap(), []);
    assert_eq!(
        store
            .messages_after(chat_id(1), Position::START, 100, over)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store
            .messages_before(chat_id(1), None, 100, over)
            .await
            .unwrap(),
        []
    );
    assert!(
        store
            .user(user_id(1), NOW + 30 * DAY - 1)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(store.user(user_id(1), NOW + 30 * DAY).await.unwrap(), None);
    assert_eq!(store.refresh(&[1; 32], NOW + 30 * DAY).await.unwrap(), None);
    let next = token(2, 1, 1);
    let late = store
        .rotate_refresh(&[1; 32], &next, NOW + 30 * DAY)
        .await
        .unwrap();
    assert_eq!(late, Rotation::Unknown);
}

pub async fn sweeping_removes_what_expired_and_nothing_else(store: Subject) {
    fill(&store).await;
    let mut young = chat(2, &[3, 4]);
    young.expires_at = NOW + 2 * DAY;
    store.open_chat(&young, &tickets()).await.unwrap();
    store.append(&[message(2, 1, 1)]).await.unwrap();
    assert_eq!(store.sweep(NOW + 1_000, 1_000).await.unwrap(), 0);
    assert!(sweep_all(&store, NOW + DAY).await >= 26);
    // Asked about a time before it expired: it is not just hidden, it is erased.
    assert_eq!(store.chat(chat_id(1), NOW).await.unwrap(), None);
    assert_eq!(
        store
            .messages_after(chat_id(1), Position::START, 100, NOW)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    assert_eq!(store.begin_epoch(chat_id(1), 1, NOW).await.unwrap(), None);
    assert!(
        !store
            .delete_message(chat_id(1), Position::new(1, 1))
            .await
            .unwrap()
    );
    assert_eq!(store.chat(young.id, NOW).await.unwrap(), Some(young));
    assert!(store.user(user_id(1), NOW).await.unwrap().is_some());
    sweep_all(&store, LATER).await;
    assert_eq!(store.user(user_id(1), NOW).await.unwrap(), None);
    assert_eq!(store.refresh(&[1; 32], NOW).await.unwrap(), None);
    assert_eq!(store.avoid(user_id(3), NOW).await.unwrap().recent, []);
    assert_eq!(
        store.create_user(&user(9, "Ada")).await.unwrap(),
        NameClaim::Claimed
    );
}

pub async fn sweeping_is_bounded_and_ends(store: Subject) {
    fill(&store).await;
    let mut rounds = 0;
    let mut removed = 0;
    loop {
        let some = store.sweep(NOW + DAY, 4).await.unwrap();
        assert!(some <= 8, "about four at once, not {some}");
        if some == 0 {
            break;
        }
        // After the first step nothing of the chat can be read, even if parts are still stored.
        assert_eq!(
            store
                .messages_before(chat_id(1), None, 100, NOW)
                .await
                .unwrap(),
            []
        );
        removed += some;
        rounds += 1;
    }
    assert!((6..=30).contains(&rounds), "{rounds}");
    assert!(removed >= 26, "{removed}");
    assert_eq!(store.sweep(NOW + DAY, 1_000).await.unwrap(), 0);
    assert_eq!(store.sweep(NOW + DAY, 0).await.unwrap(), 0);
}

pub async fn ending_a_chat_expires_its_messages(store: Subject) {
    fill(&store).await;
    let over = NOW + 60_000;
    store.end_chat(chat_id(1), &end(over)).await.unwrap();
    let all = store
        .messages_after(chat_id(1), Position::START, 100, over - 1)
        .await
        .unwrap();
    assert_eq!(all.len(), 25);
    assert!(all.iter().all(|message| message.expires_at == over));
    assert_eq!(
        store
            .messages_after(chat_id(1), Position::START, 100, over)
            .await
            .unwrap(),
        []
    );
    assert!(sweep_all(&store, over).await >= 26);
    assert_eq!(
        store
            .messages_before(chat_id(1), None, 100, NOW)
            .await
            .unwrap(),
        []
    );
    // The spent tickets of its members are kept for the rest of the day.
    assert_eq!(sweep_all(&store, NOW + DAY - 1).await, 0);
    assert_eq!(sweep_all(&store, NOW + DAY).await, 2);
}

pub async fn spent_tickets_outlive_their_chat_for_a_day(store: Subject) {
    let mut first = chat(1, &[1, 2]);
    first.expires_at = NOW + 1_000;
    let cancelled = store.cancel_ticket(user_id(2), ticket(9), NOW).await;
    assert!(cancelled.unwrap());
    let used = [ticket(5), ticket(10)];
    store.open_chat(&first, &used).await.unwrap();
    let over = NOW + DAY - 1;
    for now in [NOW + 1_000, over] {
        sweep_all(&store, now).await;
        assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
        let mut again = chat(2, &[1, 2]);
        (again.started_at, again.expires_at) = (now, now + DAY);
        let opening = store.open_chat(&again, &used).await.unwrap();
        assert_eq!(opening, Opening::Spent(user_id(1)));
    }
    assert!(
        !store
            .cancel_ticket(user_id(1), used[0], over)
            .await
            .unwrap()
    );
    // After that they are unknown, whether or not they were swept.
    for now in [NOW + DAY, NOW + DAY - 1] {
        let late = store.cancel_ticket(user_id(1), used[0], now).await;
        assert!(late.unwrap());
        sweep_all(&store, NOW + 3 * DAY).await;
    }
    // They outlive the account: one may still be under way.
    let cancelled = store.cancel_ticket(user_id(3), ticket(5), NOW).await;
    assert!(cancelled.unwrap());
    store.delete_user(user_id(3), NOW).await.unwrap();
    let opening = store.open_chat(&chat(3, &[3, 4]), &used).await.unwrap();
    assert_eq!(opening, Opening::Spent(user_id(3)));
}

pub async fn an_expired_name_and_an_expired_seat_are_free(store: Subject) {
    fill(&store).await;
    let mut late = user(5, "Ada");
    (late.created_at, late.expires_at) = (NOW + 31 * DAY, NOW + 60 * DAY);
    assert_eq!(store.create_user(&late).await.unwrap(), NameClaim::Claimed);
    let mut next = chat(2, &[1, 2]);
    (next.started_at, next.expires_at) = (NOW + DAY, NOW + 2 * DAY);
    assert_eq!(
        store.open_chat(&next, &tickets()).await.unwrap(),
        Opening::Opened
    );
    sweep_all(&store, NOW + DAY).await;
    assert_eq!(
        store.seat(user_id(1), NOW + DAY).await.unwrap(),
        Some(next.id)
    );
    assert_eq!(
        store.user(late.id, NOW + 30 * DAY).await.unwrap(),
        Some(late)
    );
}

pub async fn recent_partners_are_forgotten_after_a_week(store: Subject) {
    for (number, partner, started_at) in [(1, 2, NOW), (2, 3, NOW + DAY)] {
        let mut met = chat(number, &[1, partner]);
        (met.started_at, met.expires_at) = (started_at, started_at + DAY);
        store.open_chat(&met, &tickets()).await.unwrap();
        store
            .end_chat(met.id, &end(started_at + 60_000))
            .await
            .unwrap();
    }
    let recent = async |now| store.avoid(user_id(1), now).await.unwrap().recent;
    assert_eq!(recent(NOW + 7 * DAY - 1).await, [user_id(3), user_id(2)]);
    assert_eq!(recent(NOW + 7 * DAY).await, [user_id(3)]);
    sweep_all(&store, NOW + 7 * DAY).await;
    assert_eq!(recent(NOW).await, [user_id(3)]);
    assert_eq!(recent(NOW + 8 * DAY).await, []);
    sweep_all(&store, NOW + 8 * DAY).await;
    assert_eq!(recent(NOW).await, []);
}

pub async fn a_closed_store_is_unavailable(store: Subject) {
    fill(&store).await;
    store.check().await.unwrap();
    store.close().await;
    store.close().await;
    let is_unavailable = |error: StoreError| matches!(error, StoreError::Unavailable(_));
    assert!(is_unavailable(store.check().await.unwrap_err()));
    assert!(is_unavailable(
        store.append(&[message(1, 1, 99)]).await.unwrap_err()
    ));
    assert!(is_unavailable(
        store.chat(chat_id(1), NOW).await.unwrap_err()
    ));
    assert!(is_unavailable(store.sweep(NOW, 10).await.unwrap_err()));
}
