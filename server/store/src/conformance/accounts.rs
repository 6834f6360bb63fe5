//! Promises about accounts, blocks and categories.

use super::{tokens::rotate, *};
use crate::{Avoid, CategorySource, NameClaim, Opening, Rotation};

pub async fn a_created_user_can_be_read_and_has_the_name(store: Subject) {
    let ada = user(1, "Ada");
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), None);
    assert_eq!(store.create_user(&ada).await.unwrap(), NameClaim::Claimed);
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), Some(ada));
    let other = user(2, "ADA");
    assert_eq!(store.create_user(&other).await.unwrap(), NameClaim::Taken);
    assert_eq!(store.user(other.id, NOW).await.unwrap(), None);
}

pub async fn one_of_a_hundred_gets_a_name(store: Subject) {
    let claims = at_once(1..=100, |number| {
        let store = Arc::clone(&store);
        async move {
            (
                number,
                store.create_user(&user(number, "Ada")).await.unwrap(),
            )
        }
    })
    .await;
    let winners: Vec<_> = claims
        .iter()
        .filter(|(_, claim)| *claim == NameClaim::Claimed)
        .collect();
    assert_eq!(winners.len(), 1, "{claims:?}");
    for (number, claim) in &claims {
        let is_there = store.user(user_id(*number), NOW).await.unwrap().is_some();
        assert_eq!(is_there, *claim == NameClaim::Claimed);
    }
}

pub async fn updating_a_user_moves_the_name(store: Subject) {
    let mut ada = user(1, "Ada");
    assert_eq!(
        store.update_user(&ada, NOW).await.unwrap(),
        NameClaim::Unknown
    );
    store.create_user(&ada).await.unwrap();
    store.create_user(&user(2, "Bob")).await.unwrap();
    let before = ada.clone();
    (ada.name, ada.skeleton) = ("Bob".to_owned(), "bob".to_owned());
    assert_eq!(
        store.update_user(&ada, NOW).await.unwrap(),
        NameClaim::Taken
    );
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), Some(before));
    (ada.name, ada.skeleton) = ("Eve".to_owned(), "eve".to_owned());
    ada.expires_at += DAY;
    assert_eq!(
        store.update_user(&ada, NOW).await.unwrap(),
        NameClaim::Claimed
    );
    // A change that was read before the account was noted as used does not move it back.
    let stale = User {
        expires_at: NOW + DAY,
        ..ada.clone()
    };
    assert_eq!(
        store.update_user(&stale, NOW).await.unwrap(),
        NameClaim::Claimed
    );
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), Some(ada));
    assert_eq!(
        store.create_user(&user(3, "Eve")).await.unwrap(),
        NameClaim::Taken
    );
}

/// Another account of this name, which begins at `at`.
async fn claim(store: &Subject, number: u64, name: &str, at: UnixMs) -> NameClaim {
    let another = User {
        created_at: at,
        expires_at: at + DAY,
        ..user(number, name)
    };
    store.create_user(&another).await.unwrap()
}

pub async fn a_name_rests_for_a_day_after_its_account_was_erased(store: Subject) {
    store.create_user(&user(1, "Ada")).await.unwrap();
    let erased_at = NOW + 1_000;
    store.delete_user(user_id(1), erased_at).await.unwrap();
    // A second call does not prolong it.
    store.delete_user(user_id(1), erased_at + 9).await.unwrap();
    let over = erased_at + DAY;
    for at in [erased_at, over - 1] {
        assert_eq!(claim(&store, 2, "ADA", at).await, NameClaim::Taken);
        assert_eq!(store.user(user_id(2), at).await.unwrap(), None);
    }
    let mut bob = user(3, "Bob");
    store.create_user(&bob).await.unwrap();
    (bob.name, bob.skeleton) = ("Ada".to_owned(), "ada".to_owned());
    let renamed = store.update_user(&bob, over - 1).await.unwrap();
    assert_eq!(renamed, NameClaim::Taken);
    assert_eq!(claim(&store, 2, "Ada", over).await, NameClaim::Claimed);
}

pub async fn a_name_that_was_changed_rests_for_everybody_but_its_owner(store: Subject) {
    let (ada, eve) = (user(1, "Ada"), user(1, "Eve"));
    store.create_user(&ada).await.unwrap();
    assert_eq!(
        store.update_user(&eve, NOW).await.unwrap(),
        NameClaim::Claimed
    );
    let late = NOW + DAY - 1;
    assert_eq!(claim(&store, 2, "Ada", late).await, NameClaim::Taken);
    let back = store.update_user(&ada, NOW + 1_000).await.unwrap();
    assert_eq!(back, NameClaim::Claimed);
    assert_eq!(claim(&store, 2, "Eve", late).await, NameClaim::Taken);
    // It is its owner's again, and does not end with the rest.
    assert_eq!(
        claim(&store, 2, "Ada", NOW + 2 * DAY).await,
        NameClaim::Taken
    );
    sweep_names(&store, NOW + 2 * DAY).await;
    assert_eq!(
        claim(&store, 2, "Ada", NOW + 2 * DAY).await,
        NameClaim::Taken
    );
    assert_eq!(
        claim(&store, 2, "Eve", NOW + 2 * DAY).await,
        NameClaim::Claimed
    );
    // What rested before its owner was erased is nobody's then.
    store.update_user(&user(1, "Zoe"), NOW).await.unwrap();
    store.delete_user(user_id(1), NOW + 1).await.unwrap();
    for name in ["Ada", "Zoe"] {
        assert_eq!(claim(&store, 4, name, NOW + 2).await, NameClaim::Taken);
    }
}

pub async fn the_name_of_an_expired_account_rests_for_a_day_swept_or_not(store: Subject) {
    let expired_at = NOW + 30 * DAY;
    let over = expired_at + DAY;
    for (number, name) in [(1, "Ada"), (2, "Bob")] {
        store.create_user(&user(number, name)).await.unwrap();
    }
    for name in ["Ada", "Bob"] {
        assert_eq!(claim(&store, 3, name, over - 1).await, NameClaim::Taken);
    }
    assert_eq!(claim(&store, 3, "Ada", over).await, NameClaim::Claimed);
    sweep_names(&store, over - 1).await;
    assert_eq!(claim(&store, 4, "Bob", over - 1).await, NameClaim::Taken);
    assert_eq!(claim(&store, 4, "Bob", over).await, NameClaim::Claimed);
}

pub async fn a_name_that_has_rested_is_counted_until_it_is_swept(store: Subject) {
    store.create_user(&user(1, "Ada")).await.unwrap();
    store.delete_user(user_id(1), NOW).await.unwrap();
    let over = NOW + DAY;
    assert_eq!(store.overdue(over - 1, 100).await.unwrap().sum(), 0);
    assert_eq!(store.overdue(over, 100).await.unwrap().names, 1);
    sweep_names(&store, over).await;
    assert_eq!(store.overdue(over, 100).await.unwrap().sum(), 0);
}

async fn sweep_names(store: &Subject, now: UnixMs) {
    while store.sweep(now, 1_000).await.unwrap() > 0 {}
}

pub async fn creating_a_user_twice_is_harmless(store: Subject) {
    let ada = user(1, "Ada");
    store.create_user(&ada).await.unwrap();
    assert_eq!(store.create_user(&ada).await.unwrap(), NameClaim::Claimed);
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), Some(ada));
}

pub async fn touching_users_moves_the_expiry_forward_and_nothing_else(store: Subject) {
    let (mut ada, mut bob) = (user(1, "Ada"), user(7, "Bob"));
    let both = [ada.id, bob.id];
    assert_eq!(store.touch(&[], ada.expires_at).await.unwrap(), []);
    assert_eq!(store.touch(&both, ada.expires_at).await.unwrap(), both);
    assert_eq!(store.user(ada.id, NOW).await.unwrap(), None);
    for user in [&ada, &bob] {
        store.create_user(user).await.unwrap();
    }
    for expires_at in [ada.expires_at, ada.expires_at - DAY, 0] {
        assert_eq!(store.touch(&both, expires_at).await.unwrap(), []);
        assert_eq!(store.user(ada.id, NOW).await.unwrap(), Some(ada.clone()));
    }
    // The change of another caller, who read the account before, is not undone.
    (ada.name, ada.skeleton) = ("Eve".to_owned(), "eve".to_owned());
    store.update_user(&ada, NOW).await.unwrap();
    ada.expires_at += DAY;
    bob.expires_at += DAY;
    let nobody = user_id(99);
    let all = [ada.id, nobody, bob.id];
    assert_eq!(store.touch(&all, ada.expires_at).await.unwrap(), [nobody]);
    let late = ada.expires_at - 1;
    for _ in 0..2 {
        assert_eq!(store.user(ada.id, late).await.unwrap(), Some(ada.clone()));
        assert_eq!(store.user(bob.id, late).await.unwrap(), Some(bob.clone()));
        store.sweep(late, 1_000).await.unwrap();
    }
    // The names last as long.
    for name in ["Eve", "Bob"] {
        let mut other = user(2, name);
        (other.created_at, other.expires_at) = (late, late + DAY);
        assert_eq!(store.create_user(&other).await.unwrap(), NameClaim::Taken);
    }
    while store.sweep(ada.expires_at, 1_000).await.unwrap() > 0 {}
    let later = ada.expires_at + DAY;
    assert_eq!(store.touch(&both, later).await.unwrap(), both);
}

pub async fn blocks_hold_in_both_directions(store: Subject) {
    assert_eq!(
        store.avoid(user_id(1), NOW).await.unwrap(),
        Avoid::default()
    );
    store.block(user_id(1), user_id(2), NOW).await.unwrap();
    store.block(user_id(1), user_id(2), NOW + 1).await.unwrap();
    store.block(user_id(3), user_id(1), NOW).await.unwrap();
    let mut blocked = store.avoid(user_id(1), NOW).await.unwrap().blocked;
    blocked.sort();
    assert_eq!(blocked, [user_id(2), user_id(3)]);
    assert_eq!(
        store.avoid(user_id(2), NOW).await.unwrap().blocked,
        [user_id(1)]
    );
    assert_eq!(
        store.avoid(user_id(3), NOW).await.unwrap().blocked,
        [user_id(1)]
    );
    store.block(user_id(2), user_id(1), NOW).await.unwrap();
    assert_eq!(
        store.avoid(user_id(2), NOW).await.unwrap().blocked,
        [user_id(1)]
    );
}

pub async fn recent_partners_are_newest_first_and_bounded(store: Subject) {
    for partner in (2..=60).chain([30]) {
        let mut met = chat(1_000 + partner, &[1, partner]);
        met.started_at = NOW + partner;
        if partner == 30 {
            met.id =
                chat_id(5_000 + store.avoid(user_id(1), NOW).await.unwrap().recent.len() as u64);
            met.started_at = NOW + 100;
        }
        assert_eq!(
            store.open_chat(&met, &tickets()).await.unwrap(),
            Opening::Opened
        );
        store.end_chat(met.id, &end(NOW + 60_000)).await.unwrap();
    }
    let recent = store.avoid(user_id(1), NOW + 200).await.unwrap().recent;
    assert_eq!(recent.len(), 50);
    assert_eq!(recent[..3], [user_id(30), user_id(60), user_id(59)]);
    assert!(!recent[1..].contains(&user_id(30)) && !recent.contains(&user_id(2)));
    assert_eq!(
        store.avoid(user_id(60), NOW + 200).await.unwrap().recent,
        [user_id(1)]
    );
}

pub async fn deleting_a_user_leaves_nothing(store: Subject) {
    store.create_user(&user(1, "Ada")).await.unwrap();
    store.create_user(&user(2, "Bob")).await.unwrap();
    store.create_refresh(&token(1, 1, 1)).await.unwrap();
    store.create_refresh(&token(2, 2, 1)).await.unwrap();
    store.create_refresh(&token(3, 3, 2)).await.unwrap();
    store.block(user_id(1), user_id(3), NOW).await.unwrap();
    store.block(user_id(2), user_id(3), NOW).await.unwrap();
    store
        .open_chat(&chat(1, &[1, 2]), &tickets())
        .await
        .unwrap();
    store
        .end_chat(chat_id(1), &end(NOW + 60_000))
        .await
        .unwrap();
    for _ in 0..2 {
        store.delete_user(user_id(1), NOW).await.unwrap();
        assert_eq!(store.user(user_id(1), NOW).await.unwrap(), None);
        assert_eq!(store.refresh(&[1; 32], NOW).await.unwrap(), None);
        assert_eq!(store.refresh(&[2; 32], NOW).await.unwrap(), None);
        assert_eq!(
            store.avoid(user_id(1), NOW).await.unwrap(),
            Avoid::default()
        );
        assert_eq!(store.seat(user_id(1), NOW).await.unwrap(), None);
    }
    assert!(store.refresh(&[3; 32], NOW).await.unwrap().is_some());
    assert_eq!(
        store.avoid(user_id(3), NOW).await.unwrap().blocked,
        [user_id(2)]
    );
    assert_eq!(store.avoid(user_id(2), NOW).await.unwrap().recent, []);
    assert_eq!(
        rotate(&store, 1, &token(4, 1, 1), NOW).await,
        Rotation::Unknown
    );
    assert_eq!(claim(&store, 4, "Ada", NOW + DAY).await, NameClaim::Claimed);
}

pub async fn categories_are_those_of_the_newest_file_until_the_database_decides(store: Subject) {
    use CategorySource::{Database, File};
    let ids = async || -> Vec<String> {
        let all = store.categories().await.unwrap();
        all.into_iter().map(|category| category.id).collect()
    };
    assert!(ids().await.is_empty());
    let first = [
        category("music", 300),
        category("art", 2),
        category("books", 2),
    ];
    assert!(store.put_categories(&first, File).await.unwrap());
    assert_eq!(ids().await, ["art", "books", "music"]);
    assert_eq!(store.categories().await.unwrap()[2], first[0]);
    let second = [category("music", 1), category("new", 2)];
    for _ in 0..2 {
        assert!(store.put_categories(&second, File).await.unwrap());
        assert_eq!(ids().await, ["music", "new"]);
    }
    assert_eq!(store.categories().await.unwrap(), second);
    let third = [category("theirs", 1)];
    assert!(store.put_categories(&third, Database).await.unwrap());
    assert!(!store.put_categories(&second, File).await.unwrap());
    assert_eq!(ids().await, ["theirs"]);
    let fourth = [category("theirs", 1), category("too", 2)];
    assert!(store.put_categories(&fourth, Database).await.unwrap());
    assert_eq!(ids().await, ["theirs", "too"]);
}
