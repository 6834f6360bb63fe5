//! The chats of this node: how they come (a match, a returning member, a start) and how they are
//! forgotten.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use nowrong_base::lock::lock;
use nowrong_broker::LogSeed;
use nowrong_core::{
    chat::{ChatRules, Home, State},
    record::{self, Epoch, UnixMs},
};
use nowrong_protocol::{ChatId, UserId, frame::Resume};
use nowrong_store::StoreError;

use super::{Chat, Sealer, persist::Persister, rechecks::Rechecks};
use crate::{environment::Environment, hub::Hub, refusal::Refusal};

/// Most chats that one read of the store returns at a start.
const START_PAGE: usize = 1_000;

/// The chats of this node.
pub struct Chats {
    pub(super) env: Environment,
    pub(super) hub: Arc<Hub>,
    pub(super) rules: ChatRules,
    pub(super) persister: Persister,
    pub(super) rechecks: Rechecks,
    chats: Mutex<HashMap<ChatId, Arc<Chat>>>,
}

impl Chats {
    /// A node without chats. [`Self::run_persister`] must run for messages to become durable.
    pub fn new(env: Environment, hub: Arc<Hub>, rules: ChatRules) -> Arc<Self> {
        Arc::new(Self {
            env,
            hub,
            rules,
            persister: Persister::default(),
            rechecks: Rechecks::default(),
            chats: Mutex::default(),
        })
    }

    /// The times that govern chats.
    pub fn rules(&self) -> &ChatRules {
        &self.rules
    }

    /// Takes over the chats that have not ended before a restart: their seats are held from now.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn take_over_stored(&self) -> Result<usize, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self
                .env
                .store
                .active_chats(after, START_PAGE, self.env.clock.now())
                .await?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = Some(last.id);
            for record in page {
                count += 1;
                let chat = self.admit(record);
                for member in chat.state().members_mut() {
                    member.set_home(Home::Here);
                }
                self.count_members(&chat).await;
            }
        }
    }

    /// Takes in a chat that a match has just opened, with an empty log.
    ///
    /// # Errors
    /// [`Refusal`] when the broker has no room for its log.
    pub async fn admit_opened(&self, record: record::Chat) -> Result<Arc<Chat>, Refusal> {
        let epoch = record
            .epochs
            .last()
            .copied()
            .unwrap_or(Epoch { number: 1, base: 0 });
        let chat = self.admit(record);
        // A member who was not matched on another node was matched here.
        for member in chat.state().members_mut() {
            member.set_home(Home::Here);
        }
        let open = || async {
            let seed = LogSeed {
                epoch,
                known: Vec::new(),
                incarnation: None,
            };
            self.env.broker.open_log(chat.id, seed).await.map(|_| ())
        };
        chat.log.get_or_try_init(open).await?;
        Ok(chat)
    }

    /// The chat of a connecting user: the one of the seat, otherwise the first of `asked` that
    /// ended and can still be read.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail.
    pub async fn load_chat_of(
        &self,
        user: UserId,
        asked: &[Resume],
    ) -> Result<Option<Arc<Chat>>, Refusal> {
        let now = self.env.clock.now();
        if let Some(id) = self.env.store.seat(user, now).await?
            && let Some(chat) = self.load_chat(id).await?
        {
            self.follow_client_epoch(&chat, asked).await?;
            return Ok(Some(chat));
        }
        for resume in asked {
            let chat = self.load_chat(resume.chat).await?;
            if let Some(chat) = chat.filter(|chat| chat.member(user).is_some()) {
                self.follow_client_epoch(&chat, asked).await?;
                return Ok(Some(chat));
            }
        }
        Ok(None)
    }

    /// The chat with its log open, from this node or from the store.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail.
    pub(crate) async fn load_chat(&self, id: ChatId) -> Result<Option<Arc<Chat>>, Refusal> {
        let chat = match self.held_chat(id) {
            Some(chat) => chat,
            None => match self.env.store.chat(id, self.env.clock.now()).await? {
                Some(record) => self.admit(record),
                None => return Ok(None),
            },
        };
        chat.log
            .get_or_try_init(|| self.open_stored_log(&chat))
            .await?;
        Ok(Some(chat))
    }

    /// A chat of this user that has ended and can still be read, and the user's index in it.
    ///
    /// # Errors
    /// [`Refusal`] when store or broker fail.
    pub(crate) async fn load_ended_chat(
        &self,
        id: ChatId,
        user: UserId,
    ) -> Result<Option<(Arc<Chat>, u8)>, Refusal> {
        if self.held_chat(id).is_none() {
            // Nobody makes a node take in the chat of others.
            let record = self.env.store.chat(id, self.env.clock.now()).await?;
            let is_theirs = |it: &record::Chat| it.members.iter().any(|it| it.user == user);
            if !record.is_some_and(|it| it.end.is_some() && is_theirs(&it)) {
                return Ok(None);
            }
        }
        let chat = self.load_chat(id).await?;
        let ended = chat.filter(|chat| chat.has_ended());
        Ok(ended.and_then(|chat| chat.member(user).map(|me| (chat, me))))
    }

    /// The chat, if this node has it.
    pub(crate) fn held_chat(&self, id: ChatId) -> Option<Arc<Chat>> {
        lock(&self.chats).get(&id).cloned()
    }

    /// Every chat of this node.
    pub(super) fn all_chats(&self) -> Vec<Arc<Chat>> {
        lock(&self.chats).values().cloned().collect()
    }

    /// Adds the chat to the node and to its members; an existing one stays.
    fn admit(&self, record: record::Chat) -> Arc<Chat> {
        let mut chats = lock(&self.chats);
        if let Some(chat) = chats.get(&record.id) {
            return chat.clone();
        }
        let state = State::new(&record, &self.rules, self.env.clock.now());
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
            broker: self.env.broker.clone(),
            log: tokio::sync::OnceCell::new(),
            reopening: tokio::sync::Mutex::new(()),
            sent_before: tokio::sync::Mutex::new(None),
            is_over: Arc::new(AtomicBool::new(state.end.is_some())),
            state: Mutex::new(state),
        });
        for member in &chat.members {
            let mut state = member.state();
            if chat.has_ended() && state.is_chatting() {
                continue;
            }
            state.chat = Some(chat.as_current());
        }
        chats.insert(chat.id, chat.clone());
        chat
    }

    /// When a chat that begins at `started_at` is erased at the latest.
    pub(crate) fn latest_expiry(&self, started_at: UnixMs) -> UnixMs {
        started_at + self.rules.retention.as_millis() as u64
    }

    /// Forgets the chat here, and those of its members that nothing else keeps.
    pub(super) fn forget_chat(&self, chat: &Arc<Chat>) {
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

    /// Counts the members who are here in the presence counts.
    pub(crate) async fn count_members(&self, chat: &Chat) {
        let people = chat.state().recount();
        if people == 0 {
            return;
        }
        if let Err(error) = self.env.broker.count_chatting(&chat.category, people).await {
            tracing::warn!(%error, "presence could not be counted");
        }
    }
}
