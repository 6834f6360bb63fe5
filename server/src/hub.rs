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
    time::Instant,
};

use nowrong_base::lock::lock;
use nowrong_core::{matching::Ticket, pace::Pace, record::Generation};
use nowrong_protocol::{
    ChatId, CloseCode, ConnectionId, ServerFrame, TicketId, UserId, frame::Stage,
};
use tokio::sync::Notify;

/// Most pushes about the queue that are kept for a user; beyond that the oldest is dropped. A
/// ticket causes at most five (three stages, one end or match, one more after a re-queue).
const PUSHES_MAX: usize = 16;

/// Most users that a node keeps at once: connected, waiting, or with a held seat.
pub const USERS_MAX: usize = 200_000;

/// For fewer forgotten users than this, it is not worth looking for those who owe nothing any more.
const OWING_MIN: usize = 1_024;

/// A node's knowledge of one user.
pub struct UserEntry {
    /// Who.
    pub user: UserId,
    wake: Notify,
    /// Of all connections of the user to this node.
    pace: Mutex<Pace>,
    state: Mutex<UserState>,
}

/// The changing part of a [`UserEntry`].
#[derive(Default)]
pub struct UserState {
    /// The user's current connection.
    pub connection: Option<ConnectionId>,
    /// The generation of the account under which that connection was opened.
    pub generation: Generation,
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
    fn new(user: UserId, pace: Pace) -> Self {
        Self {
            user,
            wake: Notify::new(),
            pace: Mutex::new(pace),
            state: Mutex::default(),
        }
    }

    /// How fast the user may go, locked. Never await with it.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        lock(&self.pace)
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

    /// Tells the connection to close, if it was opened under an earlier generation of the account than
    /// this one; returns whether it was.
    pub fn kick_older(&self, generation: Generation) -> bool {
        let mut state = self.state();
        let is_older = state.connection.is_some() && state.generation < generation;
        if is_older {
            state.kick = Some(CloseCode::TOKEN_REFUSED);
            drop(state);
            self.wake();
        }
        is_older
    }
}

/// All users of this node.
#[derive(Default)]
pub struct Hub {
    users: Mutex<Users>,
}

/// The users, and what forgotten ones still owe.
#[derive(Default)]
struct Users {
    entries: HashMap<UserId, Arc<UserEntry>>,
    /// The pace of users who were forgotten a moment ago: a new connection must not be a new bucket.
    owing: HashMap<UserId, Pace>,
    /// At how many of them those who owe nothing any more are looked for.
    owing_max: usize,
}

impl Users {
    fn entry(&mut self, user: UserId) -> Arc<UserEntry> {
        let make = || {
            let pace = self.owing.remove(&user);
            let pace = pace.unwrap_or_else(|| Pace::new(Instant::now()));
            Arc::new(UserEntry::new(user, pace))
        };
        self.entries.entry(user).or_insert_with(make).clone()
    }

    /// Keeps what a user owes: for ten seconds at most, or ten minutes after very much text. So the bound is the
    /// number of users who leave in that time, and as many again.
    fn keep_owing(&mut self, user: UserId, pace: Pace) {
        let now = Instant::now();
        if pace.is_full(now) {
            return;
        }
        if self.owing.len() >= self.owing_max {
            self.owing.retain(|_, pace| !pace.is_full(now));
            self.owing_max = 2 * self.owing.len().max(OWING_MIN);
        }
        self.owing.insert(user, pace);
    }
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
        if users.entries.len() >= USERS_MAX && !users.entries.contains_key(&user) {
            return None;
        }
        let entry = users.entry(user);
        change(&mut entry.state());
        Some(entry)
    }

    /// The entry of a user who has a seat, made if there is none. Seats are bounded by the users
    /// who were connected, so this does not count against [`USERS_MAX`].
    pub fn seated(&self, user: UserId) -> Arc<UserEntry> {
        lock(&self.users).entry(user)
    }

    /// The entry of a user, if there is one.
    pub fn entry(&self, user: UserId) -> Option<Arc<UserEntry>> {
        lock(&self.users).entries.get(&user).cloned()
    }

    /// Forgets the user unless a connection, a ticket or a chat keeps the entry.
    pub fn forget_if_idle(&self, user: UserId) {
        let mut users = lock(&self.users);
        let entry = users.entries.get(&user);
        if entry.is_some_and(|entry| entry.state().is_idle())
            && let Some(entry) = users.entries.remove(&user)
        {
            let pace = entry.pace().clone();
            users.keep_owing(user, pace);
        }
    }

    /// The users who have a connection to this node now.
    pub fn connected(&self) -> Vec<UserId> {
        let users = lock(&self.users);
        let connected = users
            .entries
            .values()
            .filter(|it| it.state().connection.is_some());
        connected.map(|entry| entry.user).collect()
    }

    /// How many users the node holds.
    pub fn len(&self) -> usize {
        lock(&self.users).entries.len()
    }
}

#[cfg(test)]
mod tests {
    use nowrong_store::conformance::user_id;

    use super::*;

    fn arrive(hub: &Hub, user: UserId) -> Arc<UserEntry> {
        hub.update(user, |_| {}).unwrap()
    }

    #[test]
    fn what_a_user_owes_outlives_the_connection() {
        let hub = Hub::default();
        let (ana, ben) = (user_id(1), user_id(2));
        let spend = |user| arrive(&hub, user).pace().take_frames(2_000, Instant::now());
        assert!(spend(ana) && !spend(ana));
        arrive(&hub, ben);
        for user in [ana, ben] {
            hub.forget_if_idle(user);
        }
        assert_eq!(hub.len(), 0);
        assert_eq!(lock(&hub.users).owing.len(), 1, "nothing is kept of Ben");
        assert!(!spend(ana) && spend(ben));
        assert_eq!(lock(&hub.users).owing.len(), 0);
    }

    #[test]
    fn g10_who_owes_nothing_any_more_is_dropped() {
        let mut users = Users::default();
        let long_ago = Instant::now().checked_sub(std::time::Duration::from_secs(60));
        let mut pace = Pace::new(long_ago.unwrap());
        assert!(pace.take_frames(1, long_ago.unwrap()));
        let mut owing = Pace::new(Instant::now());
        assert!(owing.take_frames(2_000, Instant::now()));
        for number in 0..OWING_MIN as u64 * 2 {
            users.owing.insert(user_id(number), pace.clone());
        }
        users.keep_owing(user_id(u64::MAX), owing);
        assert_eq!(users.owing.len(), 1);
    }
}
