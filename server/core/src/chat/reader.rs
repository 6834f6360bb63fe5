//! One connection's position in a chat: which message its client gets next, and which of the
//! client's own messages still wait for the store.

use std::collections::VecDeque;

use nowrong_protocol::{
    ErrorCode, Position, ServerFrame, envelope,
    frame::{Ack, Fail},
};

use super::{messages::Progress, state::State, view::View};
use crate::record::UnixMs;

/// Stop gathering messages at this many bytes and write. Together with the last message it stays
/// below the limit of a WebSocket message, and its socket accepts it at once.
const GATHER_BYTES: usize = 64 * 1024;

/// How long a client waits before it sends a message again that is not stored yet.
const NOT_STORED_RETRY_MS: u32 = 1_000;

/// A sent message: the content of its `Ack` once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it stands.
    pub position: Position,
    /// When the server accepted it.
    pub at: UnixMs,
    /// Since when this send waits: later than `at` when the message was sent again.
    pub since: UnixMs,
    /// The count when the send was accepted: see [`Progress::drops`].
    pub drops: u64,
    /// Whether it got its position just now and still has it. If not, the client may not hold it yet.
    pub is_new: bool,
}

/// A send that waits for the store.
#[derive(Debug)]
struct Unacked {
    request: u32,
    sent: Sent,
}

/// The result of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The client knows everything.
    All,
    /// More is waiting, but there is no room for it in this write.
    Part,
    /// The client got messages that are void by now: it must resume.
    Void,
    /// The next message is no longer in the tail. Read the messages after this position from the
    /// store, pass them to [`Reader::take`], then pull again.
    Behind(Position),
}

/// One connection's progress in its chat.
#[derive(Debug)]
pub struct Reader {
    /// Index of the connection's member.
    me: u8,
    view: View,
    /// The epoch in which the client got the messages.
    epoch: u32,
    /// The client got every message up to this seq.
    after: u64,
    /// Positions over `after` that this connection sent itself, ascending: the client learns of
    /// them by their `Ack`. A message at the next position only advances `after`, and is not kept
    /// here.
    own: VecDeque<Position>,
    /// Bounded by the caller, which refuses sends beyond its limit.
    unacked: Vec<Unacked>,
}

impl Reader {
    /// The epoch in which the client got the messages.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// How many sends wait for the store.
    pub fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// A send was accepted; its `Ack` is due once it is durable.
    pub fn sent(&mut self, request: u32, sent: Sent) {
        if sent.is_new {
            if sent.position == Position::new(self.epoch, self.after + 1) {
                self.after = sent.position.seq;
            } else {
                self.own.push_back(sent.position);
            }
        }
        self.unacked.push(Unacked { request, sent });
    }

    /// Takes in the next message from the store, with its frame; `false` when there is no room for
    /// it in this write.
    pub fn take(&mut self, seq: u64, frame: &[u8], live: &mut Vec<u8>) -> bool {
        if live.len() >= GATHER_BYTES {
            return false;
        }
        self.after = seq;
        if self.own.front().is_some_and(|own| own.seq == seq) {
            self.own.pop_front();
        } else {
            live.extend_from_slice(frame);
        }
        true
    }

    /// Acks messages that became durable, into `live`. Fails those that were dropped or have waited for
    /// too long: they should be sent again. Fails for good what waits in a chat that was erased.
    fn settle(
        &mut self,
        state: &State,
        progress: Progress,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) {
        self.unacked.retain(|Unacked { request, sent }| {
            let position = sent.position;
            let is_void = state.messages.is_void_position(position);
            if position.seq <= progress.durable && !is_void {
                let ack = Ack {
                    request: *request,
                    position,
                    at_ms: sent.at,
                };
                envelope::encode_into(&ack, live);
                return false;
            }
            let is_dropped = is_void || sent.drops != progress.drops;
            let fail = match progress.is_gone {
                true => failed(*request, ErrorCode::CHAT_ENDED, 0),
                false if is_dropped || sent.since <= progress.late_until => failed(
                    *request,
                    ErrorCode::STORAGE_UNAVAILABLE,
                    NOT_STORED_RETRY_MS,
                ),
                false => return true,
            };
            frames.push(fail.into());
            false
        });
    }
}

fn failed(request: u32, code: ErrorCode, retry_after_ms: u32) -> Fail {
    Fail {
        request,
        code,
        retry_after_ms,
        detail: String::new(),
    }
}

impl State {
    /// The reader of a connection of member `me` that continues from `resumed`, which
    /// [`Messages::resume_point`](super::Messages::resume_point) returned.
    pub fn reader(&self, me: u8, resumed: Position) -> Reader {
        Reader {
            me,
            view: self.view(),
            epoch: self.messages.epoch(),
            after: resumed.seq,
            own: VecDeque::new(),
            unacked: Vec::new(),
        }
    }

    /// Appends messages and acks to `live`, and everything else that the client does not know yet
    /// to `frames`.
    pub fn pull(
        &self,
        reader: &mut Reader,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) -> Pulled {
        if self.is_void_to(reader) {
            return Pulled::Void;
        }
        if reader.after < self.messages.head.seq {
            let Some(next) = self.messages.frames_after(reader.after) else {
                return Pulled::Behind(self.messages.position_of(reader.after));
            };
            for (seq, frame) in next {
                if !reader.take(seq, frame, live) {
                    return Pulled::Part;
                }
            }
        }
        self.pull_rest(reader, live, frames);
        Pulled::All
    }

    /// The same without messages, for a connection that could not get them from the store.
    pub fn pull_rest(
        &self,
        reader: &mut Reader,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) {
        self.changes(reader.me, &mut reader.view, frames);
        self.pull_acks(reader, live, frames);
    }

    /// Only the replies to sends that wait, for a connection whose client is in another chat by now.
    pub fn pull_acks(
        &self,
        reader: &mut Reader,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) {
        reader.settle(self, self.messages.progress(), live, frames);
    }

    /// Whether the log continues in another epoch from an older message than the newest that the
    /// client got. If not, the client continues in that epoch too.
    fn is_void_to(&self, reader: &mut Reader) -> bool {
        let epoch = self.messages.epoch();
        if epoch == reader.epoch {
            return false;
        }
        let told = Position::new(reader.epoch, reader.after);
        let good = self.messages.resume_point(told);
        let is_void = good.is_none_or(|good| good.seq < reader.after);
        if !is_void {
            reader.epoch = epoch;
            let messages = &self.messages;
            reader.own.retain(|own| !messages.is_void_position(*own));
        }
        is_void
    }
}
