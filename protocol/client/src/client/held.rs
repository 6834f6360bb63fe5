//! The state of a client that outlives a connection: its chats, its ticket, its requests.
//!
//! It touches no socket and no clock: the client's task fetches frames with [`Held::take_frames`]
//! and sends them. To the handles it speaks directly, through the channels of their tickets, chats
//! and requests; it never waits for one. Requests made while there is no connection wait here for
//! the next `Welcome`.

use std::{collections::VecDeque, time::Instant};

use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, ErrorCode, ServerFrame, TicketId,
    frame::{ChatState, Fail, Presence, Resume, Stage, TicketState, Typing, Welcome},
    limits::RESUME_CHATS_MAX,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    command::{Answer, Command, Fate, Request, Signal},
    requests::{Pending, Reply, Requests},
};
use crate::{Chat, ChatView, Error, Outgoing, Sent, Ticket, outbox::Draft};

mod chat;

use chat::HeldChat;

/// See the module.
pub(super) struct Held {
    /// Newest last; at most [`RESUME_CHATS_MAX`], older ones are forgotten.
    chats: VecDeque<HeldChat>,
    ticket: Option<HeldTicket>,
    /// A ticket of an earlier client, until a handle asks for it.
    found_ticket: Option<Unclaimed>,
    requests: Requests,
    frames: Vec<ClientFrame>,
    is_open: bool,
    is_recording: bool,
    commands: mpsc::WeakSender<Command>,
}

/// The task's end of a [`Ticket`].
struct HeldTicket {
    state: TicketState,
    stage: watch::Sender<Stage>,
    outcome: oneshot::Sender<Result<Chat, Error>>,
}

/// The holder's end of a [`Ticket`]; with a way back to the task it becomes the ticket.
struct Unclaimed {
    state: TicketState,
    stage: watch::Receiver<Stage>,
    outcome: oneshot::Receiver<Result<Chat, Error>>,
}

impl Held {
    pub(super) fn new(commands: mpsc::WeakSender<Command>, is_recording: bool) -> Self {
        Self {
            chats: VecDeque::new(),
            ticket: None,
            found_ticket: None,
            requests: Requests::default(),
            frames: Vec::new(),
            is_open: false,
            is_recording,
            commands,
        }
    }

    /// The frames to send now.
    pub(super) fn take_frames(&mut self, now: Instant) -> Vec<ClientFrame> {
        if self.is_open {
            for chat in &mut self.chats {
                chat.gather(&mut self.requests, &mut self.frames, now);
            }
        }
        std::mem::take(&mut self.frames)
    }

    /// The chats to resume, and from where.
    pub(super) fn resume(&self) -> Vec<Resume> {
        self.chats
            .iter()
            .filter(|chat| chat.is_followed())
            .map(HeldChat::resume)
            .collect()
    }

    pub(super) fn request(&mut self, request: Request, reply: Reply, now: Instant) {
        let frame = self.requests.add(request, reply, self.is_open, now);
        self.frames.extend(frame);
    }

    pub(super) fn send(
        &mut self,
        id: ChatId,
        message: Outgoing,
        new_id: ClientMessageId,
        answer: Answer<Sent>,
    ) {
        let Some(chat) = self.chat_mut(id) else {
            drop(answer.send(Err(ErrorCode::CHAT_UNKNOWN.into())));
            return;
        };
        chat.send(
            Draft {
                client_message_id: message.client_message_id.unwrap_or(new_id),
                reply_to: message.reply_to,
                body: message.body,
            },
            answer,
        );
    }

    pub(super) fn signal(&mut self, id: ChatId, signal: Signal) {
        let frame: ClientFrame = match signal {
            Signal::Read(position) => {
                if let Some(chat) = self.chat_mut(id) {
                    chat.read(position);
                }
                return;
            }
            Signal::Typing(is_typing) => Typing {
                chat: id,
                is_typing,
            }
            .into(),
            Signal::Presence(state) => Presence { chat: id, state }.into(),
        };
        if self.is_open {
            self.frames.push(frame);
        }
    }

    pub(super) fn view(&self, id: ChatId) -> Result<Box<ChatView>, Error> {
        let chat = self.chats.iter().find(|chat| chat.id() == id);
        chat.map(|chat| Box::new(chat.view()))
            .ok_or_else(|| ErrorCode::CHAT_UNKNOWN.into())
    }

    /// A handle to the newest chat.
    pub(super) fn newest_chat(&mut self) -> Option<Chat> {
        let commands = self.commands.upgrade()?;
        self.chats.back_mut().map(|chat| chat.handle(commands))
    }

    pub(super) fn take_found_ticket(&mut self) -> Option<Ticket> {
        let found = self.found_ticket.take()?;
        self.claim(found)
    }

    /// The connection is open, and `welcome` is the state of everything.
    pub(super) fn welcome(&mut self, welcome: Welcome, now: Instant) {
        self.is_open = true;
        let is_chat_new = match &welcome.chat {
            Some(state) => self.take_up(state.0.clone()),
            None => false,
        };
        self.settle_ticket(&welcome, is_chat_new);
        for pending in self.requests.take_all() {
            self.judge(pending, &welcome, is_chat_new, now);
        }
        let is_unasked = self.ticket.is_none();
        if let Some(state) = welcome.ticket.filter(|_| is_unasked) {
            self.found_ticket = Some(self.open_ticket(state.0));
        }
    }

    /// The connection is lost. Replies will not come, but the next `Welcome` tells more.
    pub(super) fn lost(&mut self) {
        self.is_open = false;
        self.frames.clear();
        for chat in &mut self.chats {
            chat.lost();
        }
    }

    /// There will be no other connection.
    pub(super) fn close(&mut self, error: &Error) {
        self.lost();
        for pending in self.requests.take_all() {
            pending.reply.fail(error.clone());
        }
        if let Some(ticket) = self.ticket.take() {
            drop(ticket.outcome.send(Err(error.clone())));
        }
        for chat in &mut self.chats {
            chat.close(error);
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.requests.expire(now);
        for chat in &mut self.chats {
            chat.expire(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let chats = self.chats.iter().filter_map(HeldChat::deadline);
        chats.chain(self.requests.deadline()).min()
    }

    /// Takes in a reply, push or signal.
    pub(super) fn push(&mut self, frame: ServerFrame, now: Instant) {
        match frame {
            ServerFrame::Done(done) => {
                if let Some(pending) = self.requests.take(done.request) {
                    pending.reply.done();
                }
            }
            ServerFrame::Fail(fail) => self.fail(fail, now),
            ServerFrame::Queued(queued) => {
                if let Some(pending) = self.requests.take(queued.request) {
                    self.queued(pending.reply, queued.ticket.0);
                }
            }
            ServerFrame::Page(page) => {
                if let Some(Pending {
                    reply: Reply::Page(answer),
                    ..
                }) = self.requests.take(page.request)
                {
                    drop(answer.send(Ok(page)));
                }
            }
            ServerFrame::Widened(widened) => {
                if let Some(ticket) = self.ticket_with(widened.ticket) {
                    ticket.state.stage = widened.stage;
                    ticket.stage.send_replace(widened.stage);
                }
            }
            ServerFrame::Matched(matched) => {
                self.take_up(matched.chat.0);
                self.matched();
            }
            ServerFrame::TicketEnded(ended) => {
                if self.ticket_with(ended.ticket).is_some() {
                    self.end_ticket(ended.code);
                }
            }
            ServerFrame::Ack(ack) => {
                for chat in &mut self.chats {
                    chat.ack(ack);
                }
            }
            other => self.push_to_chat(other),
        }
    }

    fn push_to_chat(&mut self, frame: ServerFrame) {
        let id = match &frame {
            ServerFrame::Message(frame) => frame.chat,
            ServerFrame::Deleted(frame) => frame.chat,
            ServerFrame::Ended(frame) => frame.chat,
            ServerFrame::Seat(frame) => frame.chat,
            ServerFrame::Idle(frame) => frame.chat,
            ServerFrame::Gone(frame) => frame.chat,
            ServerFrame::MemberTyping(frame) => frame.chat,
            ServerFrame::MemberPresence(frame) => frame.chat,
            ServerFrame::ReadCursor(frame) => frame.chat,
            _ => return,
        };
        // The server may still send frames about a chat that was forgotten here.
        if let Some(chat) = self.chat_mut(id) {
            chat.push(frame);
        }
    }

    fn fail(&mut self, fail: Fail, now: Instant) {
        if let Some(pending) = self.requests.take(fail.request) {
            return pending.reply.fail(fail.into());
        }
        for chat in &mut self.chats {
            chat.fail(&fail, now);
        }
    }

    /// Holds a chat as the server describes it; returns whether it is new.
    fn take_up(&mut self, state: ChatState) -> bool {
        if let Some(chat) = self.chat_mut(state.chat) {
            chat.resumed(state);
            return false;
        }
        if self.chats.len() >= RESUME_CHATS_MAX {
            let oldest = self.chats.pop_front();
            if let Some(mut oldest) = oldest {
                oldest.close(&ErrorCode::CHAT_ENDED.into());
            }
        }
        self.chats
            .push_back(HeldChat::new(state, self.is_recording));
        true
    }

    /// Finds out what became of the ticket while the connection was lost.
    fn settle_ticket(&mut self, welcome: &Welcome, is_chat_new: bool) {
        let Some(held) = &mut self.ticket else { return };
        match &welcome.ticket {
            Some(state) if state.ticket == held.state.ticket => {
                held.stage.send_replace(state.stage);
                held.state = state.0.clone();
            }
            _ if is_chat_new => self.matched(),
            _ => self.end_ticket(ErrorCode::TICKET_UNKNOWN),
        }
    }

    fn judge(&mut self, pending: Pending, welcome: &Welcome, is_chat_new: bool, now: Instant) {
        let fate = match pending.is_sent {
            true => pending.request.fate(welcome, is_chat_new),
            false => Fate::Send,
        };
        match (fate, &welcome.ticket) {
            (Fate::Send, _) => self.request(pending.request, pending.reply, now),
            (Fate::Done, _) => pending.reply.done(),
            (Fate::Refused(code), _) => pending.reply.fail(code.into()),
            (Fate::Queued, Some(state)) => self.queued(pending.reply, state.0.clone()),
            (Fate::Queued, None) => self.queued_and_matched(pending.reply),
            (Fate::Lost, _) => pending.reply.fail(Error::Lost),
        }
    }

    /// Gives the ticket to the handle that joined.
    fn queued(&mut self, reply: Reply, state: TicketState) {
        let unclaimed = self.open_ticket(state);
        match (reply, self.claim(unclaimed)) {
            (Reply::Ticket(answer), Some(ticket)) => drop(answer.send(Ok(ticket))),
            (reply, _) => reply.fail(Error::Lost),
        }
    }

    /// The match came while the connection was lost: the ticket is used up, and its id is unknown.
    fn queued_and_matched(&mut self, reply: Reply) {
        let Some(chat) = self.chats.back() else {
            return reply.fail(Error::Lost);
        };
        let state = TicketState {
            ticket: TicketId::from_bytes([0; 16]),
            category: chat.category().to_owned(),
            interests: Vec::new(),
            since_ms: 0,
            stage: Stage::Interests,
            waiting: 0,
        };
        self.queued(reply, state);
        self.matched();
    }

    fn open_ticket(&mut self, state: TicketState) -> Unclaimed {
        let (stage, watched) = watch::channel(state.stage);
        let (outcome, awaited) = oneshot::channel();
        self.ticket = Some(HeldTicket {
            state: state.clone(),
            stage,
            outcome,
        });
        Unclaimed {
            state,
            stage: watched,
            outcome: awaited,
        }
    }

    fn claim(&self, unclaimed: Unclaimed) -> Option<Ticket> {
        let commands = self.commands.upgrade()?;
        let Unclaimed {
            state,
            stage,
            outcome,
        } = unclaimed;
        Some(Ticket {
            state,
            stage,
            outcome,
            commands,
        })
    }

    fn ticket_with(&mut self, id: TicketId) -> Option<&mut HeldTicket> {
        self.ticket
            .as_mut()
            .filter(|ticket| ticket.state.ticket == id)
    }

    /// The newest chat is the match of the ticket.
    fn matched(&mut self) {
        self.found_ticket = None;
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        // If the ticket was dropped, its chat is found by `Client::chat`.
        if !ticket.outcome.is_closed()
            && let Some(chat) = self.newest_chat()
        {
            drop(ticket.outcome.send(Ok(chat)));
        }
    }

    fn end_ticket(&mut self, code: ErrorCode) {
        self.found_ticket = None;
        if let Some(ticket) = self.ticket.take() {
            drop(ticket.outcome.send(Err(code.into())));
        }
    }

    fn chat_mut(&mut self, id: ChatId) -> Option<&mut HeldChat> {
        self.chats.iter_mut().find(|chat| chat.id() == id)
    }
}

#[cfg(test)]
mod tests;
