//! The broker of a single node: pure state of `nowrong-core` behind short locks.
//!
//! It never awaits, so no lock is ever held across an await, and each method is one step. It knows
//! nothing after a restart, as its traits allow. Everything it holds is bounded: connect tokens by
//! [`TOKENS_MAX`], limits by [`KEYS_MAX`](nowrong_core::limiter::KEYS_MAX), tickets by
//! [`TICKETS_MAX`](nowrong_core::matching::TICKETS_MAX), logs by [`LOGS_MAX`], counted categories by
//! [`CATEGORIES_MAX`](super::CATEGORIES_MAX); what is full is refused with [`BrokerError::Full`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nowrong_core::{
    limiter::{Limiter, Rate},
    matching::Pool,
};
use nowrong_protocol::{ChatId, TicketId, UserId};

use super::{
    Admission, Appended, BrokerError, Counts, Draft, Grant, Joined, LimitRule, Limits, Log,
    LogSeed, Presence, Queue, Retried, Ticket, counts::Chatting,
};
use crate::store::{StoredMessage, TokenHash, UnixMs};

mod logs;
mod tokens;

pub use logs::LOGS_MAX;
pub use tokens::TOKENS_MAX;

/// The broker of a single node.
#[derive(Debug, Default)]
pub struct LocalBroker {
    tokens: Mutex<tokens::Tokens>,
    limiter: Mutex<Limiter<LimitKey>>,
    pool: Mutex<Pool>,
    counts: Mutex<Chatting>,
    logs: logs::Logs,
}

/// Whose unit of which rule.
type LimitKey = (&'static str, [u8; 16]);

impl LocalBroker {
    /// An empty broker.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
}

/// Locks; a panic of another holder does not matter, since the pure states change in steps that
/// cannot panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Admission for LocalBroker {
    async fn put_connect_token(
        &self,
        hash: TokenHash,
        user: UserId,
        expires_at: UnixMs,
    ) -> Result<(), BrokerError> {
        lock(&self.tokens).put(hash, user, expires_at)
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
        let rate = Rate {
            burst: rule.burst,
            period_ms: rule.period_ms,
        };
        Ok(lock(&self.limiter).take(rate, (rule.name, *key), now))
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
    async fn open_log(&self, chat: ChatId, seed: LogSeed) -> Result<(), BrokerError> {
        self.logs.open(chat, seed)
    }

    async fn append(
        &self,
        chat: ChatId,
        epoch: u32,
        draft: &Draft,
    ) -> Result<Appended, BrokerError> {
        let (member, id, at) = (draft.member, draft.client_message_id, draft.at);
        let appended = self.logs.with(chat, |log| {
            (log.epoch() == epoch).then(|| log.append(member, id, at))
        });
        Ok(appended.flatten().map_or(Appended::NoLog, Appended::from))
    }

    async fn read_log(
        &self,
        chat: ChatId,
        epoch: u32,
        _after: u64,
    ) -> Result<Option<Vec<StoredMessage>>, BrokerError> {
        let is_open = self.logs.with(chat, |log| log.epoch() == epoch);
        Ok(is_open.unwrap_or(false).then(Vec::new))
    }

    async fn close_log(&self, chat: ChatId) -> Result<(), BrokerError> {
        self.logs.close(chat);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn empty(_: &()) -> Arc<LocalBroker> {
        LocalBroker::new()
    }

    crate::broker::conformance::broker_conformance!((), empty);
}
