//! Making messages durable: one task that gathers what all chats of the node wait for, hands it to
//! the store in one append, and tells the chats. While the store commits, the next batch gathers,
//! so the batch grows with the load by itself.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Chat;
use crate::{
    hub::lock,
    store::{Store, Stored, StoredMessage},
};

/// Most messages in one append over all chats: bounds the time of a commit.
const APPEND_MAX: usize = 2_048;

/// Chats with messages that are not yet durable. Holds each chat at most once, so it is bounded by
/// the number of chats.
#[derive(Default)]
pub(super) struct Persister {
    queue: Mutex<VecDeque<Arc<Chat>>>,
    wake: Notify,
}

impl Persister {
    /// Has the chat's messages made durable, unless it is queued already.
    pub(super) fn enqueue(&self, chat: &Arc<Chat>) {
        if chat.mark_queued_to_persist() {
            lock(&self.queue).push_back(chat.clone());
            self.wake.notify_one();
        }
    }

    /// Works until `stop` is cancelled and nothing is left to do.
    pub(super) async fn run(&self, store: Arc<dyn Store>, stop: CancellationToken) {
        loop {
            let batches = self.gather();
            if !batches.is_empty() {
                self.persist(&*store, batches).await;
                continue;
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn gather(&self) -> Vec<(Arc<Chat>, Vec<StoredMessage>)> {
        let mut queue = lock(&self.queue);
        let (mut batches, mut messages) = (Vec::new(), 0);
        while messages < APPEND_MAX {
            let Some(chat) = queue.pop_front() else { break };
            let batch = chat.take_batch();
            messages += batch.len();
            if !batch.is_empty() {
                batches.push((chat, batch));
            }
        }
        batches
    }

    async fn persist(&self, store: &dyn Store, batches: Vec<(Arc<Chat>, Vec<StoredMessage>)>) {
        let all: Vec<StoredMessage> = batches
            .iter()
            .flat_map(|(_, batch)| batch.iter().cloned())
            .collect();
        let outcome = store.append(&all).await;
        if let Err(error) = &outcome {
            tracing::warn!(%error, messages = all.len(), "messages could not be stored");
        }
        for (chat, batch) in batches {
            let Some(last) = batch.last() else { continue };
            match outcome {
                Ok(Stored { ref void }) if !void.contains(&chat.id) => {
                    if chat.persisted(last.position.seq) {
                        self.enqueue(&chat);
                    }
                }
                _ => chat.persist_failed(),
            }
        }
    }
}
