//! Messages that come again after the end of their chat. The partner may have seen them before it, so
//! their sender is told that they arrived; only a message that the chat does not have is refused.

use std::{collections::HashMap, sync::Arc};

use nowrong_core::{
    chat::Sent,
    record::{KnownMessage, UnixMs},
};
use nowrong_protocol::{ClientMessageId, ErrorCode, Position};

use super::{Chat, Chats, log::known_message};
use crate::refusal::Refusal;

/// What was sent in a chat that is over, by sender and client message id: at most
/// [`CHAT_MESSAGES_MAX`](nowrong_protocol::limits::CHAT_MESSAGES_MAX) of some 50 bytes. It is gathered when
/// the first message comes again, and forgotten with the chat.
pub(super) type SentBefore = HashMap<(u8, ClientMessageId), (Position, UnixMs)>;

impl Chats {
    /// The message `id` of member `me`, which was sent before the chat ended.
    ///
    /// # Errors
    /// [`ErrorCode::CHAT_ENDED`] when the chat does not have it, another [`Refusal`] when store or broker
    /// fail, so that nobody knows.
    pub(super) async fn find_in_ended(
        &self,
        chat: &Arc<Chat>,
        me: u8,
        id: ClientMessageId,
    ) -> Result<Sent, Refusal> {
        if chat.state().messages.is_gone() {
            return Err(ErrorCode::CHAT_ENDED.into());
        }
        let gathered = chat
            .sent_before
            .get_or_try_init(|| self.gather_sent(chat))
            .await?;
        match gathered.get(&(me, id)) {
            Some(&(position, at)) => Ok(self.sent_again(chat, position, at)),
            None => Err(ErrorCode::CHAT_ENDED.into()),
        }
    }

    /// Everything that has a position: in the log, waiting for the store here, or in the store.
    async fn gather_sent(&self, chat: &Arc<Chat>) -> Result<Box<SentBefore>, Refusal> {
        // Without a log there is nothing in it that is not in the store.
        self.read_log(chat).await?;
        // Before the store is read: what is stored in between is found twice.
        let waiting: Vec<_> = {
            let state = chat.state();
            state.messages.waiting().map(known_message).collect()
        };
        let stored = self.read_stored(chat).await?.known;
        let place = |known: KnownMessage| {
            let key = (known.member, known.client_message_id);
            (key, (known.position, known.at))
        };
        let sent = waiting.into_iter().chain(stored).map(place).collect();
        Ok(Box::new(sent))
    }
}
