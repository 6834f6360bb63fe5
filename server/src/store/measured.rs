//! A store that says how long its calls take, and how many of them fail: a layer over any other.
//!
//! The names of calls are those of the methods, so their number is bounded; nothing else is a label.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use nowrong_protocol::{ChatId, Position, TicketId, UserId};
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};

use super::*;
use crate::metrics::{LATENCY_BUCKETS, Metrics};

/// `call="append"`.
type Call = [(&'static str, &'static str); 1];

/// A store over another one, whose calls it measures.
pub struct MeasuredStore {
    store: Arc<dyn Store>,
    seconds: Family<Call, Histogram, fn() -> Histogram>,
    errors: Family<Call, Counter>,
}

impl MeasuredStore {
    /// Measures the calls of `store`: `nowrong_store_call_seconds`, `nowrong_store_call_errors_total`.
    pub fn new(store: Arc<dyn Store>, metrics: &Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(LATENCY_BUCKETS);
        let seconds = Family::new_with_constructor(histogram);
        let errors = Family::default();
        metrics.register(|registry| {
            let text = "How long calls of the store take";
            registry.register("store_call_seconds", text, seconds.clone());
            let text = "How many calls of the store fail";
            registry.register("store_call_errors", text, errors.clone());
        });
        Self {
            store,
            seconds,
            errors,
        }
    }

    async fn measure<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (call, begun) = ([("call", call)], Instant::now());
        let outcome = work.await;
        let seconds = begun.elapsed().as_secs_f64();
        self.seconds.get_or_create(&call).observe(seconds);
        if outcome.is_err() {
            self.errors.get_or_create(&call).inc();
        }
        outcome
    }
}

#[async_trait]
impl UserStore for MeasuredStore {
    async fn create_user(&self, user: &User) -> Result<NameClaim, StoreError> {
        self.measure("create_user", self.store.create_user(user))
            .await
    }

    async fn user(&self, id: UserId, now: UnixMs) -> Result<Option<User>, StoreError> {
        self.measure("user", self.store.user(id, now)).await
    }

    async fn update_user(&self, user: &User) -> Result<NameClaim, StoreError> {
        self.measure("update_user", self.store.update_user(user))
            .await
    }

    async fn touch(&self, id: UserId, expires_at: UnixMs) -> Result<bool, StoreError> {
        self.measure("touch", self.store.touch(id, expires_at))
            .await
    }

    async fn delete_user(&self, id: UserId) -> Result<(), StoreError> {
        self.measure("delete_user", self.store.delete_user(id))
            .await
    }

    async fn create_refresh(&self, token: &RefreshToken) -> Result<(), StoreError> {
        self.measure("create_refresh", self.store.create_refresh(token))
            .await
    }

    async fn rotate_refresh(
        &self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
        grace_ms: u64,
    ) -> Result<Rotation, StoreError> {
        self.measure(
            "rotate_refresh",
            self.store.rotate_refresh(used, next, now, grace_ms),
        )
        .await
    }

    async fn refresh(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RefreshToken>, StoreError> {
        self.measure("refresh", self.store.refresh(hash, now)).await
    }

    async fn avoid(&self, user: UserId, now: UnixMs) -> Result<Avoid, StoreError> {
        self.measure("avoid", self.store.avoid(user, now)).await
    }

    async fn block(&self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), StoreError> {
        self.measure("block", self.store.block(blocker, blocked, now))
            .await
    }
}

#[async_trait]
impl CategoryStore for MeasuredStore {
    async fn categories(&self) -> Result<Vec<Category>, StoreError> {
        self.measure("categories", self.store.categories()).await
    }

    async fn seed_categories(&self, categories: &[Category]) -> Result<bool, StoreError> {
        self.measure("seed_categories", self.store.seed_categories(categories))
            .await
    }
}

#[async_trait]
impl ChatStore for MeasuredStore {
    async fn open_chat(&self, chat: &Chat, tickets: &[TicketId]) -> Result<Opening, StoreError> {
        self.measure("open_chat", self.store.open_chat(chat, tickets))
            .await
    }

    async fn cancel_ticket(
        &self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        self.measure("cancel_ticket", self.store.cancel_ticket(user, ticket, now))
            .await
    }

    async fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, StoreError> {
        self.measure("chat", self.store.chat(id, now)).await
    }

    async fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, StoreError> {
        self.measure("seat", self.store.seat(user, now)).await
    }

    async fn active_chats(
        &self,
        after: Option<ChatId>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<Chat>, StoreError> {
        self.measure("active_chats", self.store.active_chats(after, limit, now))
            .await
    }

    async fn begin_epoch(
        &self,
        id: ChatId,
        last: u32,
        now: UnixMs,
    ) -> Result<Option<Epoch>, StoreError> {
        self.measure("begin_epoch", self.store.begin_epoch(id, last, now))
            .await
    }

    async fn save_cursors(&self, cursors: &[Cursors]) -> Result<(), StoreError> {
        self.measure("save_cursors", self.store.save_cursors(cursors))
            .await
    }

    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError> {
        self.measure("end_chat", self.store.end_chat(id, end)).await
    }
}

#[async_trait]
impl MessageStore for MeasuredStore {
    async fn append(&self, messages: &[StoredMessage]) -> Result<Stored, StoreError> {
        self.measure("append", self.store.append(messages)).await
    }

    async fn messages_after(
        &self,
        chat: ChatId,
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.measure(
            "messages_after",
            self.store.messages_after(chat, after, limit, now),
        )
        .await
    }

    async fn messages_before(
        &self,
        chat: ChatId,
        before: Option<Position>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.measure(
            "messages_before",
            self.store.messages_before(chat, before, limit, now),
        )
        .await
    }

    async fn delete_message(&self, chat: ChatId, position: Position) -> Result<bool, StoreError> {
        self.measure("delete_message", self.store.delete_message(chat, position))
            .await
    }

    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError> {
        self.measure("sweep", self.store.sweep(now, limit)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.measure("check", self.store.check()).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
