//! The messages of a chat on this node: their order, the newest frames, and the ones that are not
//! durable.
//!
//! The log decides the order; this is a copy that may be behind it. It is discarded and rebuilt
//! from the store when the log continues in an epoch that this node did not see begin.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use nowrong_protocol::{
    ClientMessageId, Position,
    limits::{CHAT_MESSAGES_MAX, CHAT_TEXT_BYTES_MAX},
};

use crate::{
    chat_log::{Resume, Tail, locate, resume_point},
    record::{Epoch, StoredMessage, UnixMs},
};

/// Most messages handed to the store at once for one chat.
const PERSIST_BATCH_MAX: usize = 256;

/// For how many messages a chat keeps memory allocated when none waits for the store.
const UNPERSISTED_KEPT: usize = 8;

/// How long a send waits for the store before its sender is told to send it again, in milliseconds:
/// longer than a failover of the store, and a client gives up a request after
/// [`REPLY_DEADLINE`](nowrong_protocol::limits::REPLY_DEADLINE), 15 s. The message itself waits on
/// until it is stored or the chat is over.
pub const STORE_PATIENCE_MS: u64 = 10_000;

/// The progress of the messages of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The newest seq.
    pub head: u64,
    /// Every message up to this seq is durable.
    pub durable: u64,
    /// How often this node dropped messages that waited, to start again from the store. A send that has
    /// waited since a smaller count has failed.
    pub drops: u64,
    /// Sends that were accepted at this time or before, and are not durable, have waited too long.
    pub late_until: UnixMs,
    /// Whether the store has erased the chat: what is not durable never will be.
    pub is_gone: bool,
    /// The epoch of the log. A position of an older one may be void.
    pub epoch: u32,
}

/// The messages of a chat.
#[derive(Debug)]
pub struct Messages {
    /// The newest message.
    pub head: Position,
    /// Every seq up to this one is in the store.
    pub durable: u64,
    /// See [`Progress::drops`].
    pub drops: u64,
    /// Positions of messages that were deleted, in the order in which this node learned of it.
    pub deleted: Vec<Position>,
    epochs: Vec<Epoch>,
    senders: Vec<u8>,
    /// The bytes of all bodies that count, sealed.
    bytes: u64,
    /// The newest frames up to the head.
    tail: Tail,
    /// Messages whose predecessor has a position and is still on its way to this node.
    early: BTreeMap<u64, (StoredMessage, Bytes)>,
    /// The head at the last check, if a message was early then.
    stuck_at: Option<u64>,
    /// Messages that count but are not in the store: every one after `durable` up to the head.
    unpersisted: VecDeque<StoredMessage>,
    /// Whether the store has reported that the messages waiting for it may be void.
    is_void: bool,
    /// Whether the store has reported that it has erased the chat.
    is_gone: bool,
    /// Whether the store has refused the messages that wait for it, and taken none since.
    is_refused: bool,
    /// The oldest message that waited when the time was last noted, and since when it is known to wait.
    waiting: Option<(u64, UnixMs)>,
    /// See [`Progress::late_until`].
    late_until: UnixMs,
}

impl Messages {
    /// No messages yet, of a chat with these epochs.
    pub fn new(epochs: &[Epoch]) -> Self {
        Self {
            head: Position::START,
            durable: 0,
            drops: 0,
            deleted: Vec::new(),
            epochs: epochs.to_vec(),
            senders: Vec::new(),
            bytes: 0,
            tail: Tail::default(),
            early: BTreeMap::new(),
            stuck_at: None,
            unpersisted: VecDeque::new(),
            is_void: false,
            is_gone: false,
            is_refused: false,
            waiting: None,
            late_until: 0,
        }
    }

    /// Starts again from the store (action `LoadEpochs`). Messages that wait for the store are in
    /// it or void: the sender of a void message is told to send it again.
    pub fn rebuild(&mut self, rebuilt: Rebuilt) {
        let Rebuilt {
            epochs,
            head,
            senders,
            bytes,
            deleted,
        } = rebuilt;
        let is_void = |message: &StoredMessage| message.position.seq > head.seq;
        let has_void = !self.early.is_empty() || self.unpersisted.iter().any(is_void);
        let drops = self.drops + u64::from(has_void);
        let news = deleted.into_iter().filter(|at| !self.deleted.contains(at));
        let news: Vec<_> = news.collect();
        self.deleted.extend(news);
        *self = Self {
            head,
            durable: head.seq,
            drops,
            late_until: self.late_until,
            senders,
            bytes,
            tail: Tail::after(head.seq),
            deleted: std::mem::take(&mut self.deleted),
            ..Self::new(&epochs)
        };
    }

    /// Takes in a message with its position and frame. It counts once all earlier messages are
    /// here; returns the messages that count now and did not before.
    pub(super) fn appended(&mut self, message: StoredMessage, frame: Bytes) -> Vec<Taken> {
        let seq = message.position.seq;
        let mut taken = Vec::with_capacity(1);
        if seq > self.head.seq + 1 {
            self.early.insert(seq, (message, frame));
            return taken;
        }
        if seq == self.head.seq + 1 {
            taken.push(self.take(message, frame));
        }
        while let Some((message, frame)) = self.early.remove(&(self.head.seq + 1)) {
            taken.push(self.take(message, frame));
        }
        taken
    }

    fn take(&mut self, message: StoredMessage, frame: Bytes) -> Taken {
        let taken = Taken {
            member: message.member,
            at: message.at,
        };
        self.head = message.position;
        self.bytes += message.sealed.len() as u64;
        self.tail.push(frame);
        set_sender(&mut self.senders, message.position.seq, message.member);
        if message.position.seq > self.durable {
            self.unpersisted.push_back(message);
        }
        taken
    }

    /// Whether a message is missing that will not come by itself: later messages have waited for it
    /// since the last check.
    pub fn is_torn(&mut self) -> bool {
        let stuck_at = (!self.early.is_empty()).then_some(self.head.seq);
        let is_torn = stuck_at.is_some() && self.stuck_at == stuck_at;
        self.stuck_at = stuck_at;
        is_torn
    }

    /// The store has reported that the messages waiting for it may be void: the node must start
    /// again from the store.
    pub fn set_void(&mut self) {
        self.is_void = true;
    }

    /// Whether the node must start again from the store.
    pub fn is_void(&self) -> bool {
        self.is_void
    }

    /// The store has erased the chat, or its key: nothing that waits for it will be stored.
    pub fn set_gone(&mut self) {
        self.is_gone = true;
        self.unpersisted.clear();
        self.early.clear();
    }

    /// Whether the store has erased the chat.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The store has refused the messages that wait for it. They wait on.
    pub fn set_refused(&mut self) {
        self.is_refused = true;
    }

    /// Whether messages wait that the store has refused. Until it takes them, no further message should
    /// get a position: others would see it although it may never be stored.
    pub fn is_refused(&self) -> bool {
        self.is_refused && self.has_unpersisted()
    }

    /// Notes the time, about once a second: a message that still waits after [`STORE_PATIENCE_MS`] makes
    /// the sends of that time late. Returns whether some are. Only times of this node are compared.
    pub fn note_time(&mut self, now: UnixMs) -> bool {
        let oldest = self.unpersisted.front().map(|message| message.position.seq);
        let known = self.waiting.filter(|(seq, _)| Some(*seq) == oldest);
        let since = known.map_or(now, |(_, since)| since);
        self.waiting = oldest.map(|seq| (seq, since));
        let before = now.saturating_sub(STORE_PATIENCE_MS);
        let has_late = oldest.is_some() && since <= before;
        if has_late {
            self.is_refused = true;
            self.late_until = before;
        }
        has_late
    }

    /// Whether the chat holds so many bytes that it takes no further message.
    pub fn is_full(&self) -> bool {
        self.bytes >= CHAT_TEXT_BYTES_MAX
    }

    /// The progress of the messages.
    pub fn progress(&self) -> Progress {
        Progress {
            head: self.head.seq,
            // Another node's notice of durability may have come before the messages themselves.
            durable: self.durable.min(self.head.seq),
            drops: self.drops,
            late_until: self.late_until,
            is_gone: self.is_gone,
            epoch: self.epoch(),
        }
    }

    /// The epoch in which the log assigns positions.
    pub fn epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The frames after a seq, ascending; `None` when the store must be asked.
    pub fn frames_after(&self, after: u64) -> Option<impl Iterator<Item = (u64, &Bytes)>> {
        self.tail.frames_after(after)
    }

    /// A message was deleted: replaces its frame.
    pub fn replace_frame(&mut self, seq: u64, frame: Bytes) {
        self.tail.replace(seq, frame);
    }

    /// Notes that a message was deleted; returns whether that is news.
    pub fn set_deleted(&mut self, position: Position) -> bool {
        let is_news = !self.deleted.contains(&position);
        if is_news {
            self.deleted.push(position);
        }
        is_news
    }

    /// The index of the sender of a message.
    pub fn sender(&self, seq: u64) -> Option<u8> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.senders
            .get(index)
            .copied()
            .filter(|member| *member != u8::MAX)
    }

    /// How many messages after `read` are not from `me`.
    pub fn unread(&self, me: u8, read: u64) -> u32 {
        let unread = self.senders.iter().skip(read as usize);
        unread.filter(|sender| **sender != me).count() as u32
    }

    /// Whether a message waits for the store.
    pub fn has_unpersisted(&self) -> bool {
        !self.unpersisted.is_empty()
    }

    /// The position and time of a member's message that counts here and is not known to be in the store.
    pub fn find_waiting(&self, member: u8, id: ClientMessageId) -> Option<(Position, UnixMs)> {
        let is_it =
            |message: &&StoredMessage| message.member == member && message.client_message_id == id;
        let found = self.unpersisted.iter().find(is_it)?;
        Some((found.position, found.at))
    }

    /// The next messages for the store: the run without a gap after the durable ones, of all
    /// senders (rules `StoreWholeRun`, `StoreAscending`). A later message is never durable before
    /// an earlier one.
    pub fn next_batch(&self) -> Vec<StoredMessage> {
        let run = self.unpersisted.iter().take(PERSIST_BATCH_MAX);
        run.cloned().collect()
    }

    /// The store has everything up to this position; a position of another than the current epoch
    /// is ignored. Returns the senders of the newly durable messages, each once.
    pub fn persisted(&mut self, position: Position) -> Vec<u8> {
        let mut senders = Vec::new();
        if position.epoch != self.epoch() {
            return senders;
        }
        let before = self.durable;
        self.durable = before.max(position.seq);
        let is_durable = |message: &StoredMessage| message.position.seq <= self.durable;
        let stored = self.unpersisted.partition_point(is_durable);
        self.unpersisted.drain(..stored);
        self.is_refused = false;
        if self.unpersisted.is_empty() {
            self.unpersisted.shrink_to(UNPERSISTED_KEPT);
        }
        for seq in before + 1..=self.durable.min(self.head.seq) {
            senders.extend(self.sender(seq).filter(|sender| !senders.contains(sender)));
        }
        senders
    }

    /// The position of `seq`: with the epoch in which it was assigned and survived.
    pub fn position_of(&self, seq: u64) -> Position {
        locate(&self.epochs, seq)
    }

    /// Whether a position was assigned by a log that was forgotten before the store had the
    /// message.
    pub fn is_void_position(&self, position: Position) -> bool {
        position.epoch != self.epoch() && self.position_of(position.seq) != position
    }

    /// Whether a message of the chat that counts here has exactly this position. Positions compare by epoch
    /// first, so to be before the head says nothing.
    pub fn has(&self, position: Position) -> bool {
        let is_within = (1..=self.head.seq).contains(&position.seq);
        is_within && self.position_of(position.seq) == position
    }

    /// The newest message that counts here and that a client can mean by `named`: that message itself, or
    /// the last one before it that is neither void nor unknown here; [`Position::START`] for none.
    pub fn nearest(&self, named: Position) -> Position {
        self.resume_point(named).unwrap_or(Position::START)
    }

    /// Where a client that holds the chat up to `asked` continues; `None` when it names an epoch
    /// that this node does not know.
    pub fn resume_point(&self, asked: Position) -> Option<Position> {
        match resume_point(&self.epochs, asked, self.head) {
            Resume::From(position) => Some(position),
            Resume::Beyond => None,
        }
    }
}

/// The facts about a newly counting message that the state of the members needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Who sent it.
    pub(super) member: u8,
    /// When.
    pub(super) at: UnixMs,
}

/// The data of a chat in the store, gathered page by page.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// The epochs.
    pub epochs: Vec<Epoch>,
    /// The newest message.
    pub head: Position,
    senders: Vec<u8>,
    bytes: u64,
    deleted: Vec<Position>,
}

impl Rebuilt {
    /// Takes in the next message; `false` when it does not follow the last one: it is void, or the
    /// read was not of one moment.
    pub fn push(&mut self, message: &StoredMessage) -> bool {
        let seq = message.position.seq;
        if seq != self.head.seq + 1 {
            return false;
        }
        self.head = message.position;
        self.bytes += message.sealed.len() as u64;
        set_sender(&mut self.senders, seq, message.member);
        if message.is_deleted {
            self.deleted.push(message.position);
        }
        true
    }

    /// Whether the messages are exactly those that survive the epochs, which are known by now: none
    /// of them is void, and no message older than the newest epoch is missing.
    pub fn is_whole(&self) -> bool {
        let base = self.epochs.last().map_or(0, |epoch| epoch.base);
        locate(&self.epochs, self.head.seq) == self.head && self.head.seq >= base
    }
}

fn set_sender(senders: &mut Vec<u8>, seq: u64, member: u8) {
    let index = seq.saturating_sub(1) as usize;
    if index >= CHAT_MESSAGES_MAX {
        return;
    }
    if senders.len() <= index {
        senders.resize(index + 1, u8::MAX);
    }
    senders[index] = member;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::tests::message;

    #[test]
    fn a_chat_is_full_of_bytes_before_it_is_full_of_messages_and_after_a_rebuild_too() {
        let long = |seq| StoredMessage {
            sealed: vec![0; 8_000].into(),
            ..message(seq, 0)
        };
        let mut messages = Messages::new(&[Epoch { number: 1, base: 0 }]);
        let mut rebuilt = Rebuilt::default();
        rebuilt.epochs.push(Epoch { number: 1, base: 0 });
        for seq in 1..=1_000 {
            assert!(!messages.is_full(), "{seq}");
            messages.appended(long(seq), Bytes::new());
            assert!(rebuilt.push(&long(seq)));
        }
        assert!(messages.is_full());
        let mut again = Messages::new(&[Epoch { number: 1, base: 0 }]);
        again.rebuild(rebuilt);
        assert!(again.is_full());
    }

    #[test]
    fn g10_what_waited_for_the_store_leaves_little_room_behind() {
        let mut messages = Messages::new(&[Epoch { number: 1, base: 0 }]);
        for seq in 1..=500 {
            assert_eq!(messages.appended(message(seq, 0), Bytes::new()).len(), 1);
        }
        messages.persisted(Position::new(1, 499));
        assert_eq!(messages.next_batch().len(), 1);
        messages.persisted(Position::new(1, 500));
        assert!(messages.unpersisted.capacity() <= UNPERSISTED_KEPT);
    }
}
