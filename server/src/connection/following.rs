//! Following a chat: the connection's reader, and its reads from the store when it is far behind.

use std::sync::Arc;

use nowrong_core::chat::{Pulled, Reader, Sent};
use nowrong_protocol::{Position, ServerFrame, frame::ChatState};

use crate::chat::{Chat, Chats};

/// One connection's progress in its chat.
pub(super) struct Following {
    pub(super) chat: Arc<Chat>,
    /// The index of the connection's member.
    pub(super) me: u8,
    reader: Reader,
}

impl Following {
    /// Follows a chat from a client's position; returns the state to show it.
    pub(super) fn new(chat: Arc<Chat>, me: u8, asked: Position) -> (Self, ChatState) {
        let (reader, state) = chat.open_reader(me, asked);
        (Self { chat, me, reader }, state)
    }

    /// How many sends wait for the store.
    pub(super) fn unacked(&self) -> usize {
        self.reader.unacked()
    }

    /// A send was accepted; its `Ack` is due once it is durable.
    pub(super) fn sent(&mut self, request: u32, sent: Sent) {
        self.reader.sent(request, sent);
    }

    /// Gathers messages and acks into `live`, and everything else into `frames`. Never returns
    /// [`Pulled::Behind`].
    pub(super) async fn pull(
        &mut self,
        chats: &Chats,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) -> Pulled {
        loop {
            let pulled = self.chat.pull(&mut self.reader, live, frames);
            let Pulled::Behind(after) = pulled else {
                return pulled;
            };
            // Boxed: a waiting connection keeps no memory for rare work.
            if !Box::pin(self.read(chats, after, live)).await {
                self.chat.pull_rest(&mut self.reader, live, frames);
                return Pulled::All;
            }
        }
    }

    /// Gathers only the replies to sends that wait.
    pub(super) fn pull_acks(&mut self, live: &mut Vec<u8>, frames: &mut Vec<ServerFrame>) {
        self.chat.pull_acks(&mut self.reader, live, frames);
    }

    /// Takes in the messages of the store after a position; `false` when there are none.
    async fn read(&mut self, chats: &Chats, after: Position, live: &mut Vec<u8>) -> bool {
        let frames = chats.read_frames(&self.chat, self.reader.epoch(), after);
        let frames = match frames.await {
            Ok(frames) => frames,
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, chat = %self.chat.id, "messages not readable");
                return false;
            }
        };
        let mut is_progress = false;
        for (seq, frame) in frames {
            if !self.reader.take(seq, &frame, live) {
                break;
            }
            is_progress = true;
        }
        is_progress
    }
}
