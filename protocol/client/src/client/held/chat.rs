//! The state that a client holds of one chat.

use std::time::{Duration, Instant};

use nowrong_protocol::{
    ChatId, ClientFrame, ErrorCode, Position, ServerFrame,
    frame::{
        Ack, ChatState, Delivered, Ended, Fail, Message, Read, ReadCursor, Resume, Seat, Send,
    },
};
use tokio::sync::{broadcast, mpsc};

use crate::{
    Chat, ChatEvent, ChatView, Error, Sent,
    chat::{EVENTS_MAX, Recorded},
    client::{
        command::{Answer, Command},
        requests::Requests,
    },
    log::{Change, Log},
    outbox::{Draft, Outbox},
};

/// Shortest wait after a message came too fast, whatever time the server names: sending must not
/// become a tight loop.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The same after the server could not take the message now: it needs time.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct HeldChat {
    state: ChatState,
    log: Log,
    outbox: Outbox<Answer<Sent>>,
    /// `None` once there will be no more events.
    events: Option<broadcast::Sender<ChatEvent>>,
    /// For the first handle, so that it misses no event from before it is made.
    first: Option<broadcast::Receiver<ChatEvent>>,
    end: Option<Ended>,
    /// The server asked for no message before this time.
    paused_until: Option<Instant>,
    /// The newest message of the partner that arrived.
    received: Position,
    /// Up to where the user has read.
    read: Position,
    /// The cursors that the server was told on this connection.
    told_delivered: Position,
    told_read: Position,
    record: Option<Vec<Recorded>>,
}

impl HeldChat {
    pub(super) fn new(state: ChatState, is_recording: bool) -> Self {
        let (events, first) = broadcast::channel(EVENTS_MAX);
        Self {
            state,
            log: Log::default(),
            outbox: Outbox::default(),
            events: Some(events),
            first: Some(first),
            end: None,
            paused_until: None,
            received: Position::START,
            read: Position::START,
            told_delivered: Position::START,
            told_read: Position::START,
            record: is_recording.then(Vec::new),
        }
    }

    pub(super) fn id(&self) -> ChatId {
        self.state.chat
    }

    pub(super) fn category(&self) -> &str {
        &self.state.category
    }

    pub(super) fn handle(&mut self, commands: mpsc::Sender<Command>) -> Chat {
        let events = match (self.first.take(), &self.events) {
            (Some(first), _) => first,
            (None, Some(events)) => events.subscribe(),
            (None, None) => broadcast::channel(1).1,
        };
        Chat {
            state: self.state.clone(),
            events,
            commands,
        }
    }

    pub(super) fn view(&self) -> ChatView {
        ChatView {
            state: self.state.clone(),
            messages: self.log.messages().cloned().collect(),
            end: self.end,
            unsent: self.outbox.len(),
            #[cfg(any(test, feature = "testing"))]
            record: self.record.clone().unwrap_or_default(),
        }
    }

    /// Whether the chat is still open, or a handle still follows it.
    pub(super) fn is_followed(&self) -> bool {
        let watchers = self
            .events
            .as_ref()
            .map_or(0, broadcast::Sender::receiver_count);
        self.events.is_some() && (self.end.is_none() || watchers > 0)
    }

    pub(super) fn resume(&self) -> Resume {
        Resume {
            chat: self.id(),
            position: self.log.held(),
        }
    }

    /// Accepts a message to be sent.
    pub(super) fn send(&mut self, draft: Draft, answer: Answer<Sent>) {
        if self.end.is_some() || self.events.is_none() {
            drop(answer.send(Err(ErrorCode::CHAT_ENDED.into())));
        } else if let Err(answer) = self.outbox.push(draft, answer) {
            drop(answer.send(Err(Error::OutboxFull)));
        }
    }

    pub(super) fn read(&mut self, position: Position) {
        self.read = self.read.max(position);
    }

    /// Gathers the frames to send: messages, then cursors that moved.
    pub(super) fn gather(
        &mut self,
        requests: &mut Requests,
        frames: &mut Vec<ClientFrame>,
        now: Instant,
    ) {
        let chat = self.id();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        if self.paused_until.is_none() {
            self.gather_messages(requests, frames, now);
        }
        if self.received > self.told_delivered.max(self.told_read) {
            self.told_delivered = self.received;
            frames.push(
                Delivered {
                    chat,
                    position: self.received,
                }
                .into(),
            );
        }
        if self.read > self.told_read {
            self.told_read = self.read;
            frames.push(
                Read {
                    chat,
                    position: self.read,
                }
                .into(),
            );
        }
    }

    fn gather_messages(
        &mut self,
        requests: &mut Requests,
        frames: &mut Vec<ClientFrame>,
        now: Instant,
    ) {
        let chat = self.id();
        while let Some((request, draft)) = self.outbox.next(|| requests.next_id(), now) {
            let Draft {
                client_message_id,
                reply_to,
                body,
            } = draft.clone();
            frames.push(
                Send {
                    request,
                    chat,
                    client_message_id,
                    reply_to,
                    body,
                }
                .into(),
            );
        }
    }

    /// The connection is lost: unacked messages and cursors have to be sent again.
    pub(super) fn lost(&mut self) {
        self.outbox.unsend();
        self.paused_until = None;
        self.told_delivered = Position::START;
        self.told_read = Position::START;
    }

    /// There will be no other connection.
    pub(super) fn close(&mut self, error: &Error) {
        self.events = None;
        for (_, answer) in self.outbox.settle_all() {
            drop(answer.send(Err(error.clone())));
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        for (_, answer) in self.outbox.settle_overdue(now) {
            drop(answer.send(Err(Error::NoReply)));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.outbox.deadline(), self.paused_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// A new connection continues from `state.resumed`.
    pub(super) fn resumed(&mut self, state: ChatState) {
        let resumed = state.resumed;
        self.state = state;
        self.note(Recorded::Resumed(resumed));
        if self.log.truncate(resumed) {
            self.received = self.received.min(resumed);
            self.tell(ChatEvent::Truncated(resumed));
        }
    }

    pub(super) fn ack(&mut self, ack: Ack) {
        let Some((draft, answer)) = self.outbox.settle(ack.request) else {
            return;
        };
        let sent = Sent {
            client_message_id: draft.client_message_id,
            position: ack.position,
            at_ms: ack.at_ms,
        };
        self.note(Recorded::Acked(sent));
        self.log.insert(Message {
            chat: self.id(),
            position: sent.position,
            member: self.state.you,
            client_message_id: sent.client_message_id,
            at_ms: sent.at_ms,
            reply_to: draft.reply_to,
            body: draft.body,
        });
        drop(answer.send(Ok(sent)));
    }

    /// A request failed; it may be one of our messages. After a temporary failure that waits and is sent
    /// again: the partner may see it already.
    pub(super) fn fail(&mut self, fail: &Fail, now: Instant) {
        if fail.code.is_temporary() && self.outbox.put_back(fail.request) {
            let least = match fail.code {
                ErrorCode::RATE_LIMITED => PAUSE_MIN,
                _ => RETRY_MIN,
            };
            let wait = Duration::from_millis(fail.retry_after_ms.into()).max(least);
            self.paused_until = self.paused_until.max(Some(now + wait));
        } else if let Some((_, answer)) = self.outbox.settle(fail.request) {
            drop(answer.send(Err(fail.clone().into())));
        }
    }

    /// Takes in a push or signal about this chat.
    pub(super) fn push(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Message(message) => self.message(message),
            ServerFrame::Deleted(deleted) => self.deleted(deleted.position),
            ServerFrame::Ended(ended) => self.ended(ended),
            ServerFrame::Seat(seat) => self.seat(seat),
            ServerFrame::Idle(idle) => self.tell(ChatEvent::Idle(idle.ends_at_ms)),
            ServerFrame::Gone(_) => {
                self.tell(ChatEvent::Gone);
                self.events = None;
                self.fail_unsent(ErrorCode::CHAT_UNKNOWN);
            }
            ServerFrame::MemberTyping(typing) => self.tell(ChatEvent::Typing {
                member: typing.member,
                is_typing: typing.is_typing,
            }),
            ServerFrame::MemberPresence(presence) => self.tell(ChatEvent::Presence {
                member: presence.member,
                state: presence.state,
            }),
            ServerFrame::ReadCursor(cursor) => self.cursor(cursor),
            _ => {}
        }
    }

    fn message(&mut self, message: Message) {
        self.note(Recorded::Received {
            member: message.member,
            client_message_id: message.client_message_id,
            position: message.position,
        });
        // In a resume one of our own messages came back: the server has it, but only its `Ack` says
        // that it is durable. It has been sent again and will get its `Ack`.
        if message.member != self.state.you {
            self.received = self.received.max(message.position);
        }
        self.state.head = self.state.head.max(message.position);
        if self.log.insert(message.clone()) != Change::Known {
            self.tell(ChatEvent::Message(message));
        }
    }

    fn deleted(&mut self, position: Position) {
        if self.log.delete(position) {
            self.tell(ChatEvent::Deleted(position));
        }
    }

    fn ended(&mut self, ended: Ended) {
        if self.end.replace(ended).is_some() {
            return;
        }
        // Messages sent before the end are still acked or refused.
        self.fail_unsent(ErrorCode::CHAT_ENDED);
        self.tell(ChatEvent::Ended {
            reason: ended.reason,
            member: ended.member,
            expires_at_ms: ended.expires_at_ms,
        });
    }

    fn fail_unsent(&mut self, code: ErrorCode) {
        for (_, answer) in self.outbox.settle_unsent() {
            drop(answer.send(Err(code.into())));
        }
    }

    fn seat(&mut self, seat: Seat) {
        if let Some(member) = self.state.members.get_mut(usize::from(seat.member)) {
            member.0.seat = seat.state;
            member.0.held_until_ms = seat.held_until_ms;
        }
        self.tell(ChatEvent::Seat {
            member: seat.member,
            state: seat.state,
            held_until_ms: seat.held_until_ms,
        });
    }

    fn cursor(&mut self, cursor: ReadCursor) {
        if let Some(member) = self.state.members.get_mut(usize::from(cursor.member)) {
            member.0.delivered = cursor.delivered;
            member.0.read = cursor.read;
        }
        self.tell(ChatEvent::Cursor {
            member: cursor.member,
            delivered: cursor.delivered,
            read: cursor.read,
        });
    }

    fn note(&mut self, entry: Recorded) {
        if let Some(record) = &mut self.record {
            record.push(entry);
        }
    }

    fn tell(&self, event: ChatEvent) {
        if let Some(events) = &self.events {
            // Without a handle nobody listens; the log keeps everything that lasts.
            let _ = events.send(event);
        }
    }
}
