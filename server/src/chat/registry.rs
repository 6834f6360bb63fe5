//! Which chats this node has: how they come (a match, a member who returns, a start), how time
//! governs them, and how they end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use nowrong_core::{
    node::NodeId,
    record::{Chat as ChatRecord, ChatEnd, Cursors, Epoch, Notice, UnixMs},
};
use nowrong_protocol::{
    ChatId, UserId,
    frame::{EndReason, Resume},
};
use tokio_util::sync::CancellationToken;

use super::{
    Chat, ChatRules, LogSeed, Sealer,
    checks::Checks,
    others::CHECK_EVERY,
    persist::Persister,
    state::{Due, Home, State},
};
use crate::{
    broker::Broker,
    clock::Clock,
    hub::{Hub, UserEntry, lock},
    refusal::Refusal,
    store::{Store, StoreError},
};

/// Most chats that one look at the store brings at a start.
const START_PAGE: usize = 1_000;

/// Chats that are looked at in one go by what looks at all of them: some tens of microseconds, which is what
/// a message then waits at most.
const TICK_CHATS: usize = 64;

/// Most cursors in one write: a few hundred kilobytes.
const CURSORS_AT_ONCE: usize = 1_000;

/// What the chats of a node stand on.
#[derive(Clone)]
pub struct ChatParts {
    /// Users of the node.
    pub hub: Arc<Hub>,
    /// The durable truth.
    pub store: Arc<dyn Store>,
    /// Logs and counts.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Clock,
    /// Times that govern a chat.
    pub rules: ChatRules,
}

/// The chats of this node.
pub struct Chats {
    pub(super) hub: Arc<Hub>,
    pub(super) store: Arc<dyn Store>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) clock: Clock,
    pub(super) rules: ChatRules,
    pub(super) persister: Persister,
    pub(super) checks: Checks,
    chats: Mutex<HashMap<ChatId, Arc<Chat>>>,
}

/// One look at all chats.
struct Tick {
    now: UnixMs,
    /// The live nodes, this one too.
    live: Vec<NodeId>,
    /// Whether the broker still answers where people are.
    is_anyone_known: bool,
}

impl Tick {
    fn has_others(&self) -> bool {
        self.live.len() > 1
    }
}

impl Chats {
    /// No chats yet. [`Self::persist`] must run for anything to become durable.
    pub fn new(parts: ChatParts) -> Arc<Self> {
        let ChatParts {
            hub,
            store,
            broker,
            clock,
            rules,
        } = parts;
        Arc::new(Self {
            hub,
            store,
            broker,
            clock,
            rules,
            persister: Persister::default(),
            checks: Checks::default(),
            chats: Mutex::default(),
        })
    }

    /// The times that govern chats.
    pub fn rules(&self) -> &ChatRules {
        &self.rules
    }

    /// Makes messages durable until `stop` is cancelled and nothing is left.
    pub async fn persist(&self, stop: CancellationToken) {
        self.run_persister(stop).await;
    }

    /// Takes over the chats that go on from before a restart: their seats are held from now on.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn start(&self) -> Result<usize, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self
                .store
                .active_chats(after, START_PAGE, self.clock.now())
                .await?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = Some(last.id);
            for record in page {
                count += 1;
                let chat = self.adopt(record);
                for member in lock(&chat.state).members_mut() {
                    member.set_home(Home::Here);
                }
                self.count(&chat).await;
            }
        }
    }

    /// Takes in a chat that a match has just opened, with an empty log.
    ///
    /// # Errors
    /// [`Refusal`] when the broker has no room for its log.
    pub async fn opened(&self, record: ChatRecord) -> Result<Arc<Chat>, Refusal> {
        let epoch = record
            .epochs
            .last()
            .copied()
            .unwrap_or(Epoch { number: 1, base: 0 });
        let chat = self.adopt(record);
        // Who is not met on another node is met here.
        for member in lock(&chat.state).members_mut() {
            member.set_home(Home::Here);
        }
        let open = || async {
            let seed = LogSeed {
                epoch,
                known: Vec::new(),
                incarnation: None,
            };
            self.broker.open_log(chat.id, seed).await.map(|_| ())
        };
        chat.log.get_or_try_init(open).await?;
        Ok(chat)
    }

    /// The chat that a connecting user goes on with: the one of the seat, else the first of `asked`
    /// that ended and can still be read.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail.
    pub async fn of_user(
        &self,
        user: UserId,
        asked: &[Resume],
    ) -> Result<Option<Arc<Chat>>, Refusal> {
        let now = self.clock.now();
        if let Some(id) = self.store.seat(user, now).await?
            && let Some(chat) = self.load(id).await?
        {
            self.follow_client(&chat, asked).await?;
            return Ok(Some(chat));
        }
        for resume in asked {
            let chat = self.load(resume.chat).await?;
            if let Some(chat) = chat.filter(|chat| chat.member(user).is_some()) {
                self.follow_client(&chat, asked).await?;
                return Ok(Some(chat));
            }
        }
        Ok(None)
    }

    /// The chat with its log open, from this node or from the store.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail.
    pub(crate) async fn load(&self, id: ChatId) -> Result<Option<Arc<Chat>>, Refusal> {
        let chat = match self.held(id) {
            Some(chat) => chat,
            None => match self.store.chat(id, self.clock.now()).await? {
                Some(record) => self.adopt(record),
                None => return Ok(None),
            },
        };
        chat.log.get_or_try_init(|| self.open_stored(&chat)).await?;
        Ok(Some(chat))
    }

    /// The chat, if this node has it.
    pub(super) fn held(&self, id: ChatId) -> Option<Arc<Chat>> {
        lock(&self.chats).get(&id).cloned()
    }

    /// Every chat of this node.
    pub(super) fn all(&self) -> Vec<Arc<Chat>> {
        lock(&self.chats).values().cloned().collect()
    }

    /// Enters the chat in the node and with its members; one that is there already stays.
    fn adopt(&self, record: ChatRecord) -> Arc<Chat> {
        let mut chats = lock(&self.chats);
        if let Some(chat) = chats.get(&record.id) {
            return chat.clone();
        }
        let state = State::new(&record, &self.rules, self.clock.now());
        let chat = Arc::new(Chat {
            id: record.id,
            category: record.category.clone(),
            why: record.why.clone(),
            started_at: record.started_at,
            expires_at: record.expires_at.min(self.latest_expiry(record.started_at)),
            sealer: Sealer::new(&record.key),
            members: record
                .members
                .iter()
                .map(|member| self.hub.seated(member.user))
                .collect(),
            broker: self.broker.clone(),
            log: tokio::sync::OnceCell::new(),
            reopening: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
        });
        for member in &chat.members {
            let mut state = member.state();
            if chat.has_ended() && state.is_chatting() {
                continue;
            }
            state.chat = Some(chat.clone());
        }
        chats.insert(chat.id, chat.clone());
        chat
    }

    fn latest_expiry(&self, started_at: UnixMs) -> UnixMs {
        started_at + self.rules.retention.as_millis() as u64
    }

    /// Ends a chat for all its members; the first end stays.
    ///
    /// # Errors
    /// [`Refusal`] when the store refused; the chat goes on.
    pub async fn end(
        &self,
        chat: &Arc<Chat>,
        reason: EndReason,
        member: Option<u8>,
    ) -> Result<(), Refusal> {
        let at = self.clock.now();
        let expires_at = (at + self.rules.grace.as_millis() as u64).min(chat.expires_at);
        let end = ChatEnd {
            reason,
            member,
            at,
            expires_at,
        };
        let end = self.store.end_chat(chat.id, &end).await?.unwrap_or(end);
        self.announce(chat, Notice::Ended { chat: chat.id, end });
        self.ended(chat, end).await;
        Ok(())
    }

    /// The chat has ended, here or on another node.
    pub(super) async fn ended(&self, chat: &Chat, end: ChatEnd) {
        let is_news = lock(&chat.state).set_end(end);
        if is_news {
            self.count(chat).await;
            chat.wake_all();
        }
    }

    /// Looks whether the chat that the user seems to be in has ended on another node, unheard.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub(crate) async fn look_for_end(&self, user: &UserEntry) -> Result<(), Refusal> {
        let chat = user.state().chat.clone();
        let Some(chat) = chat.filter(|chat| !chat.has_ended()) else {
            return Ok(());
        };
        self.learn_end(&chat).await
    }

    /// Takes over how the chat ended on another node, if it did.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub(super) async fn learn_end(&self, chat: &Chat) -> Result<(), Refusal> {
        let record = self.store.chat(chat.id, self.clock.now()).await?;
        if let Some(end) = record.and_then(|record| record.end) {
            self.ended(chat, end).await;
        }
        Ok(())
    }

    /// The user is leaving for good: ends the chat that goes on, if any.
    ///
    /// # Errors
    /// [`Refusal`] when the store refused.
    pub async fn depart(&self, user: UserId) -> Result<(), Refusal> {
        let Some(chat) = self.of_user(user, &[]).await? else {
            return Ok(());
        };
        let member = chat.member(user);
        self.end(&chat, EndReason::Left, member).await
    }

    /// Does what the passing of time asks for. Called about once a second.
    pub async fn tick(&self) {
        let mut tick = Tick {
            now: self.clock.now(),
            live: self.broker.nodes().iter().map(|node| node.id).collect(),
            is_anyone_known: true,
        };
        let chats = self.all();
        self.save_cursors(&chats).await;
        for some in chats.chunks(TICK_CHATS) {
            for chat in some {
                chat.miss(&tick.live, self.rules.held_until(tick.now));
                self.mend(chat, &tick);
                self.end_due(chat, &mut tick).await;
                self.count(chat).await;
                self.let_go(chat, tick.now).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Stores the cursors that have moved since the last time. If it fails they are stored when they
    /// move again.
    async fn save_cursors(&self, chats: &[Arc<Chat>]) {
        let dirty = |chat: &Arc<Chat>| lock(&chat.state).take_dirty_cursors();
        let mut cursors: Vec<Cursors> = Vec::new();
        for some in chats.chunks(TICK_CHATS) {
            cursors.extend(some.iter().flat_map(dirty));
            tokio::task::yield_now().await;
        }
        for some in cursors.chunks(CURSORS_AT_ONCE) {
            if let Err(error) = self.store.save_cursors(some).await {
                tracing::warn!(%error, cursors = some.len(), "cursors could not be stored");
            }
        }
    }

    /// Has done what was left undone for a chat: messages that are not durable, a gap that stays, a look
    /// at what other nodes may have told.
    fn mend(&self, chat: &Arc<Chat>, tick: &Tick) {
        let (is_behind, is_due) = {
            let mut state = lock(&chat.state);
            let is_torn = state.messages.is_torn() || state.messages.is_void();
            let is_shared = tick.has_others() && state.may_be_shared();
            let is_due = is_shared && state.is_check_due(tick.now, CHECK_EVERY);
            (state.messages.has_unpersisted(), is_torn || is_due)
        };
        if is_behind {
            self.persister.enqueue(chat);
        }
        if is_due {
            self.checks.enqueue(chat);
        }
    }

    async fn end_due(&self, chat: &Arc<Chat>, tick: &mut Tick) {
        // Of a member on another node this one may have missed the return: that node ends the chat first.
        let patience = if tick.has_others() {
            2 * CHECK_EVERY
        } else {
            Duration::ZERO
        };
        let due = lock(&chat.state).due_end(&self.rules, patience, chat.expires_at, tick.now);
        match due {
            Due::Nothing => {}
            Due::IdleNotice => {
                lock(&chat.state).set_idle_notice(&self.rules);
                chat.wake_all();
            }
            Due::End(EndReason::Gone, Some(member)) => self.end_gone(chat, member, tick).await,
            Due::End(reason, member) => self.try_end(chat, reason, member).await,
        }
    }

    /// Ends the chat unless the member is found somewhere. When that cannot be known, nobody else is
    /// asked for in this tick: each question may take as long as the broker may take to answer.
    async fn end_gone(&self, chat: &Arc<Chat>, member: u8, tick: &mut Tick) {
        if !tick.is_anyone_known {
            return;
        }
        match self.is_gone(chat, member, &tick.live).await {
            Ok(true) => self.try_end(chat, EndReason::Gone, Some(member)).await,
            Ok(false) => {}
            Err(refusal) => {
                tick.is_anyone_known = false;
                tracing::warn!(code = %refusal.code, "nobody knows who is gone");
            }
        }
    }

    async fn try_end(&self, chat: &Arc<Chat>, reason: EndReason, member: Option<u8>) {
        if let Err(refusal) = self.end(chat, reason, member).await {
            tracing::warn!(code = %refusal.code, chat = %chat.id, "a chat could not be ended");
        }
    }

    /// Lets go of a chat that can no longer be read, or that only members on other nodes have.
    async fn let_go(&self, chat: &Arc<Chat>, now: UnixMs) {
        let (is_erased, is_left) = {
            let state = lock(&chat.state);
            let is_erased = state.end.is_some_and(|end| now >= end.expires_at);
            let is_left = state.are_all_elsewhere() && !state.messages.has_unpersisted();
            (is_erased, is_left)
        };
        let let_go = match (is_erased, is_left) {
            (true, _) => self.broker.close_log(chat.id).await,
            (false, true) => self.broker.unfollow(chat.id).await,
            (false, false) => return,
        };
        self.forget(chat);
        if let Err(error) = let_go {
            tracing::warn!(%error, chat = %chat.id, "a log could not be let go");
        }
    }

    fn forget(&self, chat: &Arc<Chat>) {
        lock(&self.chats).remove(&chat.id);
        for entry in &chat.members {
            {
                let mut state = entry.state();
                if state.chat.as_ref().is_some_and(|held| held.id == chat.id) {
                    state.chat = None;
                }
            }
            self.hub.forget_if_idle(entry.user);
        }
    }

    /// Counts the members that are here among those who chat.
    pub(crate) async fn count(&self, chat: &Chat) {
        let people = lock(&chat.state).recount();
        if people == 0 {
            return;
        }
        if let Err(error) = self.broker.count_chatting(&chat.category, people).await {
            tracing::warn!(%error, "presence could not be counted");
        }
    }

    /// Saves the cursors of all chats: for a graceful stop.
    pub async fn flush(&self) {
        self.tick().await;
    }
}
