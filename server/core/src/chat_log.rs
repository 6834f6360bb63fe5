//! The log of one chat: gives out positions, recognises what is sent again, keeps the newest
//! frames, and says where a client that comes back goes on.
//!
//! It holds at most [`CHAT_MESSAGES_MAX`] client message ids and a tail of frames; older frames are
//! the store's. It never touches a message: a frame is bytes. Invariant: seqs have no gap, and the
//! tail holds the frames of the newest ones without a gap. Start reading at [`ChatLog::append`];
//! resuming is in [`resume_point`].

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use nowrong_protocol::{ClientMessageId, Position, limits::CHAT_MESSAGES_MAX};

mod resume;
#[cfg(test)]
mod tests;

pub use resume::{Epoch, Resume, locate, resume_point};

/// Most frames in the tail of a log: over four minutes at a message a second, far more than a phone
/// misses while its seat is held. Who missed more is served from the store.
pub const TAIL_FRAMES_MAX: usize = 256;

/// Most bytes in the tail of a log, so that 256 long messages do not cost 2 MB: ten thousand chats
/// that all talk in long messages hold 640 MB. The newest frame stays even if it alone is longer.
pub const TAIL_BYTES_MAX: usize = 64 * 1024;

/// A stored message that the log must recognise when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Index of the sender.
    pub member: u8,
    /// The sender's id.
    pub client_message_id: ClientMessageId,
    /// Where it stands.
    pub position: Position,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// The outcome of [`ChatLog::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It has this position now.
    New(Position),
    /// It was appended before, at this position and time.
    Again(Position, u64),
    /// The chat has as many messages as it may have.
    Full,
}

/// The log of one chat in one epoch.
#[derive(Debug)]
pub struct ChatLog {
    epoch: u32,
    head: Position,
    /// Never iterated, so that nothing depends on its order.
    known: HashMap<(u8, ClientMessageId), (Position, u64)>,
    tail: VecDeque<Bytes>,
    tail_bytes: usize,
}

impl ChatLog {
    /// The log that goes on after `epoch.base`, with an empty tail. `known` are the messages that
    /// the store has; any beyond the base are void and ignored.
    pub fn new(epoch: Epoch, known: impl IntoIterator<Item = Known>) -> Self {
        let mut log = Self {
            epoch: epoch.number,
            head: Position::new(epoch.number.saturating_sub(1), epoch.base),
            known: HashMap::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
        };
        if epoch.base == 0 {
            log.head = Position::START;
        }
        for message in known {
            log.learn(message);
        }
        log
    }

    fn learn(&mut self, message: Known) {
        if message.position.seq > self.head.seq {
            return;
        }
        if message.position.seq == self.head.seq {
            self.head = message.position;
        }
        let key = (message.member, message.client_message_id);
        self.known.insert(key, (message.position, message.at_ms));
    }

    /// The newest message; [`Position::START`] when there is none.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Appends a message of `member` at the next seq, unless it was appended before or the chat is
    /// full. `encode` makes its frame; if it panics, nothing was appended.
    pub fn append(
        &mut self,
        member: u8,
        client_message_id: ClientMessageId,
        at_ms: u64,
        encode: impl FnOnce(Position) -> Bytes,
    ) -> Appended {
        let key = (member, client_message_id);
        if let Some((position, at_ms)) = self.known.get(&key) {
            return Appended::Again(*position, *at_ms);
        }
        if self.head.seq >= CHAT_MESSAGES_MAX as u64 {
            return Appended::Full;
        }
        let position = Position::new(self.epoch, self.head.seq + 1);
        let frame = encode(position);
        self.head = position;
        self.known.insert(key, (position, at_ms));
        self.tail_bytes += frame.len();
        self.tail.push_back(frame);
        self.trim();
        Appended::New(position)
    }

    /// Frames with a seq after `after`, ascending, at most `limit`; `None` when the first of them is
    /// no longer held.
    pub fn frames_after(&self, after: u64, limit: usize) -> Option<Vec<(u64, Bytes)>> {
        if after >= self.head.seq {
            return Some(Vec::new());
        }
        let skipped = after.checked_sub(self.tail_base())? as usize;
        let frames = self.tail.iter().skip(skipped).take(limit);
        Some((after + 1..).zip(frames.cloned()).collect())
    }

    /// Puts another frame in the place of one that is held; `false` when it is not.
    pub fn replace_frame(&mut self, seq: u64, frame: Bytes) -> bool {
        let index = seq.checked_sub(self.tail_base() + 1);
        let Some(held) = index.and_then(|index| self.tail.get_mut(index as usize)) else {
            return false;
        };
        self.tail_bytes = self.tail_bytes - held.len() + frame.len();
        *held = frame;
        self.trim();
        true
    }

    /// The seq before the first frame that is held.
    fn tail_base(&self) -> u64 {
        self.head.seq - self.tail.len() as u64
    }

    fn trim(&mut self) {
        while self.tail.len() > TAIL_FRAMES_MAX
            || (self.tail_bytes > TAIL_BYTES_MAX && self.tail.len() > 1)
        {
            let dropped = self.tail.pop_front().map_or(0, |frame| frame.len());
            self.tail_bytes -= dropped;
        }
    }
}
