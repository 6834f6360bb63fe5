//! The chats of this node: sending, delivering, seats, and how a chat ends.
//!
//! The way of a message: the broker's log gives it a position and the chat's tail keeps its frame;
//! the members' connections are woken and pull it at once; the [`persist`] task makes it durable;
//! then the sender's connection is woken and acks it. A connection pulls a state, or a log from its
//! own position, never a queue, so replay after a resume and live delivery are the same code.
//!
//! On several nodes, each node that has a member follows the chat: it keeps a copy of the messages
//! and of the members' signals, and sends notices to the other nodes through their inboxes
//! ([`followers`]). The log is authoritative for the order, the store for durability.
//!
//! Start reading at [`Chats::send_message`] and [`Chat::pull`]. Locks are short and never held over an await.

mod ended;
mod ending;
mod followers;
mod history;
mod log;
mod persist;
mod rechecks;
mod registry;
mod seal;
mod sending;
mod time;

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use nowrong_base::lock::lock;
use nowrong_broker::Broker;
use nowrong_core::{
    chat::{Pulled, Reader, State},
    record::{ChatEnd, StoredMessage, UnixMs},
};
use nowrong_protocol::{
    ChatId, Framed, Position, ServerFrame, UserId,
    frame::{ChatState, Member, Message, Why},
};

use self::ended::SentBefore;
pub use self::{
    registry::Chats,
    seal::{Owner, Sealer},
};
use crate::hub::{CurrentChat, UserEntry};

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
    /// Empty until a message is sent again after the end.
    sent_before: tokio::sync::Mutex<Option<Box<SentBefore>>>,
    state: Mutex<State>,
    /// Set together with the end in `state`: a caller that only asks whether the chat has ended
    /// needs no lock.
    is_over: Arc<AtomicBool>,
}

impl Chat {
    /// The index of a user among the members.
    pub fn member(&self, user: UserId) -> Option<u8> {
        self.members
            .iter()
            .position(|entry| entry.user == user)
            .map(|index| index as u8)
    }

    /// The members, by index.
    pub(crate) fn users(&self) -> impl Iterator<Item = UserId> + '_ {
        self.members.iter().map(|entry| entry.user)
    }

    /// Whether the chat has ended.
    pub fn has_ended(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// The chat in the form that the entry of a member keeps.
    pub(crate) fn as_current(&self) -> CurrentChat {
        CurrentChat::new(self.id, self.is_over.clone())
    }

    /// A reader for a connection of `me` whose client holds the chat up to `asked`, and the chat
    /// state to show to that client.
    pub(crate) fn open_reader(&self, me: u8, asked: Position) -> (Reader, ChatState) {
        let state = self.state();
        let resumed = state.messages.resume_point(asked);
        let resumed = resumed.unwrap_or(Position::START);
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
        (state.reader(me, resumed), chat_state)
    }

    /// Gathers everything that the client does not know yet, in one step: see [`State::pull`].
    pub(crate) fn pull(
        &self,
        reader: &mut Reader,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) -> Pulled {
        self.state().pull(reader, live, frames)
    }

    /// The same without messages: see [`State::pull_rest`].
    pub(crate) fn pull_rest(
        &self,
        reader: &mut Reader,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) {
        self.state().pull_rest(reader, live, frames);
    }

    /// Only the replies to sends that wait: see [`State::pull_acks`].
    pub(crate) fn pull_acks(
        &self,
        reader: &mut Reader,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) {
        self.state().pull_acks(reader, live, frames);
    }

    /// The state, locked. Never await with it.
    fn state(&self) -> MutexGuard<'_, State> {
        #[cfg(test)]
        crate::counted::count_chat_lock();
        lock(&self.state)
    }

    /// Sets the end of the chat; returns whether that is news. `state` is that of this chat.
    fn set_end(&self, state: &mut State, end: ChatEnd) -> bool {
        let is_news = state.set_end(end);
        self.is_over.store(true, Ordering::Release);
        is_news
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

    /// The message as the members see it. A body that cannot be opened is logged, and the message
    /// is left out.
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
