//! Two nodes with one store and one Redis, which tell each other nothing.

use std::{sync::Arc, time::Duration};

use nowrong_protocol::frame::EndReason;

use super::{Chat, ChatParts, ChatRules, Chats};
use crate::{
    broker::{
        Nodes as _,
        redis::{
            RedisBroker,
            tests::{Server, node_at},
        },
    },
    clock::Clock,
    hub::Hub,
    store::{
        Store,
        conformance::{chat, tickets, user_id},
        embedded::EmbeddedStore,
    },
};

const RULES: ChatRules = ChatRules {
    seat_hold: Duration::from_secs(60),
    idle_notice: Duration::from_secs(600),
    idle_end: Duration::from_secs(900),
    grace: Duration::from_secs(60),
    retention: Duration::from_secs(3_600),
};

/// A node with a chat of which both connections are lost.
struct Left {
    server: Server,
    broker: Arc<RedisBroker>,
    other: Arc<RedisBroker>,
    chats: Arc<Chats>,
    chat: Arc<Chat>,
    clock: Clock,
}

impl Left {
    async fn begin() -> Self {
        let server = Server::start(&[]);
        let broker = node_at(&server.url(), "x").await;
        let other = node_at(&server.url(), "x").await;
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let clock = Clock::default();
        let chats = Chats::new(ChatParts {
            hub: Arc::new(Hub::default()),
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            rules: RULES,
        });
        let mut record = chat(1, &[1, 2]);
        record.started_at = clock.now();
        record.expires_at = clock.now() + RULES.retention.as_millis() as u64;
        store.open_chat(&record, &tickets()).await.unwrap();
        let chat = chats.opened(record).await.unwrap();
        Self {
            server,
            broker,
            other,
            chats,
            chat,
            clock,
        }
    }

    /// The time for which seats are held is over.
    async fn seats_run_out(&self) {
        self.clock.advance(RULES.seat_hold);
        self.chats.tick().await;
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
}
