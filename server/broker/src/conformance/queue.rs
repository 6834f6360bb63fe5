//! Queues.

use std::{collections::BTreeSet, sync::Arc};

use nowrong_core::{
    matching::{Joined, Retried, Ticket},
    record::AgeBracket,
};
use nowrong_protocol::{
    TicketId, UserId,
    frame::{Stage, Why},
};

use super::at_once;
use crate::Broker;

/// The ticket of adult `user` of the broker's node, who speaks English and has waited for music
/// since `since_ms`.
pub fn ticket<B: Broker>(broker: &B, user: u8, since_ms: u64) -> Ticket {
    Ticket {
        node: broker.id(),
        id: TicketId::v7(since_ms, &[user; 10]),
        user: UserId::from_bytes([user; 16]),
        category: "music".to_owned(),
        interests: Vec::new(),
        language: "en".to_owned(),
        age_bracket: AgeBracket::Adult,
        blocked: Vec::new(),
        recent: Vec::new(),
        since_ms,
        is_new_account: false,
    }
}

fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

fn interests(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn join<B: Broker>(broker: &B, ticket: &Ticket) -> Joined {
    let joined = broker.join(ticket.clone(), ticket.since_ms).await;
    joined.expect("join")
}

async fn retry<B: Broker>(broker: &B, ticket: &Ticket, now: u64) -> Option<Retried> {
    broker.retry(ticket.id, now).await.expect("retry")
}

fn partner(joined: Joined) -> Option<Ticket> {
    match joined {
        Joined::Waiting => None,
        Joined::Offer { partner, .. } => Some(partner),
    }
}

pub async fn new_accounts_meet_each_other_first<B: Broker>(broker: Arc<B>) {
    let new = |user, since_ms| Ticket {
        is_new_account: true,
        ..ticket(&*broker, user, since_ms)
    };
    assert_eq!(join(&*broker, &new(1, 0)).await, Joined::Waiting);
    let met = partner(join(&*broker, &new(2, 10)).await);
    assert_eq!(met, Some(new(1, 0)));
    assert_eq!(
        join(&*broker, &ticket(&*broker, 3, 0)).await,
        Joined::Waiting
    );
    let young = new(4, 60_000);
    assert_eq!(join(&*broker, &young).await, Joined::Waiting);
    let old = ticket(&*broker, 3, 0);
    for now in [60_000, 62_999] {
        assert_eq!(
            retry(&*broker, &old, now).await.expect("it waits").offer,
            None
        );
        assert_eq!(
            retry(&*broker, &young, now).await.expect("it waits").offer,
            None
        );
    }
    let offer = retry(&*broker, &young, 63_000)
        .await
        .expect("it waits")
        .offer;
    assert_eq!(offer.map(|offer| offer.partner), Some(old));
    // One that has waited is there for everybody who comes.
    assert_eq!(join(&*broker, &new(5, 0)).await, Joined::Waiting);
    let met = partner(join(&*broker, &ticket(&*broker, 6, 3_000)).await);
    assert_eq!(met, Some(new(5, 0)));
}

pub async fn two_who_fit_are_offered_to_each_other<B: Broker>(broker: Arc<B>) {
    let (anna, bob) = (ticket(&*broker, 1, 0), ticket(&*broker, 2, 10));
    assert_eq!(join(&*broker, &anna).await, Joined::Waiting);
    assert_eq!(broker.waiting("music").await.expect("waiting"), 1);
    assert_eq!(partner(join(&*broker, &bob).await), Some(anna.clone()));
    assert_eq!(broker.waiting("music").await.expect("waiting"), 0);
    for gone in [anna, bob] {
        assert_eq!(retry(&*broker, &gone, 20_000).await, None);
    }
}

pub async fn a_stranger_of_another_category_waits<B: Broker>(broker: Arc<B>) {
    let films = Ticket {
        category: "films".to_owned(),
        ..ticket(&*broker, 1, 0)
    };
    join(&*broker, &films).await;
    assert_eq!(
        join(&*broker, &ticket(&*broker, 2, 0)).await,
        Joined::Waiting
    );
    assert_eq!(broker.waiting("films").await.expect("waiting"), 1);
    assert_eq!(broker.waiting("music").await.expect("waiting"), 1);
    assert_eq!(broker.waiting("unknown").await.expect("waiting"), 0);
}

pub async fn the_offer_says_why<B: Broker>(broker: Arc<B>) {
    let anna = Ticket {
        interests: interests(&["films", "chess", "jazz"]),
        language: "en-GB".to_owned(),
        ..ticket(&*broker, 1, 0)
    };
    let bob = Ticket {
        interests: interests(&["jazz", "golf", "films"]),
        language: "en-US".to_owned(),
        ..ticket(&*broker, 2, 0)
    };
    join(&*broker, &anna).await;
    let Joined::Offer { why, .. } = join(&*broker, &bob).await else {
        panic!("they share two");
    };
    let shared = Why {
        shared_interests: interests(&["jazz", "films"]),
        is_same_language: true,
    };
    assert_eq!(why, shared);
}

pub async fn a_retry_widens<B: Broker>(broker: Arc<B>) {
    let anna = Ticket {
        interests: interests(&["jazz"]),
        recent: vec![user(2)],
        ..ticket(&*broker, 1, 0)
    };
    let bob = Ticket {
        language: "de".to_owned(),
        ..ticket(&*broker, 2, 0)
    };
    join(&*broker, &anna).await;
    join(&*broker, &bob).await;
    for (now, stage) in [
        (2_999, Stage::Interests),
        (3_000, Stage::Language),
        (8_000, Stage::Category),
        (14_999, Stage::Category),
    ] {
        let retried = retry(&*broker, &anna, now).await;
        assert_eq!(retried, Some(Retried { stage, offer: None }), "{now}");
    }
    let retried = retry(&*broker, &anna, 15_000).await.expect("it waits");
    let offer = retried.offer.expect("the last stage takes recent partners");
    assert_eq!(
        (retried.stage, offer.ticket, offer.partner),
        (Stage::Anyone, anna, bob)
    );
    assert_eq!(offer.why, Why::default());
}

pub async fn g7_age_brackets_and_blocks_hold_at_every_stage<B: Broker>(broker: Arc<B>) {
    let anna = Ticket {
        blocked: vec![user(2)],
        ..ticket(&*broker, 1, 0)
    };
    let bob = ticket(&*broker, 2, 0);
    let teen = Ticket {
        age_bracket: AgeBracket::Teen,
        ..ticket(&*broker, 3, 0)
    };
    for ticket in [&anna, &bob, &teen] {
        assert_eq!(join(&*broker, ticket).await, Joined::Waiting);
    }
    for now in [0, 3_000, 8_000, 15_000, 86_400_000] {
        for ticket in [&anna, &bob, &teen] {
            let retried = retry(&*broker, ticket, now).await.expect("it waits");
            assert_eq!(retried.offer, None, "{now}");
        }
    }
}

pub async fn g6_a_user_has_one_ticket<B: Broker>(broker: Arc<B>) {
    let (older, newer) = (ticket(&*broker, 1, 0), ticket(&*broker, 1, 50));
    join(&*broker, &older).await;
    assert_eq!(
        join(&*broker, &newer).await,
        Joined::Waiting,
        "not matched with themself"
    );
    assert_eq!(retry(&*broker, &older, 60).await, None);
    assert!(!broker.cancel(older.id).await.expect("cancel"));
    assert_eq!(broker.waiting("music").await.expect("waiting"), 1);
    assert_eq!(
        partner(join(&*broker, &ticket(&*broker, 2, 60)).await),
        Some(newer.clone())
    );
    let newest = ticket(&*broker, 1, 70);
    join(&*broker, &newest).await;
    broker.requeue(newer.clone()).await.expect("requeue");
    assert_eq!(
        retry(&*broker, &newer, 80).await,
        None,
        "a newer ticket stays"
    );
    assert!(broker.cancel(newest.id).await.expect("cancel"));
}

pub async fn g6_a_paused_ticket_is_not_offered<B: Broker>(broker: Arc<B>) {
    let (anna, bob) = (ticket(&*broker, 1, 0), ticket(&*broker, 2, 10));
    join(&*broker, &anna).await;
    let paused = broker.set_paused(anna.id, true).await.expect("pause");
    assert_eq!(paused, Some(anna.clone()));
    assert_eq!(broker.waiting("music").await.expect("waiting"), 0);
    assert_eq!(join(&*broker, &bob).await, Joined::Waiting);
    assert_eq!(retry(&*broker, &anna, 20).await, None);
    let back = broker.set_paused(anna.id, false).await.expect("unpause");
    assert_eq!(back, Some(anna.clone()));
    let offer = retry(&*broker, &anna, 30)
        .await
        .and_then(|retried| retried.offer);
    assert_eq!(offer.map(|offer| offer.partner), Some(bob));
    assert_eq!(broker.set_paused(anna.id, true).await.expect("pause"), None);
}

pub async fn g6_a_requeued_ticket_keeps_its_place<B: Broker>(broker: Arc<B>) {
    let (first, second, third) = (
        ticket(&*broker, 1, 0),
        ticket(&*broker, 2, 10),
        ticket(&*broker, 3, 20),
    );
    join(&*broker, &first).await;
    assert_eq!(partner(join(&*broker, &second).await), Some(first.clone()));
    let blocks = Ticket {
        blocked: vec![user(1)],
        ..third
    };
    assert_eq!(join(&*broker, &blocks).await, Joined::Waiting);
    broker.requeue(first.clone()).await.expect("requeue");
    broker
        .requeue(first.clone())
        .await
        .expect("requeueing again is harmless");
    assert_eq!(broker.waiting("music").await.expect("waiting"), 2);
    assert_eq!(
        partner(join(&*broker, &ticket(&*broker, 4, 30)).await),
        Some(first)
    );
}

pub async fn g6_what_is_gone_is_gone<B: Broker>(broker: Arc<B>) {
    let anna = ticket(&*broker, 1, 0);
    assert!(
        !broker.cancel(anna.id).await.expect("cancel"),
        "it never came"
    );
    join(&*broker, &anna).await;
    assert!(broker.cancel(anna.id).await.expect("cancel"));
    assert!(!broker.cancel(anna.id).await.expect("cancel"));
    assert_eq!(
        join(&*broker, &ticket(&*broker, 2, 10)).await,
        Joined::Waiting
    );
}

pub async fn g6_cancel_and_match_never_both_win<B: Broker>(broker: Arc<B>) {
    for round in 0..1_000_u64 {
        let (anna, bob) = (
            ticket(&*broker, 1, 2 * round),
            ticket(&*broker, 2, 2 * round + 1),
        );
        join(&*broker, &anna).await;
        let (anna_id, bob_id) = (anna.id, bob.id);
        let race = at_once(&broker, 2, move |broker, n| {
            let bob = bob.clone();
            async move {
                if n == 0 {
                    broker.cancel(anna_id).await.expect("cancel")
                } else {
                    partner(join(&*broker, &bob).await).is_some()
                }
            }
        });
        let won = race.await.into_iter().filter(|has_won| *has_won).count();
        assert_eq!(won, 1, "round {round}");
        broker.cancel(bob_id).await.expect("cancel");
        assert_eq!(broker.waiting("music").await.expect("waiting"), 0);
    }
}

pub async fn g6_many_who_join_at_once_meet_once<B: Broker>(broker: Arc<B>) {
    let joins = at_once(&broker, 200, |broker, n| async move {
        let ticket = ticket(&*broker, n as u8, 1_000);
        (ticket.user, partner(join(&*broker, &ticket).await))
    });
    let joins = joins.await;
    let pairs = joins
        .iter()
        .filter_map(|(user, partner)| Some((*user, partner.as_ref()?.user)));
    let met: Vec<UserId> = pairs.flat_map(|(a, b)| [a, b]).collect();
    let distinct: BTreeSet<_> = met.iter().collect();
    assert_eq!(met.len(), 200, "everyone met someone");
    assert_eq!(distinct.len(), 200, "and nobody twice");
    assert_eq!(broker.waiting("music").await.expect("waiting"), 0);
}

pub async fn a_ticket_keeps_its_node<B: Broker>(broker: Arc<B>) {
    let anna = ticket(&*broker, 1, 0);
    join(&*broker, &anna).await;
    let met = partner(join(&*broker, &ticket(&*broker, 2, 10)).await).expect("they fit");
    assert_eq!(met.node, broker.id());
    broker.requeue(met.clone()).await.expect("requeue");
    let paused = broker.set_paused(anna.id, true).await.expect("pause");
    assert_eq!(paused, Some(met));
}
