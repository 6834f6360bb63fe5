//! Chats that may have missed something: a task checks them, a few at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use nowrong_base::lock::lock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Chat, Chats};

/// Most chats that are checked at one time: each needs a call to the broker, and some need calls to
/// the store.
const AT_ONCE_MAX: usize = 16;

/// Chats to check. Holds each chat at most once, so it is bounded by the number of chats.
#[derive(Default)]
pub(super) struct Rechecks {
    queue: Mutex<VecDeque<Arc<Chat>>>,
    wake: Notify,
}

impl Rechecks {
    /// Queues the chat for a check, unless it is queued already.
    pub(super) fn enqueue(&self, chat: &Arc<Chat>) {
        if chat.state().queue_to_check() {
            lock(&self.queue).push_back(chat.clone());
            self.wake.notify_one();
        }
    }

    fn next(&self) -> Option<Arc<Chat>> {
        let chat = lock(&self.queue).pop_front()?;
        chat.state().begin_check();
        Some(chat)
    }
}

impl Chats {
    /// Checks chats that may have missed something, until `stop` is cancelled.
    pub async fn run_rechecks(&self, stop: CancellationToken) {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < AT_ONCE_MAX
                && let Some(chat) = self.rechecks.next()
            {
                running.push(async move { self.check_chat(&chat).await });
            }
            tokio::select! {
                Some(()) = running.next() => {}
                () = self.rechecks.wake.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}
