//! The broker of a single node: pure state of `nowrong-core` behind short locks.
//!
//! It never awaits, so no lock is ever held across an await, and each method is one step. It
//! forgets everything at a restart, as its traits allow. Everything it holds is bounded: connect
//! tokens by [`TOKENS_MAX`], limits by [`KEYS_MAX`](nowrong_core::limiter::KEYS_MAX) for each rule, tickets by
//! [`TICKETS_MAX`](nowrong_core::matching::TICKETS_MAX), logs by [`LOGS_MAX`], counted categories
//! by [`COUNTED_CATEGORIES_MAX`](super::COUNTED_CATEGORIES_MAX), places by [`PLACES_MAX`]; beyond a bound it
//! refuses with [`BrokerError::Full`].

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use nowrong_base::{lock::lock, random};
use nowrong_core::{
    chat_log::Appended,
    limiter::{self, Grant},
    matching::{Joined, Pool, Retried, Ticket},
    node::{NodeId, NodeStatus, NodeView},
    record::{Draft, Notice, TokenHash, UnixMs},
};
use nowrong_protocol::{ChatId, TicketId, UserId};

use super::{
    Admission, AppendOutcome, BrokerError, Counts, Deposit, Deposits, Inbox, Incarnation,
    LimitRule, Limits, Log, LogRead, LogSeed, Nodes, Placed, Presence, Queue, Reading,
    counts::Chatting,
};

mod logs;
mod tokens;

pub use logs::LOGS_MAX;
pub use tokens::TOKENS_MAX;

/// Most users connected at one time: over twice as many as one node is meant for.
pub const PLACES_MAX: usize = 131_072;

/// The broker of a single node.
#[derive(Debug)]
pub struct LocalBroker {
    id: NodeId,
    status: Mutex<NodeStatus>,
    tokens: Mutex<tokens::Tokens>,
    /// A table for each name of a rule and burst, so that many keys of one leave the others their room. Names are
    /// constants, and each has as many bursts as there are widths of networks.
    limits: Mutex<HashMap<(&'static str, u32), limiter::Limits>>,
    pool: Mutex<Pool>,
    counts: Mutex<Chatting>,
    logs: logs::Logs,
    places: Mutex<HashSet<UserId>>,
}

impl LocalBroker {
    /// An empty broker.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            id: NodeId(random::bytes()),
            status: Mutex::default(),
            tokens: Mutex::default(),
            limits: Mutex::default(),
            pool: Mutex::default(),
            counts: Mutex::default(),
            logs: logs::Logs::default(),
            places: Mutex::default(),
        })
    }

    /// This process: its knowledge ends with it.
    fn incarnation(&self) -> Incarnation {
        Incarnation(self.id.to_string())
    }
}

#[async_trait]
impl Admission for LocalBroker {
    async fn put_connect_token(
        &self,
        hash: TokenHash,
        user: UserId,
        lifetime: Duration,
        now: UnixMs,
    ) -> Result<(), BrokerError> {
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        lock(&self.tokens).put(hash, user, now.saturating_add(lifetime_ms))
    }

    async fn check(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn take_connect_token(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<UserId>, BrokerError> {
        Ok(lock(&self.tokens).take(hash, now))
    }
}

#[async_trait]
impl Limits for LocalBroker {
    async fn take(
        &self,
        rule: LimitRule,
        key: &[u8; 16],
        now: UnixMs,
    ) -> Result<Grant, BrokerError> {
        let mut limits = lock(&self.limits);
        let limits = limits.entry((rule.name, rule.rate.burst)).or_default();
        Ok(limits.take(rule.rate, *key, now))
    }
}

#[async_trait]
impl Queue for LocalBroker {
    async fn join(&self, ticket: Ticket, now: UnixMs) -> Result<Joined, BrokerError> {
        let joined = lock(&self.pool).join(ticket, now);
        joined.map_err(|_| BrokerError::Full("tickets"))
    }

    async fn retry(&self, ticket: TicketId, now: UnixMs) -> Result<Option<Retried>, BrokerError> {
        Ok(lock(&self.pool).retry(ticket, now))
    }

    async fn requeue(&self, ticket: Ticket) -> Result<(), BrokerError> {
        let requeued = lock(&self.pool).requeue(ticket);
        requeued.map_err(|_| BrokerError::Full("tickets"))
    }

    async fn cancel(&self, ticket: TicketId) -> Result<bool, BrokerError> {
        Ok(lock(&self.pool).cancel(ticket).is_some())
    }

    async fn take_out(&self, _user: UserId) -> Result<Option<Ticket>, BrokerError> {
        Ok(None)
    }

    async fn set_paused(
        &self,
        ticket: TicketId,
        is_paused: bool,
    ) -> Result<Option<Ticket>, BrokerError> {
        Ok(lock(&self.pool).set_paused(ticket, is_paused).cloned())
    }

    async fn waiting(&self, category: &str) -> Result<u32, BrokerError> {
        Ok(lock(&self.pool).waiting(category))
    }
}

#[async_trait]
impl Presence for LocalBroker {
    async fn count_chatting(&self, category: &str, people: i32) -> Result<(), BrokerError> {
        lock(&self.counts).count_chatting(category, people)
    }

    async fn count_connected(&self, users: i32) -> Result<(), BrokerError> {
        lock(&self.counts).count_connected(users);
        Ok(())
    }

    async fn counts(&self, category: &str) -> Result<Counts, BrokerError> {
        let chatting = lock(&self.counts).chatting(category);
        let waiting = lock(&self.pool).waiting(category);
        Ok(Counts {
            online: chatting.saturating_add(waiting),
            waiting,
        })
    }

    async fn connected(&self) -> Result<u32, BrokerError> {
        Ok(lock(&self.counts).connected())
    }
}

#[async_trait]
impl Log for LocalBroker {
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<bool, BrokerError> {
        let own = self.incarnation();
        if seed.incarnation.as_ref().is_some_and(|named| *named != own) {
            return Ok(false);
        }
        self.logs.open(chat, seed)
    }

    async fn append(
        &self,
        chat: ChatId,
        epoch: u32,
        draft: &Draft,
        takes_new: bool,
    ) -> Result<Placed, BrokerError> {
        let (member, id, at) = (draft.member, draft.client_message_id, draft.at);
        let appended = self.logs.with(chat, |log| {
            (log.epoch() == epoch).then(|| log.append(member, id, at, takes_new))
        });
        let no_log = || AppendOutcome::NoLog(self.incarnation());
        Ok(Placed {
            outcome: appended.flatten().map_or_else(no_log, outcome),
            elsewhere: Vec::new(),
        })
    }

    /// Returns no messages: the only node misses none.
    async fn read_log(&self, chat: ChatId, epoch: u32, after: u64) -> Result<Reading, BrokerError> {
        let head = self
            .logs
            .with(chat, |log| (log.epoch() == epoch).then(|| log.head().seq));
        let outcome = match head.flatten() {
            None => LogRead::NoLog(self.incarnation()),
            Some(head) => LogRead::Messages {
                messages: Vec::new(),
                head,
                is_trimmed: head > after,
            },
        };
        Ok(Reading {
            outcome,
            elsewhere: Vec::new(),
        })
    }

    async fn unfollow(&self, _chat: ChatId) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError> {
        self.logs.close(chat);
        Ok(())
    }
}

/// There are no other nodes: no notice is sent, and none arrives. The outcome of an append to an
/// open log.
fn outcome(appended: Appended) -> AppendOutcome {
    match appended {
        Appended::New(position) => AppendOutcome::New(position),
        Appended::Again(position, at) => AppendOutcome::Again(position, at),
        Appended::Full => AppendOutcome::Full,
    }
}

#[async_trait]
impl Nodes for LocalBroker {
    fn id(&self) -> NodeId {
        self.id
    }

    fn set_status(&self, status: NodeStatus) {
        *lock(&self.status) = status;
    }

    fn nodes(&self) -> Vec<NodeView> {
        vec![NodeView {
            id: self.id,
            connected: lock(&self.counts).connected(),
            status: lock(&self.status).clone(),
        }]
    }

    fn tell(&self, _nodes: &[NodeId], _notice: Notice) {}

    async fn receive(&self) -> Inbox {
        std::future::pending().await
    }

    async fn take_place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError> {
        let mut places = lock(&self.places);
        if places.len() >= PLACES_MAX && !places.contains(&user) {
            return Err(BrokerError::Full("places"));
        }
        places.insert(user);
        Ok(None)
    }

    async fn place(&self, user: UserId) -> Result<Option<NodeId>, BrokerError> {
        Ok(lock(&self.places).contains(&user).then_some(self.id))
    }

    async fn leave_place(&self, user: UserId) -> Result<(), BrokerError> {
        lock(&self.places).remove(&user);
        Ok(())
    }
}

#[async_trait]
impl Deposits for LocalBroker {
    async fn exchange(
        &self,
        _shelf: &'static str,
        own: &[Deposit],
    ) -> Result<Vec<Bytes>, BrokerError> {
        Ok(own.iter().map(|deposit| deposit.sealed.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use nowrong_core::limiter::{KEYS_MAX, Rate};

    use super::*;

    impl crate::conformance::Conforming for LocalBroker {
        const HOLDS_MESSAGES: bool = false;
        const HOLDS_DEPOSITS: bool = false;
    }

    async fn empty(_: &()) -> Arc<LocalBroker> {
        LocalBroker::new()
    }

    crate::broker_conformance!((), empty);

    #[tokio::test]
    async fn many_keys_of_one_rule_leave_the_others_their_room() {
        let broker = LocalBroker::new();
        let rate = Rate {
            burst: 1,
            period_ms: 60_000,
        };
        let take = async |name, number: u128| {
            let rule = LimitRule { name, rate };
            let taken = broker.take(rule, &number.to_be_bytes(), 1_000_000).await;
            taken.unwrap() == Grant::Granted
        };
        for number in 0..KEYS_MAX as u128 {
            assert!(take("connect", number << 16).await);
        }
        assert!(take("connect", u128::MAX).await);
        assert!(!take("connect", u128::MAX).await);
        assert!(!take("connect", u128::MAX - (1 << 16)).await, "shared");
        assert!(take("register", u128::MAX - (1 << 16)).await, "of its own");
    }
}
