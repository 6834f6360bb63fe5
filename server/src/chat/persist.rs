//! Makes messages durable: one task gathers the waiting messages of all chats of the node, hands
//! them to the store in one append, and tells the chats. While the store commits, and for at least
//! [`APPEND_EVERY`] after it began, the next batch gathers, so batches grow with the load by
//! themselves.
//!
//! A message is shown to others before it is stored, so it is never dropped because the store refuses:
//! it waits, and [`Chats::tick`] hands it over again every second until the store takes it or the chat
//! is over. Meanwhile no further message of the chat gets a position.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use nowrong_base::lock::lock;
use nowrong_core::record::{Notice, StoredMessage};
use nowrong_protocol::Position;
use nowrong_store::{StoreError, Stored};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Chat, Chats};

/// Most messages in one append, from all chats together, to bound the time of a commit.
const APPEND_MAX: usize = 2_048;

/// Shortest time from the start of one append to the start of the next, unless one was full. An
/// append costs about the same for one message as for many, and people do not notice an `Ack` that
/// comes this much later; a message after silence does not wait.
const APPEND_EVERY: Duration = Duration::from_millis(16);

/// Chats with messages that are not yet durable. Holds each chat at most once, so it is bounded by
/// the number of chats.
#[derive(Default)]
pub(super) struct Persister {
    queue: Mutex<VecDeque<Arc<Chat>>>,
    wake: Notify,
}

impl Persister {
    /// Queues the chat so that its messages are made durable, unless it is queued already.
    pub(super) fn enqueue(&self, chat: &Arc<Chat>) {
        if chat.state().queue_to_persist() {
            self.push(chat);
        }
    }

    /// The same for a chat that was just marked as queued: see [`State::queue_to_persist`](super::State::queue_to_persist).
    pub(super) fn push(&self, chat: &Arc<Chat>) {
        lock(&self.queue).push_back(chat.clone());
        self.wake.notify_one();
    }

    /// Takes the next batch for the store.
    fn gather(&self) -> Batch {
        let mut queue = lock(&self.queue);
        let mut batch = Batch::default();
        while batch.messages.len() < APPEND_MAX {
            let Some(chat) = queue.pop_front() else { break };
            let messages = chat.state().take_batch();
            if let Some(last) = messages.last() {
                batch.parts.push(Part {
                    chat,
                    last: last.position,
                    count: messages.len(),
                });
                batch.messages.extend(messages);
            }
        }
        batch
    }
}

/// The messages of one append.
#[derive(Default)]
struct Batch {
    messages: Vec<StoredMessage>,
    /// The chats in it, in the order of the messages.
    parts: Vec<Part>,
}

/// The messages of one chat in a batch.
struct Part {
    chat: Arc<Chat>,
    /// The position of the last of them.
    last: Position,
    count: usize,
}

impl Chats {
    /// Makes messages durable until `stop` is cancelled and none is left.
    pub async fn run_persister(&self, stop: CancellationToken) {
        loop {
            let batch = self.persister.gather();
            if !batch.messages.is_empty() {
                let next = Instant::now() + APPEND_EVERY;
                let is_full = batch.messages.len() >= APPEND_MAX;
                self.persist_all(batch).await;
                if !is_full {
                    tokio::time::sleep_until(next).await;
                }
                continue;
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = self.persister.wake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn persist_all(&self, batch: Batch) {
        let Batch { messages, parts } = batch;
        let outcome = self.append(&messages).await;
        if !matches!(outcome, Err(StoreError::Corrupt(_))) || parts.len() == 1 {
            return self.note_stored(&parts, &outcome);
        }
        // A chat that is corrupt in the store must not keep the others from it.
        let mut left = &messages[..];
        for part in parts {
            let (own, others) = left.split_at(part.count);
            left = others;
            let outcome = self.append(own).await;
            self.note_stored(&[part], &outcome);
        }
    }

    async fn append(&self, messages: &[StoredMessage]) -> Result<Stored, StoreError> {
        let outcome = self.env.store.append(messages).await;
        if let Err(error) = &outcome {
            tracing::warn!(%error, messages = messages.len(), "messages could not be stored");
        }
        outcome
    }

    fn note_stored(&self, parts: &[Part], outcome: &Result<Stored, StoreError>) {
        for Part { chat, last, .. } in parts {
            match outcome {
                Ok(stored) if stored.gone.contains(&chat.id) => self.mark_gone(chat),
                Ok(stored) if stored.void.contains(&chat.id) => {
                    chat.state().messages.set_void();
                    self.rechecks.enqueue(chat);
                }
                Ok(_) => self.mark_durable(chat, *last),
                Err(_) => chat.state().messages.set_refused(),
            }
        }
    }

    /// The store has erased the chat: fails the sends that wait, and has the chat ended.
    pub(super) fn mark_gone(&self, chat: &Arc<Chat>) {
        chat.state().messages.set_gone();
        chat.wake_all();
        self.rechecks.enqueue(chat);
    }

    /// The store has everything up to this position: acks the senders, and tells the other nodes
    /// that they need not store it too.
    pub(super) fn mark_durable(&self, chat: &Arc<Chat>, position: Position) {
        let (senders, is_newly_queued) = {
            let mut state = chat.state();
            let senders = state.messages.persisted(position);
            chat.tell_followers(&state, || Notice::Durable {
                chat: chat.id,
                position,
            });
            let has_more = state.messages.has_unpersisted();
            (senders, has_more && state.queue_to_persist())
        };
        chat.wake_each(&senders);
        if is_newly_queued {
            self.persister.push(chat);
        }
    }
}
