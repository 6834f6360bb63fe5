//! The log of one chat: assigns positions, recognises messages that are sent again, and says where
//! a returning client continues. Also the tail of the newest frames.
//!
//! A log holds at most [`CHAT_MESSAGES_MAX`] client message ids and no messages. Invariant: seqs
//! have no gap. Start reading at [`ChatLog::append`]; resuming is in [`resume_point`], the frames
//! in [`Tail`].

use std::collections::HashMap;

use nowrong_protocol::{ClientMessageId, Position, limits::CHAT_MESSAGES_MAX};

use crate::record::{Epoch, KnownMessage, UnixMs};

mod resume;
mod tail;
#[cfg(test)]
mod tests;

pub use resume::{Resume, locate, resume_point};
pub use tail::{TAIL_BYTES_MAX, TAIL_FRAMES_MAX, Tail};

/// The outcome of [`ChatLog::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The message has this position now.
    New(Position),
    /// The message was appended before, at this position and time.
    Again(Position, UnixMs),
    /// The chat has reached its maximum number of messages.
    Full,
}

/// The log of one chat in one epoch.
#[derive(Debug)]
pub struct ChatLog {
    epoch: u32,
    head: Position,
    /// Never iterated, so that nothing depends on its order.
    known: HashMap<(u8, ClientMessageId), (Position, UnixMs)>,
}

impl ChatLog {
    /// A log that continues after `epoch.base`. `known` are the messages that the store has; any
    /// beyond the base are void and ignored.
    pub fn new(epoch: Epoch, known: impl IntoIterator<Item = KnownMessage>) -> Self {
        let mut log = Self {
            epoch: epoch.number,
            head: Position::new(epoch.number.saturating_sub(1), epoch.base),
            known: HashMap::new(),
        };
        if epoch.base == 0 {
            log.head = Position::START;
        }
        for message in known {
            log.learn(message);
        }
        log
    }

    fn learn(&mut self, message: KnownMessage) {
        if message.position.seq > self.head.seq {
            return;
        }
        if message.position.seq == self.head.seq {
            self.head = message.position;
        }
        let key = (message.member, message.client_message_id);
        self.known.insert(key, (message.position, message.at));
    }

    /// The newest message; [`Position::START`] when there is none.
    pub fn head(&self) -> Position {
        self.head
    }

    /// The epoch in which it assigns positions.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Appends a message of `member` at the next seq, unless it was appended before or the chat is
    /// full: it has as many messages as any may have, or takes no new ones for another reason.
    pub fn append(
        &mut self,
        member: u8,
        client_message_id: ClientMessageId,
        at: UnixMs,
        takes_new: bool,
    ) -> Appended {
        let key = (member, client_message_id);
        if let Some((position, at)) = self.known.get(&key) {
            return Appended::Again(*position, *at);
        }
        if !takes_new || self.head.seq >= CHAT_MESSAGES_MAX as u64 {
            return Appended::Full;
        }
        self.head = Position::new(self.epoch, self.head.seq + 1);
        self.known.insert(key, (self.head, at));
        Appended::New(self.head)
    }
}
