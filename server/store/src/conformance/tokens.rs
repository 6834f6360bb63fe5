//! Promises about registrations and refresh tokens.

use nowrong_core::refresh::{OLD_MAX, OLD_WINDOW_MS, OPEN_MAX};

use super::*;
use crate::{NameClaim, Registered, Rotation};

pub async fn a_refresh_token_rotates(store: Subject) {
    let (first, second) = (token(1, 1, 1), token(2, 1, 1));
    assert_eq!(rotate(&store, 1, &second, NOW).await, Rotation::Unknown);
    assert_eq!(store.refresh(&second.hash, NOW).await.unwrap(), None);
    store.create_refresh(&first).await.unwrap();
    assert_eq!(store.refresh(&first.hash, NOW).await.unwrap(), Some(first));
    assert_eq!(rotate(&store, 1, &second, NOW).await, Rotation::Rotated);
    assert_eq!(
        store.refresh(&second.hash, NOW).await.unwrap(),
        Some(second)
    );
    assert_eq!(
        rotate(&store, 2, &token(3, 1, 1), NOW + DAY).await,
        Rotation::Rotated
    );
}

pub async fn a_token_can_be_exchanged_until_a_successor_was_used(store: Subject) {
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    // Lost responses, in the same moment and days later.
    for (number, at) in [(2, 0), (3, 0), (4, 11_000), (5, 20 * DAY)] {
        let next = RefreshToken {
            expires_at: NOW + at + 30 * DAY,
            ..token(number, 1, 1)
        };
        assert_eq!(rotate(&store, 1, &next, NOW + at).await, Rotation::Rotated);
    }
    // What was exchanged lives as long as its successor.
    let late = NOW + 45 * DAY;
    while store.sweep(late, 1_000).await.unwrap() > 0 {}
    let next = RefreshToken {
        expires_at: late + 30 * DAY,
        ..token(6, 1, 1)
    };
    assert_eq!(rotate(&store, 1, &next, late).await, Rotation::Rotated);
    let next = RefreshToken {
        hash: [7; 32],
        ..next
    };
    assert_eq!(rotate(&store, 6, &next, late).await, Rotation::Rotated);
    let thief = RefreshToken {
        hash: [8; 32],
        ..next
    };
    assert_eq!(rotate(&store, 1, &thief, late).await, Rotation::Reused);
    assert_eq!(rotate(&store, 7, &thief, late).await, Rotation::Unknown);
}

pub async fn siblings_do_not_close_each_other(store: Subject) {
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    let steps = [
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 5),
        (5, 6),
        (3, 7),
        (6, 8),
        (4, 9),
        (9, 10),
        (7, 11),
    ];
    for (used, next) in steps {
        let rotation = rotate(&store, used, &token(next, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Rotated, "{used} for {next}");
    }
}

pub async fn a_used_successor_revokes_the_family_and_no_other(store: Subject) {
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    store.create_refresh(&token(9, 2, 1)).await.unwrap();
    for (used, next) in [(1, 2), (1, 3), (2, 4)] {
        let rotation = rotate(&store, used, &token(next, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Rotated);
    }
    let thief = token(5, 1, 1);
    assert_eq!(rotate(&store, 1, &thief, NOW).await, Rotation::Reused);
    for revoked in 1..=5 {
        assert_eq!(store.refresh(&[revoked; 32], NOW).await.unwrap(), None);
        let rotation = rotate(&store, revoked, &token(6, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Unknown);
    }
    let other = rotate(&store, 9, &token(10, 2, 1), NOW).await;
    assert_eq!(other, Rotation::Rotated);
}

pub async fn many_who_exchange_one_token_at_once_all_get_good_ones(store: Subject) {
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    let exchange = |used: u8, next: u8| {
        let store = Arc::clone(&store);
        async move { rotate(&store, used, &token(next, 1, 1), NOW).await }
    };
    let all = at_once(2..=20, |number| exchange(1, number)).await;
    assert!(all.iter().all(|it| *it == Rotation::Rotated), "{all:?}");
    let all = at_once(2..=20, |number| exchange(number, 100 + number)).await;
    assert!(all.iter().all(|it| *it == Rotation::Rotated), "{all:?}");
}

pub async fn many_who_exchange_one_token_for_the_same_successor_share_one_chain(store: Subject) {
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    let exchange = |used: u8| {
        let store = Arc::clone(&store);
        async move { rotate(&store, used, &token(used + 1, 1, 1), NOW).await }
    };
    for used in 1..=3 {
        let all = at_once(0..20, |_| exchange(used)).await;
        assert!(all.iter().all(|it| *it == Rotation::Rotated), "{all:?}");
    }
    assert_eq!(exchange(2).await, Rotation::Reused);
    assert_eq!(exchange(4).await, Rotation::Unknown);
}

pub async fn a_theft_raises_the_generation_of_its_account_and_nothing_else_does(store: Subject) {
    let ada = registration(1, "Ada", Some(1));
    let bob = user(2, "Bob");
    store.register(&ada).await.unwrap();
    store.create_user(&bob).await.unwrap();
    let generations = async || {
        let mut all = store
            .generations(&[user_id(1), user_id(2), user_id(3)])
            .await
            .unwrap();
        all.sort();
        all
    };
    assert_eq!(generations().await, [(user_id(1), 0), (user_id(2), 0)]);
    for (round, family) in [(1, 1), (2, 9)] {
        let first = token(family * 10, family, 1);
        store.create_refresh(&first).await.unwrap();
        for (used, next) in [(0, 1), (1, 2)] {
            let next = token(family * 10 + next, family, 1);
            let rotation = rotate(&store, family * 10 + used, &next, NOW).await;
            assert_eq!(rotation, Rotation::Rotated);
        }
        let thief = token(family * 10 + 5, family, 1);
        let rotation = rotate(&store, family * 10, &thief, NOW).await;
        assert_eq!(rotation, Rotation::Reused);
        let rotation = rotate(&store, family * 10, &thief, NOW).await;
        assert_eq!(rotation, Rotation::Unknown, "once");
        assert_eq!(generations().await, [(user_id(1), round), (user_id(2), 0)]);
    }
    // Who writes an account that was read before changes nothing of it, nor does use.
    let renamed = user(1, "Eve");
    assert_eq!(
        store.update_user(&renamed, NOW).await.unwrap(),
        NameClaim::Claimed
    );
    let ids = [user_id(1)];
    assert_eq!(store.touch(&ids, NOW + 60 * DAY).await.unwrap(), []);
    let read = store.user(user_id(1), NOW).await.unwrap().unwrap();
    assert_eq!((read.name.as_str(), read.generation), ("Eve", 2));
    // It goes with the account.
    store.delete_user(user_id(1), NOW).await.unwrap();
    assert_eq!(generations().await, [(user_id(2), 0)]);
    store.create_user(&user(1, "Eve")).await.unwrap();
    assert_eq!(
        store
            .user(user_id(1), NOW)
            .await
            .unwrap()
            .unwrap()
            .generation,
        0
    );
}

pub async fn logging_out_ends_one_chain_or_all_of_the_account(store: Subject) {
    let out = async |number: u8, everywhere| {
        let ended = store.log_out(&[number; 32], everywhere, NOW).await;
        ended.unwrap().is_some()
    };
    let generation = async |number| {
        let known = store.generations(&[user_id(number)]).await.unwrap();
        known[0].1
    };
    for (number, name) in [(1, "Ada"), (2, "Bob")] {
        store.create_user(&user(number, name)).await.unwrap();
    }
    // Two devices that began with one token, and another account.
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    store.create_refresh(&token(50, 5, 2)).await.unwrap();
    for (used, next) in [(1, 2), (1, 3), (2, 4), (3, 5)] {
        let rotation = rotate(&store, used, &token(next, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Rotated);
    }
    assert!(!out(99, true).await, "unknown");
    assert!(!out(5, false).await, "the other device goes on");
    assert!(!out(5, false).await, "unknown by now");
    for number in [3, 5] {
        let rotation = rotate(&store, number, &token(9, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Unknown, "{number}");
        assert_eq!(store.refresh(&[number; 32], NOW).await.unwrap(), None);
    }
    let rotation = rotate(&store, 4, &token(6, 1, 1), NOW).await;
    assert_eq!(rotation, Rotation::Rotated);
    assert_eq!(generation(1).await, 0);
    // The last device, and all of them.
    assert!(out(6, false).await);
    assert_eq!(generation(1).await, 1);
    for family in [2, 3] {
        let first = token(family * 10, family, 1);
        store.create_refresh(&first).await.unwrap();
    }
    assert!(out(20, true).await);
    assert_eq!((generation(1).await, generation(2).await), (2, 0));
    for number in [1, 4, 6, 20, 30] {
        let rotation = rotate(&store, number, &token(9, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Unknown, "{number}");
    }
    let rotation = rotate(&store, 50, &token(51, 5, 2), NOW).await;
    assert_eq!(rotation, Rotation::Rotated);
    // Who comes with a token whose successor was used ends everything, as when it is exchanged.
    let rotation = rotate(&store, 51, &token(52, 5, 2), NOW).await;
    assert_eq!(rotation, Rotation::Rotated);
    assert!(out(50, false).await);
    assert_eq!(generation(2).await, 1);
    // An expired token, and the key of a registration, are not tokens.
    let ada = registration(7, "Eve", Some(7));
    store.register(&ada).await.unwrap();
    let key = ada.key.unwrap().hash;
    assert_eq!(store.log_out(&key, true, NOW).await.unwrap(), None);
    let late = ada.token.expires_at;
    assert_eq!(store.log_out(&[7; 32], true, late).await.unwrap(), None);
    assert_eq!(
        store.log_out(&[7; 32], true, NOW).await.unwrap(),
        Some(user_id(7))
    );
}

/// The hash of recovery code `number`.
fn code(number: u8) -> [u8; 32] {
    [0xc0 ^ number; 32]
}

pub async fn a_recovery_code_brings_the_account_back_and_ends_all_other_tokens(store: Subject) {
    let recover = async |number, next: u8| {
        // The server does not know yet whose it is.
        let first = token(next, next, 99);
        store.recover(&code(number), &first, NOW).await.unwrap()
    };
    for (number, name) in [(1, "Ada"), (2, "Bob")] {
        store.create_user(&user(number, name)).await.unwrap();
        let first = token(number as u8, number as u8, number);
        store.create_refresh(&first).await.unwrap();
    }
    assert_eq!(recover(1, 10).await, None);
    assert!(!store.put_recovery(user_id(3), &code(3)).await.unwrap());
    assert_eq!(recover(3, 10).await, None);
    assert!(store.put_recovery(user_id(1), &code(1)).await.unwrap());
    assert!(store.put_recovery(user_id(2), &code(2)).await.unwrap());
    let mut newest = 1;
    for (round, next) in [(1, 20), (2, 30)] {
        let found = recover(1, next).await.unwrap();
        assert_eq!((found.id, found.generation), (user_id(1), round));
        let read = store.user(user_id(1), NOW).await.unwrap();
        assert_eq!(read, Some(found));
        let rotation = rotate(&store, newest, &token(99, newest, 1), NOW).await;
        assert_eq!(rotation, Rotation::Unknown, "a token from before");
        let rotation = rotate(&store, next, &token(next + 1, next, 1), NOW).await;
        assert_eq!(rotation, Rotation::Rotated);
        newest = next + 1;
    }
    let other = rotate(&store, 2, &token(3, 2, 2), NOW).await;
    assert_eq!(other, Rotation::Rotated);
    // A new code replaces the one before; the same again changes nothing.
    for _ in 0..2 {
        assert!(store.put_recovery(user_id(1), &code(4)).await.unwrap());
    }
    assert_eq!(recover(1, 40).await, None);
    assert!(
        store
            .log_out(&[newest; 32], true, NOW)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(recover(4, 40).await.map(|user| user.id), Some(user_id(1)));
    for _ in 0..2 {
        store.delete_recovery(user_id(1)).await.unwrap();
        assert_eq!(recover(4, 50).await, None);
    }
    let rotation = rotate(&store, 40, &token(41, 40, 1), NOW).await;
    assert_eq!(rotation, Rotation::Rotated);
    assert_eq!(recover(2, 60).await.map(|user| user.id), Some(user_id(2)));
}

pub async fn a_recovery_code_is_no_token_and_lives_as_long_as_the_account(store: Subject) {
    let account = user(1, "Ada");
    store.create_user(&account).await.unwrap();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    assert!(store.put_recovery(account.id, &code(1)).await.unwrap());
    assert_eq!(store.refresh(&code(1), NOW).await.unwrap(), None);
    let next = token(2, 1, 1);
    let rotation = store.rotate_refresh(&code(1), &next, NOW).await;
    assert_eq!(rotation.unwrap(), Rotation::Unknown);
    let out = store.log_out(&code(1), true, NOW).await;
    assert_eq!(out.unwrap(), None);
    let first = token(3, 3, 1);
    let by_token = store.recover(&[1; 32], &first, NOW).await;
    assert_eq!(by_token.unwrap(), None, "a token is no code");

    let end = account.expires_at + 5 * DAY;
    assert_eq!(store.touch(&[account.id], end).await.unwrap(), []);
    while store.sweep(end - 1, 1_000).await.unwrap() > 0 {}
    let found = store.recover(&code(1), &first, end - 1).await.unwrap();
    assert_eq!(found.map(|user| user.generation), Some(1));
    let late = store.recover(&code(1), &first, end).await;
    assert_eq!(late.unwrap(), None);
    store.delete_user(account.id, NOW).await.unwrap();
    let gone = store.recover(&code(1), &first, NOW).await;
    assert_eq!(gone.unwrap(), None);
}

pub async fn the_tokens_of_a_family_are_bounded(store: Subject) {
    let numbered = |number: u32| {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        RefreshToken {
            hash,
            ..token(0, 1, 1)
        }
    };
    let exchange = async |used: u32, next: u32, now| {
        let next = numbered(next);
        let used = numbered(used).hash;
        store.rotate_refresh(&used, &next, now).await.unwrap()
    };
    store.create_refresh(&numbered(0)).await.unwrap();
    let repeated = OPEN_MAX as u32 + 5;
    for next in 1..=repeated {
        assert_eq!(exchange(0, next, NOW).await, Rotation::Rotated);
    }
    // The first responses are forgotten, without harm to anybody.
    assert_eq!(exchange(1, 9_000, NOW).await, Rotation::Unknown);
    let mut newest = repeated;
    for next in 1_001..1_001 + OLD_MAX {
        assert_eq!(exchange(newest, next, NOW).await, Rotation::Rotated);
        newest = next;
    }
    let wait = Rotation::TooMany { retry_after_ms: 7 };
    let soon = NOW + OLD_WINDOW_MS - 7;
    assert_eq!(exchange(newest, 9_001, soon).await, wait);
    let later = NOW + OLD_WINDOW_MS;
    assert_eq!(exchange(newest, 9_002, later).await, Rotation::Rotated);
}

pub async fn touching_a_user_keeps_the_tokens_that_can_be_exchanged(store: Subject) {
    let account = user(1, "Ada");
    store.create_user(&account).await.unwrap();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    for (used, next) in [(1, 2), (2, 3), (2, 4)] {
        let rotation = rotate(&store, used, &token(next, 1, 1), NOW).await;
        assert_eq!(rotation, Rotation::Rotated);
    }
    let end = account.expires_at + 5 * DAY;
    assert_eq!(store.touch(&[account.id], end).await.unwrap(), []);
    assert_eq!(store.touch(&[account.id], NOW).await.unwrap(), []);
    let late = end - 1;
    while store.sweep(late, 1_000).await.unwrap() > 0 {}
    // The first one was replaced and its successor used: it is kept no longer than it was.
    assert_eq!(store.refresh(&[1; 32], late).await.unwrap(), None);
    for number in 2..=4 {
        let kept = store.refresh(&[number; 32], late).await.unwrap();
        assert_eq!(kept.map(|kept| kept.expires_at), Some(end), "{number}");
    }
    let next = RefreshToken {
        expires_at: end + DAY,
        ..token(5, 1, 1)
    };
    assert_eq!(rotate(&store, 3, &next, late).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 4, &next, end).await, Rotation::Unknown);
}

/// Whatever an unfinished sweep has removed when somebody comes back: who is there has a token.
pub async fn an_expired_account_is_swept_with_its_tokens_or_revived_with_them(store: Subject) {
    let people = [1_u8, 2, 3];
    for number in people {
        let name = format!("Ada{number}");
        store.create_user(&user_named(number, &name)).await.unwrap();
        let token = token(number, 1, number.into());
        store.create_refresh(&token).await.unwrap();
    }
    let over = NOW + 31 * DAY;
    for number in people {
        store.sweep(over, number.into()).await.unwrap();
        let id = user_id(number.into());
        let gone = store.touch(&[id], over + DAY).await.unwrap();
        let user = store.user(id, over).await.unwrap();
        let token = store.refresh(&[number; 32], over).await.unwrap();
        assert_eq!(user.is_none(), gone == [id], "{number}");
        assert_eq!(user.is_some(), token.is_some(), "{number}");
    }
}

pub async fn a_registration_is_stored_whole_or_not_at_all(store: Subject) {
    let first = registration(1, "Ada", None);
    assert_eq!(store.register(&first).await.unwrap(), Registered::New);
    let user = store.user(user_id(1), NOW).await.unwrap();
    assert_eq!(user, Some(first.user));
    let stored = store.refresh(&first.token.hash, NOW).await.unwrap();
    assert_eq!(stored, Some(first.token));
    let rotation = rotate(&store, 1, &token(9, 1, 1), NOW).await;
    assert_eq!(rotation, Rotation::Rotated);

    let second = registration(2, "ADA", Some(2));
    for _ in 0..2 {
        let outcome = store.register(&second).await.unwrap();
        assert_eq!(outcome, Registered::NameTaken);
    }
    assert_eq!(store.user(user_id(2), NOW).await.unwrap(), None);
    assert_eq!(store.refresh(&[2; 32], NOW).await.unwrap(), None);
    // The key is as good as new when the name is free.
    store.delete_user(user_id(1), NOW).await.unwrap();
    let mut second = registration(2, "ADA", Some(2));
    second.user.created_at = NOW + DAY;
    assert_eq!(store.register(&second).await.unwrap(), Registered::New);
    let outcome = store.create_user(&user_named(3, "Ada")).await.unwrap();
    assert_eq!(outcome, NameClaim::Taken);
}

pub async fn a_registration_that_comes_again_has_the_same_account(store: Subject) {
    let first = registration(1, "Ada", Some(1));
    assert_eq!(store.register(&first).await.unwrap(), Registered::New);
    for number in 2..=4 {
        // The same request: another id and another token, made by a server that knows of no other.
        let again = registration(number, "Ada", Some(1));
        let outcome = store.register(&again).await.unwrap();
        assert_eq!(outcome, Registered::Again(first.user.clone()));
        assert_eq!(store.user(again.user.id, NOW).await.unwrap(), None);
        let stored = store.refresh(&again.token.hash, NOW).await.unwrap();
        let expected = RefreshToken {
            hash: again.token.hash,
            ..first.token.clone()
        };
        assert_eq!(stored, Some(expected));
    }
    let mut other = registration(5, "Bob", Some(1));
    if let Some(key) = &mut other.key {
        key.request = [9; 32];
    }
    let outcome = store.register(&other).await.unwrap();
    assert_eq!(outcome, Registered::KeyOfOther);
    assert_eq!(store.user(user_id(5), NOW).await.unwrap(), None);
    // Every response had a good token, and a key is not a token.
    for number in [4, 1, 2, 3] {
        let next = token(100 + number, 1, 1);
        assert_eq!(rotate(&store, number, &next, NOW).await, Rotation::Rotated);
    }
    let key = first.key.unwrap().hash;
    assert_eq!(store.refresh(&key, NOW).await.unwrap(), None);
    let rotation = store.rotate_refresh(&key, &token(9, 1, 1), NOW).await;
    assert_eq!(rotation.unwrap(), Rotation::Unknown);
}

pub async fn a_registration_that_comes_many_times_at_once_makes_one_account(store: Subject) {
    let all = at_once(1..=20, |number: u8| {
        let store = Arc::clone(&store);
        async move {
            let outcome = store.register(&registration(number, "Ada", Some(1))).await;
            (number, outcome.unwrap())
        }
    })
    .await;
    let made: Vec<_> = all.iter().filter(|it| it.1 == Registered::New).collect();
    let [(owner, _)] = made[..] else {
        panic!("{all:?}");
    };
    let owner = u64::from(*owner);
    for (number, outcome) in &all {
        let is_owners = |user: &User| user.id == user_id(owner);
        assert!(
            matches!(outcome, Registered::New)
                || matches!(outcome, Registered::Again(user) if is_owners(user)),
            "{outcome:?}"
        );
        let stored = store.refresh(&[*number; 32], NOW).await.unwrap().unwrap();
        assert_eq!(stored.user, user_id(owner));
    }
}

pub async fn the_key_of_a_registration_serves_until_a_token_is_exchanged(store: Subject) {
    let again = async |number, name: &str, key, at| {
        let mut again = registration(number, name, Some(key));
        again.user.created_at = at;
        store.register(&again).await.unwrap()
    };
    assert_eq!(again(1, "Ada", 1, NOW).await, Registered::New);
    let next = token(9, 1, 1);
    assert_eq!(rotate(&store, 1, &next, NOW).await, Rotation::Rotated);
    assert_eq!(again(2, "Ada", 1, NOW).await, Registered::KeySpent);
    let rotation = rotate(&store, 9, &token(10, 1, 1), NOW).await;
    assert_eq!(rotation, Rotation::Rotated, "nothing was revoked");

    // Its account is erased: the same request does not make another one.
    assert_eq!(again(3, "Bob", 3, NOW).await, Registered::New);
    store.delete_user(user_id(3), NOW).await.unwrap();
    assert_eq!(again(4, "Bob", 3, NOW).await, Registered::KeySpent);
    assert_eq!(again(4, "Bob", 4, NOW).await, Registered::NameTaken);
    assert_eq!(again(4, "Rob", 4, NOW).await, Registered::New);

    // A key that has expired is unknown, swept or not.
    let late = NOW + KEY_LIFETIME_MS;
    assert_eq!(again(5, "Rob", 4, late).await, Registered::NameTaken);
    while store.sweep(late, 1_000).await.unwrap() > 0 {}
    assert_eq!(again(5, "Rob", 4, late).await, Registered::NameTaken);
    assert_eq!(again(6, "Eve", 4, late).await, Registered::New);
}

/// How long the keys here serve.
const KEY_LIFETIME_MS: u64 = 60_000;

/// A registration of user `number` with token `number`, of a family of the same number.
fn registration(number: u8, name: &str, key: Option<u8>) -> Registration {
    Registration {
        user: user_named(number, name),
        token: token(number, number, number.into()),
        key: key.map(|key| RegistrationKey {
            hash: [0xe0 ^ key; 32],
            request: [key; 32],
            expires_at: NOW + KEY_LIFETIME_MS,
        }),
    }
}

fn user_named(number: u8, name: &str) -> User {
    user(number.into(), name)
}

pub(super) async fn rotate(
    store: &Subject,
    used: u8,
    next: &RefreshToken,
    now: UnixMs,
) -> Rotation {
    store.rotate_refresh(&[used; 32], next, now).await.unwrap()
}
