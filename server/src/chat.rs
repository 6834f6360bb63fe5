//! The chats of this node: sending, delivering, seats, and how a chat ends.
//!
//! A message takes this way: the broker's log gives it a position and the chat's tail takes its frame;
//! the members' connections are woken and pull it at once; the [`persist`] task makes it durable; then the
//! sender's connection is woken and acks it. What a connection pulls is a state or a log from its own
//! position on, never a queue, so replay after a resume and live delivery are the same code.
//!
//! On several nodes, each node that has a member follows the chat: it keeps a copy of the messages and of
//! what the members do, and tells the others through their inboxes ([`others`]). The log says who is
//! right about the order, the store about what stays.
//!
//! Start reading at [`Chats::send`] and [`Chat::poll`]. Locks are short and never held over an await.

mod checks;
mod log;
mod others;
mod persist;
mod registry;
mod seal;
mod sending;
mod state;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nowrong_core::record::{KnownMessage, Notice, StoredMessage, UnixMs};
use nowrong_protocol::{
    ChatId, ErrorCode, Framed, Position, ServerFrame, codec, envelope,
    frame::{ChatState, Member, Message, Page, Why},
    limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
};

use self::state::State;
pub(crate) use self::state::View;
pub use self::{
    registry::{ChatParts, Chats},
    seal::{Owner, SealError, Sealer},
    state::ChatRules,
};
use crate::{
    broker::{Broker, LogSeed},
    hub::{UserEntry, lock},
    refusal::Refusal,
};

/// Most frames pulled from the log or the store at once for one connection.
const PULL_MAX: usize = 128;

/// One chat of this node.
pub struct Chat {
    /// Its id.
    pub id: ChatId,
    /// Id of the category.
    pub category: String,
    why: Why,
    started_at: UnixMs,
    expires_at: UnixMs,
    sealer: Sealer,
    members: Vec<Arc<UserEntry>>,
    broker: Arc<dyn Broker>,
    log: tokio::sync::OnceCell<()>,
    reopening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// Where a message went: what its `Ack` will say once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it stands.
    pub position: Position,
    /// When the server took it.
    pub at: UnixMs,
    /// The count of refusals of the store when it was taken: see [`Polled::failures`].
    pub failures: u64,
    /// Whether it got its position just now; else it was sent before.
    pub is_new: bool,
}

/// What a connection needs to know to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The newest seq.
    pub head: u64,
    /// Every message up to this seq is durable.
    pub durable: u64,
    /// How often the store has refused. A send that waits since a smaller count has failed.
    pub failures: u64,
    /// The epoch of the log. A position of an older one may be void.
    pub epoch: u32,
}

impl Chat {
    /// The index of a user among the members.
    pub fn member(&self, user: nowrong_protocol::UserId) -> Option<u8> {
        self.members
            .iter()
            .position(|entry| entry.user == user)
            .map(|index| index as u8)
    }

    /// The members, by index.
    pub(crate) fn users(&self) -> impl Iterator<Item = nowrong_protocol::UserId> + '_ {
        self.members.iter().map(|entry| entry.user)
    }

    /// Whether the chat has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    /// The chat as `me` sees it who goes on from `resumed`, and a view that matches it.
    pub(crate) fn snapshot(&self, me: u8, resumed: Position) -> (ChatState, View) {
        let state = lock(&self.state);
        let chat_state = ChatState {
            chat: self.id,
            category: self.category.clone(),
            members: state.shown().map(Framed::<Member>).collect(),
            you: me,
            why: Framed(self.why.clone()),
            head: state.messages.head,
            resumed,
            unread: state.unread(me),
            started_at_ms: self.started_at,
            expires_at_ms: self.expires_at,
        };
        (chat_state, state.view())
    }

    /// Where a client goes on that holds the chat up to `asked`; `None` when it names an epoch that this
    /// node does not know.
    pub(crate) fn resume_point(&self, asked: Position) -> Option<Position> {
        lock(&self.state).messages.resume_point(asked)
    }

    /// How far the messages of the chat are.
    pub(crate) fn progress(&self) -> Polled {
        lock(&self.state).messages.polled()
    }

    /// Whether a position was given out by a log that was forgotten before the store had it.
    pub(crate) fn is_void(&self, position: Position) -> bool {
        lock(&self.state).messages.position_of(position.seq) != position
    }

    /// Appends to `out` what the client of `me` has not been told about the chat but for messages,
    /// and answers how far these are.
    pub(crate) fn poll(&self, me: u8, view: &mut View, out: &mut Vec<ServerFrame>) -> Polled {
        let state = lock(&self.state);
        state.changes(me, view, out);
        state.messages.polled()
    }

    fn wake_others(&self, me: u8) {
        let others = self
            .members
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != usize::from(me));
        for (_, entry) in others {
            entry.wake();
        }
    }

    fn wake_each(&self, members: &[u8]) {
        for member in members {
            if let Some(entry) = self.members.get(usize::from(*member)) {
                entry.wake();
            }
        }
    }

    fn wake_all(&self) {
        for entry in &self.members {
            entry.wake();
        }
    }

    fn mark_queued_to_persist(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).is_queued_to_persist, true)
    }

    fn take_batch(&self) -> Vec<StoredMessage> {
        let mut state = lock(&self.state);
        let batch = state.messages.next_batch();
        state.is_queued_to_persist = false;
        batch
    }

    fn persist_failed(&self) {
        lock(&self.state).messages.failures += 1;
        self.wake_all();
    }
}

impl Chats {
    /// The `Message` frames after `after` in the epoch that the caller knows, ascending; empty when
    /// there are none, or when the log has gone on in another epoch. From the tail, else from the store.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub async fn frames(
        &self,
        chat: &Chat,
        epoch: u32,
        after: u64,
    ) -> Result<Vec<(u64, Bytes)>, Refusal> {
        let position = {
            let state = lock(&chat.state);
            if state.messages.epoch() != epoch {
                return Ok(Vec::new());
            }
            if let Some(frames) = state.messages.frames_after(after, PULL_MAX) {
                return Ok(frames);
            }
            state.messages.position_of(after)
        };
        let now = self.clock.now();
        let stored = self
            .store
            .messages_after(chat.id, position, PULL_MAX, now)
            .await?;
        // What the store has of a later epoch is for who knows that epoch.
        let known = stored
            .into_iter()
            .take_while(|message| message.position.epoch <= epoch);
        let frame = |message: StoredMessage| {
            let message = chat.unseal(message)?;
            Some((message.position.seq, envelope::encode(&message)))
        };
        Ok(known.filter_map(frame).collect())
    }

    /// A page of older messages.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub async fn history(
        &self,
        chat: &Chat,
        request: u32,
        before: Option<Position>,
        limit: u16,
    ) -> Result<Page, Refusal> {
        let limit = usize::from(limit).clamp(1, PAGE_MESSAGES_MAX);
        let now = self.clock.now();
        let mut stored = self
            .store
            .messages_before(chat.id, before, limit + 1, now)
            .await?;
        let mut has_more = stored.len() > limit;
        if has_more {
            stored.remove(0);
        }
        let mut messages: Vec<Framed<Message>> = Vec::with_capacity(stored.len());
        let mut bytes = 0;
        for message in stored
            .into_iter()
            .rev()
            .filter_map(|message| chat.unseal(message))
        {
            bytes += codec::encode(&message).len() + 8;
            if bytes > PAGE_BYTES_MAX {
                has_more = true;
                break;
            }
            messages.push(Framed(message));
        }
        messages.reverse();
        Ok(Page {
            request,
            messages,
            has_more,
        })
    }

    /// Deletes a member's own message for all.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such message, it is another's, or the store refused.
    pub async fn delete(&self, chat: &Chat, me: u8, position: Position) -> Result<(), Refusal> {
        let sender = {
            let messages = &lock(&chat.state).messages;
            let is_there = messages.position_of(position.seq) == position
                && position.seq <= messages.polled().durable;
            is_there.then(|| messages.sender(position.seq)).flatten()
        };
        match sender {
            None => return Err(ErrorCode::MESSAGE_UNKNOWN.into()),
            Some(sender) if sender != me => return Err(ErrorCode::MESSAGE_NOT_YOURS.into()),
            Some(_) => {}
        }
        if !self.store.delete_message(chat.id, position).await? {
            return Err(ErrorCode::MESSAGE_UNKNOWN.into());
        }
        self.show_deleted(chat, position).await?;
        let chat_id = chat.id;
        self.announce(
            chat,
            Notice::Deleted {
                chat: chat_id,
                position,
            },
        );
        Ok(())
    }

    /// The store has deleted a message: its frame here is what the store has now, and the members are
    /// told.
    async fn show_deleted(&self, chat: &Chat, position: Position) -> Result<(), Refusal> {
        let now = self.clock.now();
        let after = Position::new(position.epoch, position.seq.saturating_sub(1));
        let stored = self.store.messages_after(chat.id, after, 1, now).await?;
        let deleted = stored.into_iter().next();
        let deleted = deleted.filter(|message| message.position == position && message.is_deleted);
        if let Some(message) = deleted.and_then(|message| chat.unseal(message)) {
            let frame = envelope::encode(&message);
            let mut state = lock(&chat.state);
            state.messages.replace_frame(position.seq, frame);
            state.messages.set_deleted(position);
        }
        chat.wake_all();
        Ok(())
    }
}

impl Chat {
    /// The message as its members see it. A body that does not open is logged and left out.
    fn unseal(&self, stored: StoredMessage) -> Option<Message> {
        match self.sealer.open(&stored) {
            Ok(body) => Some(Message {
                chat: stored.chat,
                position: stored.position,
                member: stored.member,
                client_message_id: stored.client_message_id,
                at_ms: stored.at,
                reply_to: stored.reply_to,
                body,
            }),
            Err(error) => {
                tracing::error!(%error, chat = %self.id, position = %stored.position);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
