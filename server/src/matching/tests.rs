//! Matches of which this node got no notice: only the seat in the store shows them.

use std::{sync::Arc, time::Duration};

use nowrong_base::clock::Clock;
use nowrong_broker::local::LocalBroker;
use nowrong_core::{
    chat::ChatRules,
    record::{AgeBracket, Category, Chat, ChatEnd},
};
use nowrong_protocol::{ChatId, ErrorCode, ServerFrame, TicketId, frame::EndReason};
use nowrong_store::{
    Store,
    conformance::{chat, ticket, user, user_id},
};
use nowrong_store_embedded::EmbeddedStore;

use super::Matching;
use crate::{
    chat::Chats,
    disk::Disk,
    environment::Environment,
    hub::{Hub, Push, UserEntry},
};

/// A node with one user, who is waiting alone.
struct Waiting {
    matching: Arc<Matching>,
    owner: Arc<UserEntry>,
    ticket: TicketId,
    store: Arc<dyn Store>,
    clock: Clock,
}

/// How long an account is new.
const AN_HOUR: Duration = Duration::from_secs(3_600);

impl Waiting {
    async fn begin() -> Self {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let (hub, clock) = (Arc::<Hub>::default(), Clock::default());
        let env = Environment {
            store: store.clone(),
            broker: LocalBroker::new(),
            clock: clock.clone(),
            metrics: Arc::default(),
            disk: Disk::none(),
        };
        let second = Duration::from_secs(1);
        let rules = ChatRules {
            seat_hold: 60 * second,
            idle_notice: 60 * second,
            idle_end: 120 * second,
            grace: 60 * second,
            retention: 3_600 * second,
        };
        let chats = Chats::new(env.clone(), hub.clone(), rules);
        let music = Category {
            id: "music".to_owned(),
            title: "Music".to_owned(),
            description: String::new(),
            emoji: String::new(),
            age_bracket: None,
            titles: [].into(),
            rank: 1,
        };
        let matching = Matching::new(env, hub.clone(), chats, [music].into(), AN_HOUR);
        let mut account = user(1, "Ana");
        (account.created_at, account.age_bracket) = (clock.now(), AgeBracket::Adult);
        account.expires_at = clock.now() + 3_600_000;
        store.create_user(&account).await.unwrap();
        let owner = hub.update(user_id(1), |_| {}).unwrap();
        let ticket = matching.ticket(&account, "music".to_owned(), Vec::new());
        let ticket = ticket.await.unwrap();
        let ticket = matching.join(&owner, ticket).await.unwrap().ticket;
        Self {
            matching,
            owner,
            ticket,
            store,
            clock,
        }
    }

    /// Another node opens a chat with the ticket, and its notice is lost.
    async fn match_unheard(&self) -> Chat {
        self.match_with(self.ticket).await
    }

    /// Another node opens a chat with this ticket of the user, and its notice is lost.
    async fn match_with(&self, used: TicketId) -> Chat {
        let mut chat = chat(1, &[1, 2]);
        chat.started_at = self.clock.now();
        chat.expires_at = chat.started_at + 3_600_000;
        let tickets = [used, ticket(2)];
        self.store.open_chat(&chat, &tickets).await.unwrap();
        chat
    }

    async fn cancel(&self) -> Option<ErrorCode> {
        let cancelled = self.matching.cancel(&self.owner, self.ticket).await;
        cancelled.err().map(|refusal| refusal.code)
    }

    /// What the user was told about the ticket: the chat of a match, or why it ended.
    fn told(&self) -> Option<Result<ChatId, ErrorCode>> {
        let pushes = self.owner.state().take_pushes();
        pushes.into_iter().find_map(|push| match push {
            Push::Matched(_, chat) => Some(Ok(chat)),
            Push::Frame(frame) => match *frame {
                ServerFrame::Widened(_) => None,
                ServerFrame::TicketEnded(ended) => Some(Err(ended.code)),
                other => panic!("{other:?}"),
            },
        })
    }

    /// Time passes until the next retry.
    async fn retry(&self) {
        self.clock.advance(Duration::from_secs(60));
        self.matching.tick().await;
    }
}

#[tokio::test]
async fn an_account_is_new_for_an_hour_by_the_time_of_the_store() {
    let waiting = Waiting::begin().await;
    let mut account = user(9, "Eve");
    account.created_at = waiting.clock.now();
    for (after, is_new) in [(0, true), (3_599, true), (1, false), (9_999, false)] {
        waiting.clock.advance(Duration::from_secs(after));
        let ticket = (waiting.matching).ticket(&account, "music".to_owned(), Vec::new());
        assert_eq!(ticket.await.unwrap().is_new_account, is_new);
    }
}

#[tokio::test]
async fn g6_a_cancel_that_comes_after_a_match_that_nobody_told_of_finds_it() {
    let waiting = Waiting::begin().await;
    let chat = waiting.match_unheard().await;
    assert_eq!(waiting.cancel().await, Some(ErrorCode::TICKET_UNKNOWN));
    assert_eq!(waiting.told(), Some(Ok(chat.id)));
    assert!(waiting.owner.state().ticket.is_none());
}

#[tokio::test]
async fn g6_a_cancel_finds_the_match_of_a_join_that_was_thought_to_have_failed() {
    let waiting = Waiting::begin().await;
    // Older than the one that waits: ids begin with the time.
    let chat = waiting.match_with(TicketId::from_bytes([1; 16])).await;
    assert_eq!(waiting.cancel().await, Some(ErrorCode::TICKET_UNKNOWN));
    assert_eq!(waiting.told(), Some(Ok(chat.id)));
    assert!(waiting.owner.state().ticket.is_none());
}

#[tokio::test]
async fn a_ticket_ends_with_a_cancel_when_its_chat_came_and_went_unheard() {
    let waiting = Waiting::begin().await;
    let chat = waiting.match_unheard().await;
    let now = waiting.clock.now();
    let end = ChatEnd {
        reason: EndReason::Left,
        member: Some(1),
        at: now,
        expires_at: now + 60_000,
    };
    waiting.store.end_chat(chat.id, &end).await.unwrap();
    assert_eq!(waiting.cancel().await, Some(ErrorCode::TICKET_UNKNOWN));
    assert_eq!(waiting.told(), Some(Err(ErrorCode::CHAT_ENDED)));
    assert!(waiting.owner.state().ticket.is_none());
}

#[tokio::test]
async fn when_news_may_be_lost_the_next_retry_looks_for_a_match() {
    let waiting = Waiting::begin().await;
    let chat = waiting.match_unheard().await;
    waiting.retry().await;
    assert_eq!(waiting.told(), None, "it is in the queue");
    waiting.matching.look_all();
    waiting.retry().await;
    assert_eq!(waiting.told(), Some(Ok(chat.id)));
}
