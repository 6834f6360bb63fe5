//! The users of this node, and the way to wake their connections.
//!
//! A [`UserEntry`] holds everything about a user that outlives a connection: the current
//! connection, the ticket, the chat, and the pushes about the queue that are not sent yet. No part
//! of the server sends to a connection: it changes the entry (or the chat) and wakes the
//! connection, which pulls the news. So no queue towards a peer can grow, and nothing waits for a
//! slow peer. Locks here are short and never held over an await.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use nowrong_base::lock::lock;
use nowrong_core::matching::Ticket;
use nowrong_protocol::{
    ChatId, CloseCode, ConnectionId, ServerFrame, TicketId, UserId, frame::Stage,
};
use tokio::sync::Notify;

/// Most pushes about the queue that are kept for a user; beyond that the oldest is dropped. A
/// ticket causes at most five (three stages, one end or match, one more after a re-queue).
const PUSHES_MAX: usize = 16;

/// Most users that a node keeps at once: connected, waiting, or with a held seat.
pub const USERS_MAX: usize = 200_000;

/// A node's knowledge of one user.
pub struct UserEntry {
    /// Who.
    pub user: UserId,
    wake: Notify,
    state: Mutex<UserState>,
}

/// The changing part of a [`UserEntry`].
#[derive(Default)]
pub struct UserState {
    /// The user's current connection.
    pub connection: Option<ConnectionId>,
    /// Set when the connection must be closed with this code.
    pub kick: Option<CloseCode>,
    /// The ticket of the user, if waiting; boxed, because most users are not waiting.
    pub ticket: Option<Box<Waiting>>,
    /// The chat of the user: the active one, or the last one until it is erased.
    pub chat: Option<CurrentChat>,
    pushes: VecDeque<Push>,
}

/// The chat of a user: which one, and whether it has ended.
pub struct CurrentChat {
    /// Its id.
    pub id: ChatId,
    /// Set by the chat when it ends.
    is_over: Arc<AtomicBool>,
}

impl CurrentChat {
    /// The chat with this id, which sets `is_over` when it ends.
    pub fn new(id: ChatId, is_over: Arc<AtomicBool>) -> Self {
        Self { id, is_over }
    }

    /// Whether the chat has ended.
    pub fn has_ended(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// News about the queue that a connection must send to its client.
pub enum Push {
    /// A frame as it is.
    Frame(Box<ServerFrame>),
    /// A match: the connection continues in this chat.
    Matched(TicketId, ChatId),
}

/// A ticket as its owner's node sees it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The ticket.
    pub ticket: Ticket,
    /// The stage it has reached.
    pub stage: Stage,
}

impl UserState {
    /// Keeps a push for the connection.
    pub fn push(&mut self, push: Push) {
        if self.pushes.len() == PUSHES_MAX {
            self.pushes.pop_front();
        }
        self.pushes.push_back(push);
    }

    /// Takes the pushes that are kept for the connection, in order.
    pub fn take_pushes(&mut self) -> VecDeque<Push> {
        std::mem::take(&mut self.pushes)
    }

    /// Whether the user is in a chat that has not ended.
    pub fn is_chatting(&self) -> bool {
        self.chat.as_ref().is_some_and(|chat| !chat.has_ended())
    }

    /// Whether the user has another ticket or another chat than these.
    pub fn has_moved_on(&self, ticket: TicketId, chat: ChatId) -> bool {
        let has_other_ticket = self
            .ticket
            .as_ref()
            .is_some_and(|it| it.ticket.id != ticket);
        let has_other_chat = self.chat.as_ref().is_some_and(|it| it.id != chat);
        has_other_ticket || has_other_chat
    }

    fn is_idle(&self) -> bool {
        self.connection.is_none() && self.ticket.is_none() && self.chat.is_none()
    }
}

impl UserEntry {
    fn new(user: UserId) -> Self {
        Self {
            user,
            wake: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// The state, locked. Never await with it.
    pub fn state(&self) -> MutexGuard<'_, UserState> {
        #[cfg(test)]
        crate::counted::count_user_lock();
        lock(&self.state)
    }

    /// Wakes the connection of the user; the wake is remembered while the connection is busy.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Resolves when something may be new. For the connection of the user only.
    ///
    /// # Cancel safety
    /// A wake is not lost: it is remembered until the next call.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes the news that was left for this connection, in order.
    ///
    /// # Errors
    /// The code to close with: the user has another connection now (the wake is passed on to it),
    /// or the connection was told to close.
    pub fn take_news(&self, connection: ConnectionId) -> Result<VecDeque<Push>, CloseCode> {
        let mut state = self.state();
        if state.connection != Some(connection) {
            self.wake();
            return Err(CloseCode::REPLACED);
        }
        match state.kick {
            Some(code) => Err(code),
            None => Ok(state.take_pushes()),
        }
    }

    /// Tells the connection, if there is one, to close with `code`.
    pub fn kick(&self, code: CloseCode) {
        self.state().kick = Some(code);
        self.wake();
    }
}

/// All users of this node.
#[derive(Default)]
pub struct Hub {
    users: Mutex<HashMap<UserId, Arc<UserEntry>>>,
}

impl Hub {
    /// Changes the entry of a user, and makes it if there is none; `None` when the node holds
    /// [`USERS_MAX`]. The entry cannot be forgotten between its creation and the change.
    pub fn update(
        &self,
        user: UserId,
        change: impl FnOnce(&mut UserState),
    ) -> Option<Arc<UserEntry>> {
        let mut users = lock(&self.users);
        if users.len() >= USERS_MAX && !users.contains_key(&user) {
            return None;
        }
        let entry = users
            .entry(user)
            .or_insert_with(|| Arc::new(UserEntry::new(user)))
            .clone();
        change(&mut entry.state());
        Some(entry)
    }

    /// The entry of a user who has a seat, made if there is none. Seats are bounded by the users
    /// who were connected, so this does not count against [`USERS_MAX`].
    pub fn seated(&self, user: UserId) -> Arc<UserEntry> {
        let mut users = lock(&self.users);
        users
            .entry(user)
            .or_insert_with(|| Arc::new(UserEntry::new(user)))
            .clone()
    }

    /// The entry of a user, if there is one.
    pub fn entry(&self, user: UserId) -> Option<Arc<UserEntry>> {
        lock(&self.users).get(&user).cloned()
    }

    /// Forgets the user unless a connection, a ticket or a chat keeps the entry.
    pub fn forget_if_idle(&self, user: UserId) {
        let mut users = lock(&self.users);
        if users
            .get(&user)
            .is_some_and(|entry| entry.state().is_idle())
        {
            users.remove(&user);
        }
    }

    /// The users who have a connection to this node now.
    pub fn connected(&self) -> Vec<UserId> {
        let users = lock(&self.users);
        let connected = users.values().filter(|it| it.state().connection.is_some());
        connected.map(|entry| entry.user).collect()
    }

    /// How many users the node holds.
    pub fn len(&self) -> usize {
        lock(&self.users).len()
    }
}
