//! How chats end: for all members at once; the end may also come from the store or another node.

use std::sync::Arc;

use nowrong_core::record::{ChatEnd, Notice};
use nowrong_protocol::{UserId, frame::EndReason};

use super::{Chat, Chats};
use crate::{hub::UserEntry, refusal::Refusal};

impl Chats {
    /// Ends a chat for all its members; the first end stays.
    ///
    /// # Errors
    /// [`Refusal`] when the store refused; the chat continues.
    pub async fn end_chat(
        &self,
        chat: &Arc<Chat>,
        reason: EndReason,
        member: Option<u8>,
    ) -> Result<(), Refusal> {
        if reason != EndReason::Expired && !chat.state().messages.is_refused() {
            self.store_shown(chat).await;
        }
        let at = self.env.clock.now();
        let expires_at = (at + self.rules.grace.as_millis() as u64).min(chat.expires_at);
        let end = ChatEnd {
            reason,
            member,
            at,
            expires_at,
        };
        self.store_end(chat, end).await
    }

    /// Stores what this node has shown to members, before the end is stored: who sent it learns that it has
    /// arrived, also from a node that knows the chat only from the store. What the store refuses waits on, as
    /// ever, and does not hold up the end.
    async fn store_shown(&self, chat: &Arc<Chat>) {
        if let Err(refusal) = self.store_unpersisted(chat).await {
            tracing::warn!(code = %refusal.code, chat = %chat.id, "a chat ends before all of it is stored");
        }
    }

    async fn store_end(&self, chat: &Arc<Chat>, end: ChatEnd) -> Result<(), Refusal> {
        let end = self.env.store.end_chat(chat.id, &end).await?.unwrap_or(end);
        self.announce_notice(chat, Notice::Ended { chat: chat.id, end });
        self.apply_end(chat, end).await;
        Ok(())
    }

    /// The store has erased the chat or its key, so nothing of it can be read or stored: ends it for all
    /// members, and frees their seats. If the store refuses, the next tick tries again.
    pub(super) async fn end_erased(&self, chat: &Arc<Chat>) {
        tracing::error!(chat = %chat.id, "the store has erased a chat that was not over: it ends");
        if let Err(refusal) = self.store_end(chat, self.erased_now()).await {
            tracing::warn!(code = %refusal.code, chat = %chat.id, "a chat could not be ended");
        }
    }

    /// The end of a chat of which nothing is left to read.
    pub(super) fn erased_now(&self) -> ChatEnd {
        let at = self.env.clock.now();
        ChatEnd {
            reason: EndReason::Expired,
            member: None,
            at,
            expires_at: at,
        }
    }

    /// The chat has ended, here or on another node.
    pub(super) async fn apply_end(&self, chat: &Chat, end: ChatEnd) {
        let is_news = chat.set_end(&mut chat.state(), end);
        if is_news {
            self.count_members(chat).await;
            chat.wake_all();
        }
    }

    /// Checks whether the chat in which the user seems to be has ended on another node without
    /// notice.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub(crate) async fn learn_end_of(&self, user: &UserEntry) -> Result<(), Refusal> {
        let chat = user.state().chat.as_ref().map(|chat| chat.id);
        let chat = chat.and_then(|id| self.held_chat(id));
        let Some(chat) = chat.filter(|chat| !chat.has_ended()) else {
            return Ok(());
        };
        self.learn_end(&chat).await
    }

    /// Takes over the end of the chat on another node, if it has ended there, or been erased.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub(super) async fn learn_end(&self, chat: &Arc<Chat>) -> Result<(), Refusal> {
        let record = self.env.store.chat(chat.id, self.env.clock.now()).await?;
        match record.map(|record| record.end) {
            Some(Some(end)) => self.apply_end(chat, end).await,
            Some(None) => {}
            None => self.mark_gone(chat),
        }
        Ok(())
    }

    /// The user is leaving for good: ends the current chat, if any.
    ///
    /// # Errors
    /// [`Refusal`] when the store refused.
    pub async fn end_chat_of(&self, user: UserId) -> Result<(), Refusal> {
        let Some(chat) = self.load_chat_of(user, &[]).await? else {
            return Ok(());
        };
        let member = chat.member(user);
        self.end_chat(&chat, EndReason::Left, member).await
    }
}
