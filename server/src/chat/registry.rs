//! Which chats this node has: how they come (a match, a member who returns, a start), how time
//! governs them, and how they end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use nowrong_protocol::{
    ChatId, UserId,
    frame::{EndReason, Resume},
};
use tokio_util::sync::CancellationToken;

use super::{Chat, ChatRules, LogSeed, Sealer, persist::Persister, state::Due, state::State};
use crate::{
    broker::Broker,
    clock::Clock,
    hub::{Hub, lock},
    refusal::Refusal,
    store::{Chat as ChatRecord, ChatEnd, Cursors, Epoch, Store, StoreError, UnixMs},
};

/// Most chats that one look at the store brings at a start.
const START_PAGE: usize = 1_000;

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
    chats: Mutex<HashMap<ChatId, Arc<Chat>>>,
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
        let (persister, chats) = (Persister::default(), Mutex::default());
        Arc::new(Self {
            hub,
            store,
            broker,
            clock,
            rules,
            persister,
            chats,
        })
    }

    /// The times that govern chats.
    pub fn rules(&self) -> &ChatRules {
        &self.rules
    }

    /// Makes messages durable until `stop` is cancelled and nothing is left.
    pub async fn persist(&self, stop: CancellationToken) {
        self.persister.run(self.store.clone(), stop).await;
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
                self.count_chatting(&record.category, record.members.len() as i32)
                    .await;
                self.adopt(record);
            }
        }
    }

    /// Takes in a chat that a match has just opened, with an empty log.
    ///
    /// # Errors
    /// [`Refusal`] when the broker has no room for its log.
    pub async fn opened(&self, record: ChatRecord) -> Result<Arc<Chat>, Refusal> {
        self.count_chatting(&record.category, record.members.len() as i32)
            .await;
        let epoch = record
            .epochs
            .last()
            .copied()
            .unwrap_or(Epoch { number: 1, base: 0 });
        let chat = self.adopt(record);
        let open = || async {
            let seed = LogSeed {
                epoch,
                known: Vec::new(),
                incarnation: None,
            };
            self.broker.open_log(chat.id, seed).await.map(drop)
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
            return Ok(Some(chat));
        }
        for resume in asked {
            let chat = self.load(resume.chat).await?;
            if let Some(chat) = chat.filter(|chat| chat.member(user).is_some()) {
                return Ok(Some(chat));
            }
        }
        Ok(None)
    }

    /// The chat with its log open, from this node or from the store.
    async fn load(&self, id: ChatId) -> Result<Option<Arc<Chat>>, Refusal> {
        let known = lock(&self.chats).get(&id).cloned();
        let chat = match known {
            Some(chat) => chat,
            None => match self.store.chat(id, self.clock.now()).await? {
                Some(record) => self.adopt(record),
                None => return Ok(None),
            },
        };
        chat.log.get_or_try_init(|| self.open_stored(&chat)).await?;
        Ok(Some(chat))
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
        let is_news = {
            let mut state = lock(&chat.state);
            let is_news = state.end.is_none();
            state.set_end(end);
            is_news
        };
        if is_news {
            self.count_chatting(&chat.category, -(chat.members.len() as i32))
                .await;
            chat.wake_all();
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
        let now = self.clock.now();
        let chats: Vec<Arc<Chat>> = lock(&self.chats).values().cloned().collect();
        self.save_cursors(&chats).await;
        for chat in chats {
            self.tick_chat(&chat, now).await;
        }
    }

    /// Stores the cursors that have moved since the last time. If it fails they are stored when they
    /// move again.
    async fn save_cursors(&self, chats: &[Arc<Chat>]) {
        let dirty = |chat: &Arc<Chat>| lock(&chat.state).take_dirty_cursors();
        let cursors: Vec<Cursors> = chats.iter().flat_map(dirty).collect();
        for some in cursors.chunks(CURSORS_AT_ONCE) {
            if let Err(error) = self.store.save_cursors(some).await {
                tracing::warn!(%error, cursors = some.len(), "cursors could not be stored");
            }
        }
    }

    async fn tick_chat(&self, chat: &Arc<Chat>, now: UnixMs) {
        let (due, is_erased, is_behind, is_torn) = {
            let mut state = lock(&chat.state);
            let is_erased = state.end.is_some_and(|end| now >= end.expires_at);
            let due = state.due_end(&self.rules, chat.expires_at, now);
            (due, is_erased, state.has_unpersisted(), state.is_torn())
        };
        if is_behind {
            self.persister.enqueue(chat);
        }
        if is_torn && let Err(refusal) = self.catch_up(chat).await {
            tracing::warn!(code = %refusal.code, chat = %chat.id, "a gap could not be filled");
        }
        match due {
            Due::Nothing => {}
            Due::IdleNotice => {
                lock(&chat.state).set_idle_notice(&self.rules);
                chat.wake_all();
            }
            Due::End(reason, member) => {
                if let Err(refusal) = self.end(chat, reason, member).await {
                    tracing::warn!(code = %refusal.code, chat = %chat.id, "a chat could not be ended");
                }
            }
        }
        if is_erased {
            self.forget(chat).await;
        }
    }

    /// Lets go of a chat that can no longer be read.
    async fn forget(&self, chat: &Arc<Chat>) {
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
        if let Err(error) = self.broker.close_log(chat.id).await {
            tracing::warn!(%error, chat = %chat.id, "a log could not be closed");
        }
    }

    async fn count_chatting(&self, category: &str, people: i32) {
        if let Err(error) = self.broker.count_chatting(category, people).await {
            tracing::warn!(%error, "presence could not be counted");
        }
    }

    /// Saves the cursors of all chats: for a graceful stop.
    pub async fn flush(&self) {
        self.tick().await;
    }
}
