//! A node with another one beside it, whose notices come only from the test.

use std::{sync::Arc, time::Duration};

use nowrong_base::{clock::Clock, random};
use nowrong_broker::{Inbox, Nodes as _};
use nowrong_broker_redis::{
    RedisBroker,
    testing::{Server, eventually, node_at},
};
use nowrong_core::{
    chat::ChatRules,
    record::{ChatEnd, Notice, Signal},
};
use nowrong_protocol::{
    ConnectionId,
    frame::{EndReason, SeatState},
};
use nowrong_store::{
    Store,
    conformance::{chat, end, tickets, user_id},
};
use nowrong_store_embedded::EmbeddedStore;

use super::{Chat, Chats};
use crate::{disk::Disk, environment::Environment};

mod ended;
mod overtaken;
mod persisting;

const RULES: ChatRules = ChatRules {
    seat_hold: Duration::from_secs(60),
    idle_notice: Duration::from_secs(600),
    idle_end: Duration::from_secs(900),
    grace: Duration::from_secs(60),
    retention: Duration::from_secs(3_600),
};

/// A node with a chat whose connections are both lost.
struct Left {
    server: Server,
    broker: Arc<RedisBroker>,
    other: Arc<RedisBroker>,
    store: Arc<dyn Store>,
    chats: Arc<Chats>,
    chat: Arc<Chat>,
    clock: Clock,
}

impl Left {
    async fn begin() -> Self {
        let server = Server::start(&[]);
        // A node that connects knows the nodes that are already there.
        let other = node_at(&server.url(), "x").await;
        let broker = node_at(&server.url(), "x").await;
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let clock = Clock::default();
        let env = Environment {
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            metrics: Arc::default(),
            disk: Disk::none(),
        };
        let chats = Chats::new(env, Arc::default(), RULES);
        let mut record = chat(1, &[1, 2]);
        record.started_at = clock.now();
        record.expires_at = clock.now() + RULES.retention.as_millis() as u64;
        store.open_chat(&record, &tickets()).await.unwrap();
        let chat = chats.admit_opened(record).await.unwrap();
        Self {
            server,
            broker,
            other,
            store,
            chats,
            chat,
            clock,
        }
    }

    /// Lets the time pass for which seats are held.
    async fn seats_run_out(&self) {
        self.clock.advance(RULES.seat_hold);
        self.chats.tick().await;
    }

    /// The member comes back to this node.
    fn connect(&self, me: u8) {
        let id = ConnectionId::v7(self.clock.now(), &random::bytes());
        self.chat.members[usize::from(me)].state().connection = Some(id);
        self.chat.take_seat(me);
    }

    /// The other node sends a notice about a seat.
    async fn hear(&self, member: u8, state: SeatState) {
        let held_until = match state {
            SeatState::Held => self.clock.now() + 60_000,
            _ => 0,
        };
        let notice = Notice::Signal {
            chat: self.chat.id,
            member,
            signal: Signal::Seat { state, held_until },
        };
        self.chats.apply_notice(self.other.id(), notice).await;
    }

    /// The next notice to the other node.
    async fn answer(&self) -> Notice {
        let first = async {
            loop {
                if let Inbox::Notices(notices) = self.other.receive().await
                    && let Some((_, notice)) = notices.into_iter().next()
                {
                    return notice;
                }
            }
        };
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, first).await.unwrap()
    }

    fn end(&self) -> Option<EndReason> {
        let end = super::lock(&self.chat.state).end;
        end.map(|end| end.reason)
    }
}

#[tokio::test]
async fn g5_a_chat_whose_people_went_on_elsewhere_unheard_does_not_end() {
    let left = Left::begin().await;
    for user in [1, 2] {
        left.broker.take_place(user_id(user)).await.unwrap();
        left.other.take_place(user_id(user)).await.unwrap();
    }
    left.seats_run_out().await;
    left.seats_run_out().await;
    assert_eq!(left.end(), None);
    assert!(left.chats.all_chats().is_empty(), "it is the other node's");
}

#[tokio::test]
async fn a_chat_whose_end_was_not_heard_ends_when_its_people_are_found() {
    let left = Left::begin().await;
    left.other.take_place(user_id(1)).await.unwrap();
    let unheard = end(left.clock.now() + 600_000);
    left.store.end_chat(left.chat.id, &unheard).await.unwrap();
    left.seats_run_out().await;
    assert_eq!(left.end(), Some(EndReason::Left));
}

#[tokio::test]
async fn a_chat_that_was_erased_unheard_ends_when_its_people_are_found() {
    let left = Left::begin().await;
    left.other.take_place(user_id(1)).await.unwrap();
    let over = left.clock.now() + RULES.retention.as_millis() as u64;
    while left.store.sweep(over, 1_000).await.unwrap() > 0 {}
    left.seats_run_out().await;
    left.chats.check_chat(&left.chat).await;
    assert_eq!(left.end(), Some(EndReason::Expired));
}

#[tokio::test]
async fn g8_a_chat_is_over_at_its_time_though_the_store_refuses() {
    let left = Left::begin().await;
    left.connect(0);
    left.connect(1);
    left.store.close().await;
    left.chats.tick().await;
    assert_eq!(left.end(), None);
    left.clock.advance(RULES.retention);
    left.chats.tick().await;
    assert_eq!(left.end(), Some(EndReason::Expired));
}

#[tokio::test]
async fn a_node_that_holds_the_seat_of_who_is_here_is_told() {
    let left = Left::begin().await;
    left.connect(0);
    left.connect(1);
    left.hear(0, SeatState::Taken).await;
    left.hear(1, SeatState::Held).await;
    let told = Notice::Signal {
        chat: left.chat.id,
        member: 1,
        signal: Signal::Seat {
            state: SeatState::Taken,
            held_until: 0,
        },
    };
    assert_eq!(left.answer().await, told, "and nothing about the first");
}

#[tokio::test]
async fn a_node_that_holds_a_seat_of_a_chat_that_ended_is_told() {
    let left = Left::begin().await;
    let reason = EndReason::Left;
    left.chats
        .end_chat(&left.chat, reason, Some(0))
        .await
        .unwrap();
    left.hear(1, SeatState::Held).await;
    let answer = left.answer().await;
    assert!(
        matches!(answer, Notice::Ended { chat, end } if chat == left.chat.id && end.reason == reason),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_chat_ends_when_somebody_is_connected_to_no_node() {
    let left = Left::begin().await;
    left.other.take_place(user_id(1)).await.unwrap();
    left.broker.take_place(user_id(2)).await.unwrap();
    left.broker.leave_place(user_id(2)).await.unwrap();
    left.seats_run_out().await;
    left.seats_run_out().await;
    assert_eq!(left.end(), Some(EndReason::Gone));
}

#[tokio::test]
async fn nobody_is_gone_while_the_broker_is_away() {
    let mut left = Left::begin().await;
    left.server.redis.kill().unwrap();
    left.seats_run_out().await;
    assert_eq!(left.end(), None);
    left.server.redis.restart().unwrap();
    let end = || async {
        left.chats.tick().await;
        left.end()
    };
    eventually(Some(EndReason::Gone), end).await;
}
