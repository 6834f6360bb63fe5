//! How this node keeps up with the log of a chat: it joins or opens the log when it takes in the
//! chat, opens it again when the broker has forgotten it, and reads it when a message is missing
//! here.
//!
//! A log is always opened from the store, under the next epoch: messages in the store survive,
//! messages that never reached it are void. Before that the node stores the messages that it holds,
//! so that no message that a live node has seen becomes void. Several nodes may find the log
//! missing at the same time; the store lets one of them begin the epoch, and the others continue
//! with its log. The steps are those of the model of the message log in `nowrong-core`, whose names
//! are given beside them.

use std::{sync::Arc, time::Duration};

use nowrong_base::random;
use nowrong_broker::{Incarnation, LogRead, LogSeed, READ_MAX, Reading};
use nowrong_core::{
    chat::Rebuilt,
    record::{ChatEnd, KnownMessage, Notice, StoredMessage},
};
use nowrong_protocol::{ErrorCode, envelope, frame::Resume};

use super::{Chat, Chats, history::READ_MAX as STORE_READ_MAX};
use crate::refusal::Refusal;

/// How often a node tries to continue a log before it refuses the request.
const TRIES_MAX: u32 = 5;

/// How long the loser of a race to begin an epoch waits for the winner's log, multiplied by the
/// attempt.
const DUEL_PAUSE_MS: u32 = 50;

/// An epoch that no chat ever reaches: asking for its log always returns the broker's memory.
const NO_EPOCH: u32 = u32::MAX;

/// The data of a chat read from the store.
pub(super) struct StoredChat {
    rebuilt: Rebuilt,
    pub(super) known: Vec<KnownMessage>,
    end: Option<ChatEnd>,
}

impl Chats {
    /// Loads the messages of a chat that has just come from the store.
    pub(super) async fn open_stored_log(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        self.rebuild_from_store(chat).await?;
        if chat.has_ended() {
            return Ok(());
        }
        self.join_log(chat).await
    }

    /// Continues with the log of the epoch that the node knows, or opens the next one.
    async fn join_log(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        for attempt in 1..=TRIES_MAX {
            let Some(incarnation) = self.read_log(chat).await? else {
                self.announce_notice(chat, Notice::Follows { chat: chat.id });
                return Ok(());
            };
            let epoch = chat.state().messages.epoch();
            if self.begin_epoch(chat, epoch, incarnation).await? {
                return Ok(());
            }
            let pause = random::below(attempt * DUEL_PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause.into())).await;
            self.rebuild_from_store(chat).await?;
        }
        Err(Refusal::retry_after(ErrorCode::INTERNAL, 1_000))
    }

    /// Opens the log again, which the broker does not have in the epoch `believed`.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail; the chat stays as it is.
    pub(super) async fn reopen_log(
        &self,
        chat: &Arc<Chat>,
        believed: u32,
        incarnation: Incarnation,
    ) -> Result<(), Refusal> {
        let _one_at_a_time = chat.reopening.lock().await;
        if chat.state().messages.epoch() != believed {
            return Ok(());
        }
        self.store_unpersisted(chat).await?;
        if !self.begin_epoch(chat, believed, incarnation).await? {
            self.rebuild_from_store(chat).await?;
            self.join_log(chat).await?;
        }
        chat.wake_all();
        Ok(())
    }

    /// Rule `FollowClient`: a client from an epoch that this node does not know has been on a node
    /// that knows more.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail.
    pub(super) async fn follow_client_epoch(
        &self,
        chat: &Arc<Chat>,
        asked: &[Resume],
    ) -> Result<(), Refusal> {
        let asked = asked.iter().find(|resume| resume.chat == chat.id);
        let Some(asked) = asked.map(|resume| resume.position) else {
            return Ok(());
        };
        if chat.state().messages.resume_point(asked).is_some() {
            return Ok(());
        }
        let _one_at_a_time = chat.reopening.lock().await;
        let known = chat.state().messages.epoch();
        let record = self.env.store.chat(chat.id, self.env.clock.now()).await?;
        let newest = record.and_then(|record| record.epochs.last().copied());
        if newest.is_some_and(|epoch| epoch.number > known) {
            self.rebuild_from_store(chat).await?;
            self.join_log(chat).await?;
            chat.wake_all();
        }
        Ok(())
    }

    /// Actions `BumpEpoch`, `SetBase` and `Seed`. `false` when another node was first, or the broker's
    /// memory was lost again.
    async fn begin_epoch(
        &self,
        chat: &Arc<Chat>,
        last: u32,
        incarnation: Incarnation,
    ) -> Result<bool, Refusal> {
        let now = self.env.clock.now();
        let Some(epoch) = self.env.store.begin_epoch(chat.id, last, now).await? else {
            return Ok(false);
        };
        let stored = self.read_stored(chat).await?;
        if stored.rebuilt.epochs.last() != Some(&epoch) {
            return Ok(false);
        }
        let seed = LogSeed {
            epoch,
            known: stored.known.clone(),
            incarnation: Some(incarnation),
        };
        let is_open = self.env.broker.open_log(chat.id, seed).await?;
        chat.take_over(stored);
        if is_open {
            tracing::info!(chat = %chat.id, epoch = epoch.number, base = epoch.base, "log opened");
        }
        Ok(is_open)
    }

    /// Stores all messages that this node has up to the head of the chat.
    pub(super) async fn store_unpersisted(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        loop {
            let batch = chat.state().messages.next_batch();
            let Some(last) = batch.last() else {
                return Ok(());
            };
            let stored = self.env.store.append(&batch).await?;
            if !stored.gone.is_empty() {
                return Err(self.lost(chat));
            }
            if !stored.void.is_empty() {
                return Ok(());
            }
            self.mark_durable(chat, last.position);
        }
    }

    /// Replaces the messages of the chat with those of the store.
    async fn rebuild_from_store(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        let stored = self.read_stored(chat).await?;
        chat.take_over(stored);
        Ok(())
    }

    pub(super) async fn read_stored(&self, chat: &Arc<Chat>) -> Result<StoredChat, Refusal> {
        for _ in 0..TRIES_MAX {
            if let Some(stored) = self.try_read_stored(chat).await? {
                return Ok(stored);
            }
        }
        Err(Refusal::retry_after(ErrorCode::INTERNAL, 1_000))
    }

    /// Actions `LoadMessages` and then `LoadEpochs`; `None` when an epoch began in between.
    async fn try_read_stored(&self, chat: &Arc<Chat>) -> Result<Option<StoredChat>, Refusal> {
        let (mut rebuilt, mut known) = (Rebuilt::default(), Vec::new());
        let now = self.env.clock.now();
        loop {
            let after = rebuilt.head;
            let page = self
                .env
                .store
                .messages_after(chat.id, after, STORE_READ_MAX, now)
                .await?;
            if page.is_empty() {
                break;
            }
            for message in &page {
                if !rebuilt.push(message) {
                    return Ok(None);
                }
                known.push(known_message(message));
            }
        }
        let Some(record) = self.env.store.chat(chat.id, now).await? else {
            return Err(self.lost(chat));
        };
        rebuilt.epochs = record.epochs;
        let end = record.end;
        Ok(rebuilt.is_whole().then_some(StoredChat {
            rebuilt,
            known,
            end,
        }))
    }

    /// The store has no such chat: it will be ended here.
    fn lost(&self, chat: &Arc<Chat>) -> Refusal {
        self.mark_gone(chat);
        ErrorCode::CHAT_ENDED.into()
    }

    /// Action `CheckLog`: takes in the messages of the log that are not here yet. Returns the
    /// broker's memory if that has no log of the epoch that this node knows.
    pub(super) async fn read_log(&self, chat: &Arc<Chat>) -> Result<Option<Incarnation>, Refusal> {
        let mut has_looked = false;
        loop {
            let (epoch, after) = {
                let state = chat.state();
                (state.messages.epoch(), state.messages.head.seq)
            };
            let Reading { outcome, elsewhere } =
                self.env.broker.read_log(chat.id, epoch, after).await?;
            chat.state().elsewhere = elsewhere;
            match outcome {
                LogRead::NoLog(incarnation) => return Ok(Some(incarnation)),
                LogRead::Messages {
                    is_trimmed: true, ..
                } => {
                    if std::mem::replace(&mut has_looked, true) {
                        return self.tear_log(chat).await;
                    }
                    // The store has the messages that the log dropped.
                    self.store_unpersisted(chat).await?;
                    self.rebuild_from_store(chat).await?;
                }
                LogRead::Messages { messages, .. } => {
                    let has_more = messages.len() == READ_MAX;
                    self.take_messages(chat, messages);
                    if !has_more {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Messages have positions but are neither in the log nor in the store: they become void with
    /// the next epoch. Returns the broker's memory, in which it may begin: the store knows whether
    /// another node has begun it by now.
    async fn tear_log(&self, chat: &Chat) -> Result<Option<Incarnation>, Refusal> {
        let reading = self.env.broker.read_log(chat.id, NO_EPOCH, 0).await?;
        match reading.outcome {
            LogRead::NoLog(incarnation) => Ok(Some(incarnation)),
            LogRead::Messages { .. } => Err(Refusal::retry_after(ErrorCode::INTERNAL, 1_000)),
        }
    }

    /// Takes in messages from the log or from another node.
    pub(super) fn take_messages(&self, chat: &Arc<Chat>, messages: Vec<StoredMessage>) {
        let mut count = 0;
        for message in messages {
            let Some(plain) = chat.unseal(message.clone()) else {
                continue;
            };
            let mut state = chat.state();
            if message.position.epoch == state.messages.epoch() {
                count += state.appended(message, envelope::encode(&plain));
            }
        }
        if count > 0 {
            chat.wake_all();
        }
    }

    /// Reads messages that have a position but did not arrive here; opens the log again if they
    /// cannot be read.
    pub(super) async fn catch_up_log(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        let (epoch, must_tear) = {
            let state = chat.state();
            (state.messages.epoch(), state.messages.is_void())
        };
        let mut missing = if must_tear {
            self.tear_log(chat).await?
        } else {
            self.read_log(chat).await?
        };
        if missing.is_none() && chat.state().messages.is_torn() {
            // The messages after the gap cannot be delivered any more.
            missing = self.tear_log(chat).await?;
        }
        let Some(incarnation) = missing else {
            return Ok(());
        };
        self.reopen_log(chat, epoch, incarnation).await
    }
}

impl Chat {
    /// Continues from the data of the store.
    fn take_over(&self, stored: StoredChat) {
        let mut state = self.state();
        state.messages.rebuild(stored.rebuilt);
        if let Some(end) = stored.end {
            self.set_end(&mut state, end);
        }
    }
}

fn known_message(message: &StoredMessage) -> KnownMessage {
    KnownMessage {
        member: message.member,
        client_message_id: message.client_message_id,
        position: message.position,
        at: message.at,
    }
}
