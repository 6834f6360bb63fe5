//! Reads from the store for a client: messages that are no longer in the tail, and pages of older
//! messages. Also deletes a message.

use bytes::Bytes;
use nowrong_core::record::{Notice, StoredMessage};
use nowrong_protocol::{
    ErrorCode, Framed, Position, codec, envelope,
    frame::{Message, Page},
    limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
};

use super::{Chat, Chats};
use crate::refusal::Refusal;

/// Most messages read from the store at once.
pub(super) const READ_MAX: usize = 128;

impl Chats {
    /// The `Message` frames after a position, from the store, ascending, up to those of `epoch`,
    /// the newest that the caller knows. Empty when there are none.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub async fn read_frames(
        &self,
        chat: &Chat,
        epoch: u32,
        after: Position,
    ) -> Result<Vec<(u64, Bytes)>, Refusal> {
        let now = self.env.clock.now();
        let stored = self
            .env
            .store
            .messages_after(chat.id, after, READ_MAX, now)
            .await?;
        // Skip messages of a later epoch: this caller does not know it yet.
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
    pub async fn read_page(
        &self,
        chat: &Chat,
        request: u32,
        before: Option<Position>,
        limit: u16,
    ) -> Result<Page, Refusal> {
        let limit = usize::from(limit).clamp(1, PAGE_MESSAGES_MAX);
        let now = self.env.clock.now();
        let mut stored = self
            .env
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

    /// Deletes a member's own message for all members.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such message, it is another member's, or the store refused.
    pub async fn delete_message(
        &self,
        chat: &Chat,
        me: u8,
        position: Position,
    ) -> Result<(), Refusal> {
        let sender = {
            let messages = &chat.state().messages;
            let is_there = messages.position_of(position.seq) == position
                && position.seq <= messages.progress().durable;
            is_there.then(|| messages.sender(position.seq)).flatten()
        };
        match sender {
            None => return Err(ErrorCode::MESSAGE_UNKNOWN.into()),
            Some(sender) if sender != me => return Err(ErrorCode::MESSAGE_NOT_YOURS.into()),
            Some(_) => {}
        }
        if !self.env.store.delete_message(chat.id, position).await? {
            return Err(ErrorCode::MESSAGE_UNKNOWN.into());
        }
        self.show_deleted(chat, position).await?;
        let chat_id = chat.id;
        self.announce_notice(
            chat,
            Notice::Deleted {
                chat: chat_id,
                position,
            },
        );
        Ok(())
    }

    /// The store has deleted a message: replaces its frame here with the store's version, and tells
    /// the members.
    pub(super) async fn show_deleted(
        &self,
        chat: &Chat,
        position: Position,
    ) -> Result<(), Refusal> {
        let now = self.env.clock.now();
        let after = Position::new(position.epoch, position.seq.saturating_sub(1));
        let stored = self
            .env
            .store
            .messages_after(chat.id, after, 1, now)
            .await?;
        let deleted = stored.into_iter().next();
        let deleted = deleted.filter(|message| message.position == position && message.is_deleted);
        if let Some(message) = deleted.and_then(|message| chat.unseal(message)) {
            let frame = envelope::encode(&message);
            let mut state = chat.state();
            state.messages.replace_frame(position.seq, frame);
            state.messages.set_deleted(position);
        }
        chat.wake_all();
        Ok(())
    }
}
