//! Messages that come again after the end of their chat. The partner may have seen them before it, so
//! their sender is told that they arrived; only a message that the chat does not have is refused.

use std::{collections::HashMap, sync::Arc};

use nowrong_core::{
    chat::Sent,
    record::{KnownMessage, UnixMs},
};
use nowrong_protocol::{ClientMessageId, ErrorCode, Position};

use super::{Chat, Chats};
use crate::refusal::Refusal;

/// What the store has of a chat that is over, by sender and client message id: at most
/// [`CHAT_MESSAGES_MAX`](nowrong_protocol::limits::CHAT_MESSAGES_MAX) of some 50 bytes. It is gathered when
/// the first message comes again, and forgotten with the chat.
pub(super) struct SentBefore {
    known: HashMap<(u8, ClientMessageId), (Position, UnixMs)>,
    /// The newest seq that it has.
    up_to: u64,
}

impl Chats {
    /// The message `id` of member `me`, which was sent before the chat ended.
    ///
    /// # Errors
    /// [`ErrorCode::CHAT_ENDED`] when the chat does not have it, another [`Refusal`] when store or broker
    /// fail, so that nobody knows.
    pub(crate) async fn find_in_ended(
        &self,
        chat: &Arc<Chat>,
        me: u8,
        id: ClientMessageId,
    ) -> Result<Sent, Refusal> {
        if chat.state().messages.is_gone() {
            return Err(ErrorCode::CHAT_ENDED.into());
        }
        let mut stored = chat.sent_before.lock().await;
        if stored.is_none() {
            // Without a log there is nothing in it that is not in the store.
            self.read_log(chat).await?;
        }
        let (waiting, durable) = {
            let state = chat.state();
            (
                state.messages.find_waiting(me, id),
                state.messages.progress().durable,
            )
        };
        if let Some((position, at)) = waiting {
            return Ok(self.sent_again(chat, position, at));
        }
        let is_current = |held: &SentBefore| held.up_to >= durable;
        let held = match stored.take().filter(|held| is_current(held)) {
            Some(held) => held,
            None => Box::new(self.gather_stored(chat).await?),
        };
        let found = held.known.get(&(me, id)).copied();
        *stored = Some(held);
        let (position, at) = found.ok_or(ErrorCode::CHAT_ENDED)?;
        Ok(self.sent_again(chat, position, at))
    }

    async fn gather_stored(&self, chat: &Arc<Chat>) -> Result<SentBefore, Refusal> {
        let known = self.read_stored(chat).await?.known;
        let up_to = known.last().map_or(0, |newest| newest.position.seq);
        let place = |known: KnownMessage| {
            let key = (known.member, known.client_message_id);
            (key, (known.position, known.at))
        };
        Ok(SentBefore {
            known: known.into_iter().map(place).collect(),
            up_to,
        })
    }
}
