//! Promises about opening chats: tickets are used once, cancels and blocks hold.

use super::*;
use crate::Opening;

/// Opens a chat of users 1 and 2 and ends it, before the next one.
async fn open_and_end(store: &Subject, number: u64, tickets: [u64; 2]) -> Opening {
    let tickets = tickets.map(ticket);
    let opened = store.open_chat(&chat(number, &[1, 2]), &tickets).await;
    let end = end(NOW + 60_000);
    store.end_chat(chat_id(number), &end).await.unwrap();
    opened.unwrap()
}

pub async fn a_ticket_opens_one_chat(store: Subject) {
    let first = chat(1, &[1, 2]);
    let used = [ticket(20), ticket(10)];
    assert_eq!(
        store.open_chat(&first, &used).await.unwrap(),
        Opening::Opened
    );
    // The same opening again is not a second use.
    assert_eq!(
        store.open_chat(&first, &used).await.unwrap(),
        Opening::Opened
    );
    let seated = store.open_chat(&chat(2, &[1, 2]), &used).await;
    assert_eq!(seated.unwrap(), Opening::Seated(user_id(1)));
    let end = end(NOW + 60_000);
    store.end_chat(first.id, &end).await.unwrap();
    assert_eq!(
        open_and_end(&store, 2, [20, 11]).await,
        Opening::Spent(user_id(1))
    );
    assert_eq!(
        open_and_end(&store, 3, [21, 10]).await,
        Opening::Spent(user_id(2))
    );
    // Earlier tickets are spent too, and the lower user is named.
    assert_eq!(
        open_and_end(&store, 4, [19, 9]).await,
        Opening::Spent(user_id(1))
    );
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    assert_eq!(store.chat(chat_id(4), NOW).await.unwrap(), None);
    assert_eq!(open_and_end(&store, 5, [21, 11]).await, Opening::Opened);
}

pub async fn a_cancelled_ticket_opens_no_chat_nor_does_one_before_it(store: Subject) {
    let cancel = async |number| {
        let cancelled = store.cancel_ticket(user_id(1), ticket(number), NOW).await;
        cancelled.unwrap()
    };
    assert!(cancel(5).await && cancel(5).await);
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    for (number, spent) in [(1, 5), (2, 4)] {
        let opening = open_and_end(&store, number, [spent, 1]).await;
        assert_eq!(opening, Opening::Spent(user_id(1)));
    }
    // A late cancel undoes nothing.
    assert!(cancel(3).await);
    assert_eq!(
        open_and_end(&store, 3, [5, 1]).await,
        Opening::Spent(user_id(1))
    );
    assert_eq!(open_and_end(&store, 4, [6, 1]).await, Opening::Opened);
}

pub async fn a_cancel_loses_against_a_match(store: Subject) {
    let opened = chat(1, &[1, 2]);
    store
        .open_chat(&opened, &[ticket(5), ticket(7)])
        .await
        .unwrap();
    let cancel = async |user, number| {
        let cancelled = store.cancel_ticket(user_id(user), ticket(number), NOW);
        cancelled.await.unwrap()
    };
    assert!(!cancel(1, 5).await && !cancel(2, 7).await);
    assert!(!cancel(1, 4).await, "a later one has opened a chat");
    // A later ticket is independent, and says nothing about the seat.
    assert!(cancel(1, 6).await);
    assert!(!cancel(1, 5).await);
    assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), Some(opened.id));
    store.end_chat(opened.id, &end(NOW + 60_000)).await.unwrap();
    assert!(!cancel(1, 5).await && !cancel(2, 7).await);
    assert_eq!(
        open_and_end(&store, 2, [6, 8]).await,
        Opening::Spent(user_id(1))
    );
}

pub async fn of_a_cancel_and_an_opening_one_wins(store: Subject) {
    let (mut opened, mut cancelled) = (0, 0);
    for round in 1..=20 {
        let (one, two) = (2 * round, 2 * round + 1);
        let (opening, cancels) = (Arc::clone(&store), Arc::clone(&store));
        let chat = chat(round, &[one, two]);
        let open = tokio::spawn(async move {
            let tickets = [ticket(5), ticket(5)];
            let opening = opening.open_chat(&chat, &tickets);
            opening.await.unwrap()
        });
        let cancel = tokio::spawn(async move {
            let cancel = cancels.cancel_ticket(user_id(two), ticket(5), NOW);
            cancel.await.unwrap()
        });
        let seat = match (open.await.unwrap(), cancel.await.unwrap()) {
            (Opening::Opened, false) => Some(chat_id(round)),
            (Opening::Spent(user), true) if user == user_id(two) => None,
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(store.seat(user_id(two), NOW).await.unwrap(), seat);
        assert_eq!(store.seat(user_id(one), NOW).await.unwrap(), seat);
        *(if seat.is_some() {
            &mut opened
        } else {
            &mut cancelled
        }) += 1;
    }
    println!("{opened} opened, {cancelled} cancelled");
}

pub async fn no_chat_of_two_opens_after_a_block_between_them(store: Subject) {
    assert_eq!(open_and_end(&store, 1, [1, 1]).await, Opening::Opened);
    store.block(user_id(2), user_id(1), NOW).await.unwrap();
    assert_eq!(open_and_end(&store, 2, [2, 2]).await, Opening::Blocked);
    assert_eq!(store.chat(chat_id(2), NOW).await.unwrap(), None);
    // Tickets that are refused because of a block are not spent, and other users are not affected.
    for (number, partner) in [(3, 3), (4, 4)] {
        let opened = chat(number, &[number - 2, partner]);
        let tickets = [ticket(2), ticket(2)];
        assert_eq!(
            store.open_chat(&opened, &tickets).await.unwrap(),
            Opening::Opened
        );
    }
}

/// Every opening that ends after a block has returned has seen the block, even if the opening began
/// before.
pub async fn of_blocks_and_openings_at_once_none_opens_after_the_block(store: Subject) {
    for round in 1..=20 {
        let (one, two) = (2 * round, 2 * round + 1);
        let (opens, blocks) = (Arc::clone(&store), Arc::clone(&store));
        let chat = chat(round, &[one, two]);
        let open = tokio::spawn(async move {
            let tickets = [ticket(5), ticket(5)];
            let opening = opens.open_chat(&chat, &tickets);
            opening.await.unwrap()
        });
        let block = tokio::spawn(async move {
            let block = blocks.block(user_id(two), user_id(one), NOW);
            block.await.unwrap();
            blocks.seat(user_id(two), NOW).await.unwrap()
        });
        // A chat that does not exist when the block has returned is not opened later.
        let seat = block.await.unwrap();
        match open.await.unwrap() {
            Opening::Opened => assert_eq!(seat, Some(chat_id(round))),
            other => assert_eq!((other, seat), (Opening::Blocked, None)),
        }
    }
}
