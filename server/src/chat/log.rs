//! The log of a chat as its node keeps up with it: opened when the chat is taken in, opened again when
//! the broker has forgotten it, read when a message is missing here.
//!
//! A log is always opened from the store, under the next epoch: what the store has goes on, what it
//! never got is void. Before that the node stores what it holds, so that nothing is void that a node
//! which lives has seen.

use std::sync::Arc;

use nowrong_protocol::{ErrorCode, Position, envelope};

use super::{Chat, Chats, KnownMessage, LogSeed, PULL_MAX};
use crate::{
    broker::LogRead,
    hub::lock,
    refusal::Refusal,
    store::{Epoch, StoredMessage},
};

impl Chats {
    /// Opens the log of a chat that has just come from the store.
    pub(super) async fn open_stored(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        let (last, now) = (lock(&chat.state).epoch(), self.clock.now());
        let Some(epoch) = self.store.begin_epoch(chat.id, last, now).await? else {
            return Ok(());
        };
        let restore = |message: &StoredMessage| lock(&chat.state).restore(message);
        let known = self.known(chat, restore).await?;
        self.seed(chat, epoch, known).await
    }

    /// Opens the log again that the broker no longer has in the epoch `believed`.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail; the chat stays as it is.
    pub(super) async fn reopen(&self, chat: &Arc<Chat>, believed: u32) -> Result<(), Refusal> {
        let _one_at_a_time = chat.reopening.lock().await;
        if lock(&chat.state).epoch() != believed {
            return Ok(());
        }
        self.store_held(chat).await?;
        let now = self.clock.now();
        let Some(epoch) = self.store.begin_epoch(chat.id, believed, now).await? else {
            return Err(ErrorCode::CHAT_ENDED.into());
        };
        let known = self.known(chat, |_| ()).await?;
        self.seed(chat, epoch, known).await?;
        chat.wake_all();
        Ok(())
    }

    /// Stores all that this node has up to the head of the chat.
    async fn store_held(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        loop {
            let batch = lock(&chat.state).next_batch();
            let Some(last) = batch.last() else {
                return Ok(());
            };
            if self.store.append(&batch).await?.void.contains(&chat.id) {
                return Err(ErrorCode::INTERNAL.into());
            }
            chat.persisted(last.position.seq);
        }
    }

    /// What the log must recognise: all that the store has, which `each` gets to see.
    async fn known(
        &self,
        chat: &Chat,
        each: impl Fn(&StoredMessage),
    ) -> Result<Vec<KnownMessage>, Refusal> {
        let (mut known, mut after, now) = (Vec::new(), Position::START, self.clock.now());
        loop {
            let page = self
                .store
                .messages_after(chat.id, after, PULL_MAX, now)
                .await?;
            let Some(last) = page.last() else {
                return Ok(known);
            };
            after = last.position;
            for message in &page {
                each(message);
                known.push(KnownMessage {
                    member: message.member,
                    client_message_id: message.client_message_id,
                    position: message.position,
                    at: message.at,
                });
            }
        }
    }

    async fn seed(
        &self,
        chat: &Chat,
        epoch: Epoch,
        known: Vec<KnownMessage>,
    ) -> Result<(), Refusal> {
        let seed = LogSeed {
            epoch,
            known,
            incarnation: None,
        };
        self.broker.open_log(chat.id, seed).await?;
        lock(&chat.state).begin(epoch);
        tracing::info!(chat = %chat.id, epoch = epoch.number, base = epoch.base, "log opened");
        Ok(())
    }

    /// Reads what has a position and did not come here: its append was taken, and the answer was lost.
    pub(super) async fn catch_up(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        let (epoch, head) = {
            let state = lock(&chat.state);
            (state.epoch(), state.head.seq)
        };
        let read = self.broker.read_log(chat.id, epoch, head).await?;
        let missed = match read.outcome {
            LogRead::Messages { messages, .. } if !messages.is_empty() => messages,
            // Neither here nor there: what waits behind the gap cannot be told any more.
            _ => return self.reopen(chat, epoch).await,
        };
        for message in missed {
            if let Some(plain) = chat.unseal(message.clone()) {
                lock(&chat.state).appended(message, envelope::encode(&plain));
            }
        }
        self.persister.enqueue(chat);
        chat.wake_all();
        Ok(())
    }
}
