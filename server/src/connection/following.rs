//! Following a chat: from which message on a client has still to be told, and what it waits for.

use std::{collections::VecDeque, sync::Arc};

use nowrong_protocol::{
    ErrorCode, Position, ServerFrame, envelope,
    frame::{Ack, ChatState, Fail},
};

use crate::{
    chat::{Chat, Chats, Polled, Sent, View},
    refusal::Refusal,
};

/// Bytes of messages gathered from which on no more are added before they are written: with the last
/// message on top it stays under what a WebSocket message may have and its socket takes at once.
const GATHER_BYTES: usize = 64 * 1024;

/// What one connection knows and expects of its chat.
pub(super) struct Following {
    pub(super) chat: Arc<Chat>,
    /// The member that the connection speaks for.
    pub(super) me: u8,
    view: View,
    /// The epoch in which the client was told of the messages.
    epoch: u32,
    /// The client was told every message up to this seq.
    after: u64,
    /// Positions over `after` that this connection sent itself, ascending: their `Ack` tells the client. One
    /// that comes next is told by then, and is not kept here.
    own: VecDeque<Position>,
    unacked: Vec<Unacked>,
}

/// How a pull went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// The client knows all.
    All,
    /// More waits.
    Part,
    /// The client was told messages that are void by now: it must resume.
    Void,
}

/// A send that waits for the store.
struct Unacked {
    request: u32,
    sent: Sent,
}

impl Following {
    /// Follows a chat from where a client stands; answers the state to show it.
    pub(super) fn new(chat: Arc<Chat>, me: u8, asked: Position) -> (Self, ChatState) {
        let epoch = chat.progress().epoch;
        let resumed = chat.resume_point(asked).unwrap_or(Position::START);
        let (state, view) = chat.snapshot(me, resumed);
        let following = Self {
            chat,
            me,
            view,
            epoch,
            after: resumed.seq,
            own: VecDeque::new(),
            unacked: Vec::new(),
        };
        (following, state)
    }

    /// How many sends wait for the store.
    pub(super) fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// A send was taken; its `Ack` is due once it is durable.
    pub(super) fn sent(&mut self, request: u32, sent: Sent) {
        let position = sent.position;
        // What is void by now: another message has its seq.
        if sent.is_new && !self.chat.is_void(position) {
            if position == Position::new(self.epoch, self.after + 1) {
                self.after = position.seq;
            } else {
                self.own.push_back(position);
            }
        }
        self.unacked.push(Unacked { request, sent });
    }

    /// Gathers messages and acks into `live` and the rest into `frames`.
    pub(super) async fn pull(
        &mut self,
        chats: &Chats,
        live: &mut Vec<u8>,
        frames: &mut Vec<ServerFrame>,
    ) -> Pulled {
        let head = self.chat.progress().head;
        while self.after < head {
            if self.is_void() {
                return Pulled::Void;
            }
            if live.len() >= GATHER_BYTES {
                return Pulled::Part;
            }
            if !self.pull_messages(chats, live).await {
                break;
            }
        }
        let polled = self.chat.poll(self.me, &mut self.view, frames);
        self.settle(polled, live, frames);
        if self.is_void() {
            Pulled::Void
        } else if self.after < polled.head && self.after >= head {
            Pulled::Part
        } else {
            Pulled::All
        }
    }

    /// Whether the log goes on in another epoch from an older message than the client was told. If not,
    /// the client goes on in that epoch too.
    fn is_void(&mut self) -> bool {
        let epoch = self.chat.progress().epoch;
        if epoch == self.epoch {
            return false;
        }
        let told = Position::new(self.epoch, self.after);
        let good = self.chat.resume_point(told);
        let is_void = good.is_none_or(|good| good.seq < self.after);
        if !is_void {
            self.epoch = epoch;
            let chat = &self.chat;
            self.own.retain(|own| !chat.is_void(*own));
        }
        is_void
    }

    async fn pull_messages(&mut self, chats: &Chats, live: &mut Vec<u8>) -> bool {
        let messages = match chats.frames(&self.chat, self.epoch, self.after).await {
            Ok(messages) => messages,
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, chat = %self.chat.id, "messages not readable");
                return false;
            }
        };
        let is_progress = !messages.is_empty();
        for (seq, frame) in messages {
            if live.len() >= GATHER_BYTES {
                break;
            }
            self.after = seq;
            if self.own.front().is_some_and(|own| own.seq == seq) {
                self.own.pop_front();
            } else {
                live.extend_from_slice(&frame);
            }
        }
        is_progress
    }

    /// Acks what became durable, into `live`; fails what the store refused and what is void.
    fn settle(&mut self, polled: Polled, live: &mut Vec<u8>, frames: &mut Vec<ServerFrame>) {
        let chat = &self.chat;
        self.unacked.retain(|Unacked { request, sent }| {
            let position = sent.position;
            let is_void = position.epoch != polled.epoch && chat.is_void(position);
            if position.seq <= polled.durable && !is_void {
                let ack = Ack {
                    request: *request,
                    position,
                    at_ms: sent.at,
                };
                envelope::encode_into(&ack, live);
                return false;
            }
            let is_refused = is_void || sent.failures != polled.failures;
            if is_refused {
                frames.push(refused(*request).into());
            }
            !is_refused
        });
    }
}

fn refused(request: u32) -> Fail {
    Refusal::retry_after(ErrorCode::STORAGE_UNAVAILABLE, 1_000).into_fail(request)
}
