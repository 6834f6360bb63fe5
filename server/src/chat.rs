//! The chats of this node: sending, delivering, seats, and how a chat ends.
//!
//! A message takes this way: the broker's log gives it a position and the chat's tail takes its frame;
//! the members' connections are woken and pull it at once; the [`persist`] task makes it durable; then the
//! sender's connection is woken and acks it. What a connection pulls is a state or a log from its own
//! position on, never a queue, so replay after a resume and live delivery are the same code.
//!
//! Start reading at [`Chats::send`] and [`Chat::poll`]. Locks are short and never held over an await.

mod log;
mod persist;
mod registry;
mod seal;
mod state;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nowrong_core::{
    chat_log::{Epoch, Resume, resume_point},
    text::{MessageText, MessageTextError},
};
use nowrong_protocol::{
    ChatId, ClientMessageId, ErrorCode, Framed, Position, ServerFrame, codec, envelope,
    frame::{Body, ChatState, Member, Message, Page, PresenceState, SeatState, Send, Why},
    limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
};

use self::state::State;
pub(crate) use self::state::View;
pub use self::{
    registry::{ChatParts, Chats},
    seal::{Owner, SealError, Sealer},
    state::ChatRules,
};
use crate::{
    broker::{Appended, Draft, KnownMessage, LogSeed},
    hub::{UserEntry, lock},
    refusal::Refusal,
    store::{StoredMessage, UnixMs},
};

/// Most frames pulled from the log or the store at once for one connection.
const PULL_MAX: usize = 128;

/// One chat of this node.
pub struct Chat {
    /// Its id.
    pub id: ChatId,
    /// Id of the category.
    pub category: String,
    why: Why,
    started_at: UnixMs,
    expires_at: UnixMs,
    sealer: Sealer,
    members: Vec<Arc<UserEntry>>,
    log: tokio::sync::OnceCell<()>,
    reopening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// Where a message went: what its `Ack` will say once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it stands.
    pub position: Position,
    /// When the server took it.
    pub at: UnixMs,
    /// The count of refusals of the store when it was taken: see [`Polled::failures`].
    pub failures: u64,
    /// Whether it got its position just now; else it was sent before.
    pub is_new: bool,
}

/// What a connection needs to know to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The newest seq.
    pub head: u64,
    /// Every message up to this seq is durable.
    pub durable: u64,
    /// How often the store has refused. A send that waits since a smaller count has failed.
    pub failures: u64,
    /// The epoch of the log. A position of an older one may be void.
    pub epoch: u32,
}

impl Chat {
    /// The index of a user among the members.
    pub fn member(&self, user: nowrong_protocol::UserId) -> Option<u8> {
        self.members
            .iter()
            .position(|entry| entry.user == user)
            .map(|index| index as u8)
    }

    /// The members, by index.
    pub(crate) fn users(&self) -> impl Iterator<Item = nowrong_protocol::UserId> + '_ {
        self.members.iter().map(|entry| entry.user)
    }

    /// Whether the chat has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    /// The chat as `me` sees it who goes on from `resumed`, and a view that matches it.
    pub(crate) fn snapshot(&self, me: u8, resumed: Position) -> (ChatState, View) {
        let state = lock(&self.state);
        let chat_state = ChatState {
            chat: self.id,
            category: self.category.clone(),
            members: state.members().map(Framed::<Member>).collect(),
            you: me,
            why: Framed(self.why.clone()),
            head: state.head,
            resumed,
            unread: state.unread(me),
            started_at_ms: self.started_at,
            expires_at_ms: self.expires_at,
        };
        (chat_state, state.view())
    }

    /// Where a client goes on that holds the chat up to `asked`.
    pub(crate) fn resume_point(&self, asked: Position) -> Position {
        let state = lock(&self.state);
        let epochs: Vec<Epoch> = state.epochs.iter().map(Epoch::from).collect();
        match resume_point(&epochs, asked, state.head) {
            Resume::From(position) => position,
            Resume::Beyond => Position::START,
        }
    }

    /// How far the messages of the chat are.
    pub(crate) fn progress(&self) -> Polled {
        lock(&self.state).polled()
    }

    /// Whether a position was given out by a log that was forgotten before the store had it.
    pub(crate) fn is_void(&self, position: Position) -> bool {
        lock(&self.state).position_of(position.seq) != position
    }

    /// Appends to `out` what the client of `me` has not been told about the chat but for messages,
    /// and answers how far these are.
    pub(crate) fn poll(&self, me: u8, view: &mut View, out: &mut Vec<ServerFrame>) -> Polled {
        let state = lock(&self.state);
        state.changes(me, view, out);
        state.polled()
    }

    /// The member's connection is here.
    pub(crate) fn take_seat(&self, me: u8) {
        self.change(me, |state| state.set_seat(me, SeatState::Taken, 0));
    }

    /// The member's connection is gone; the seat is held until the given time.
    pub(crate) fn hold_seat(&self, me: u8, until: UnixMs) {
        self.change(me, |state| state.set_seat(me, SeatState::Held, until));
    }

    /// The member types or stopped.
    pub(crate) fn set_typing(&self, me: u8, is_typing: bool) {
        self.change(me, |state| {
            state.end.is_none() && state.set_typing(me, is_typing)
        });
    }

    /// The member looks or turned away.
    pub(crate) fn set_presence(&self, me: u8, presence: PresenceState) {
        self.change(me, |state| {
            state.end.is_none() && state.set_presence(me, presence)
        });
    }

    /// The member has received and read up to these messages.
    pub(crate) fn advance(&self, me: u8, delivered: Position, read: Position) {
        self.change(me, |state| state.advance(me, delivered, read));
    }

    /// Changes the state on behalf of `me` and wakes the others if it is news.
    fn change(&self, me: u8, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut lock(&self.state)) {
            self.wake_others(me);
        }
    }

    fn wake_others(&self, me: u8) {
        let others = self
            .members
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != usize::from(me));
        for (_, entry) in others {
            entry.wake();
        }
    }

    fn wake_all(&self) {
        for entry in &self.members {
            entry.wake();
        }
    }

    fn mark_queued_to_persist(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).is_queued_to_persist, true)
    }

    fn take_batch(&self) -> Vec<StoredMessage> {
        let mut state = lock(&self.state);
        let batch = state.next_batch();
        state.is_queued_to_persist = false;
        batch
    }

    /// The store has taken everything up to `seq`; answers whether more waits.
    fn persisted(&self, seq: u64) -> bool {
        let has_more = {
            let mut state = lock(&self.state);
            state.persisted(seq);
            state.has_unpersisted()
        };
        self.wake_all();
        has_more
    }

    fn persist_failed(&self) {
        lock(&self.state).failures += 1;
        self.wake_all();
    }
}

impl Chats {
    /// Gives a message its position and has it delivered and made durable. The `Ack` is due when
    /// [`Chat::poll`] says that its seq is durable.
    ///
    /// # Errors
    /// [`Refusal`] when the chat has ended or is full, or the text is not acceptable.
    pub async fn send(&self, chat: &Arc<Chat>, me: u8, send: Send) -> Result<Sent, Refusal> {
        let body = accept_body(send.body)?;
        {
            let state = lock(&chat.state);
            if state.end.is_some() {
                return Err(ErrorCode::CHAT_ENDED.into());
            }
            if send.reply_to.is_some_and(|answered| answered > state.head) {
                return Err(ErrorCode::MESSAGE_UNKNOWN.into());
            }
        }
        let message = Outgoing {
            chat,
            member: me,
            client_message_id: send.client_message_id,
            at: self.clock.now(),
            reply_to: send.reply_to,
            body,
        };
        // Sealed before it has a position: after that nothing may fail.
        let draft = message.draft()?;
        match self.append(chat, &draft).await? {
            Appended::New(position) => Ok(self.taken(&message, draft, position)),
            Appended::Again(position, at) => {
                let (failures, durable) = {
                    let state = lock(&chat.state);
                    (state.failures, state.durable)
                };
                if durable < position.seq {
                    self.persister.enqueue(chat);
                }
                Ok(Sent {
                    position,
                    at,
                    failures,
                    is_new: false,
                })
            }
            Appended::Full => Err(ErrorCode::CHAT_FULL.into()),
            Appended::NoLog(_) => Err(Refusal::retry_after(ErrorCode::INTERNAL, 1_000)),
        }
    }

    /// Has the log give the draft a position; opens the log again if the broker has forgotten it.
    async fn append(&self, chat: &Arc<Chat>, draft: &Draft) -> Result<Appended, Refusal> {
        let epoch = lock(&chat.state).epoch();
        match self.broker.append(chat.id, epoch, draft).await?.outcome {
            Appended::NoLog(_) => {}
            appended => return Ok(appended),
        }
        self.reopen(chat, epoch).await?;
        let epoch = lock(&chat.state).epoch();
        Ok(self.broker.append(chat.id, epoch, draft).await?.outcome)
    }

    fn taken(&self, message: &Outgoing<'_>, draft: Draft, position: Position) -> Sent {
        let (chat, at) = (message.chat, draft.at);
        let frame = message.encode(position);
        let (count, failures) = {
            let mut state = lock(&chat.state);
            let count = state.appended(draft.placed(chat.id, position), frame);
            (count, state.failures)
        };
        match count {
            0 => {}
            1 => chat.wake_others(message.member),
            _ => chat.wake_all(),
        }
        self.persister.enqueue(chat);
        Sent {
            position,
            at,
            failures,
            is_new: true,
        }
    }

    /// The `Message` frames after `after`, ascending; empty when there are none. From the tail, else
    /// from the store.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub async fn frames(&self, chat: &Chat, after: u64) -> Result<Vec<(u64, Bytes)>, Refusal> {
        let position = {
            let state = lock(&chat.state);
            if let Some(frames) = state.frames_after(after, PULL_MAX) {
                return Ok(frames);
            }
            state.position_of(after)
        };
        let now = self.clock.now();
        let stored = self
            .store
            .messages_after(chat.id, position, PULL_MAX, now)
            .await?;
        let frame = |message: StoredMessage| {
            let message = chat.unseal(message)?;
            Some((message.position.seq, envelope::encode(&message)))
        };
        Ok(stored.into_iter().filter_map(frame).collect())
    }

    /// A page of older messages.
    ///
    /// # Errors
    /// [`Refusal`] when the store cannot be read.
    pub async fn history(
        &self,
        chat: &Chat,
        request: u32,
        before: Option<Position>,
        limit: u16,
    ) -> Result<Page, Refusal> {
        let limit = usize::from(limit).clamp(1, PAGE_MESSAGES_MAX);
        let now = self.clock.now();
        let mut stored = self
            .store
            .messages_before(chat.id, before, limit + 1, now)
            .await?;
        let mut has_more = stored.len() > limit;
        if has_more {
            stored.remove(0);
        }
        let mut messages: Vec<Framed<Message>> = Vec::with_capacity(stored.len());
        let mut bytes = 0;
        for message in stored
            .into_iter()
            .rev()
            .filter_map(|message| chat.unseal(message))
        {
            bytes += codec::encode(&message).len() + 8;
            if bytes > PAGE_BYTES_MAX {
                has_more = true;
                break;
            }
            messages.push(Framed(message));
        }
        messages.reverse();
        Ok(Page {
            request,
            messages,
            has_more,
        })
    }

    /// Deletes a member's own message for all.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such message, it is another's, or the store refused.
    pub async fn delete(&self, chat: &Chat, me: u8, position: Position) -> Result<(), Refusal> {
        let sender = {
            let state = lock(&chat.state);
            let is_there =
                state.position_of(position.seq) == position && position.seq <= state.durable;
            is_there.then(|| state.sender(position.seq)).flatten()
        };
        match sender {
            None => return Err(ErrorCode::MESSAGE_UNKNOWN.into()),
            Some(sender) if sender != me => return Err(ErrorCode::MESSAGE_NOT_YOURS.into()),
            Some(_) => {}
        }
        if !self.store.delete_message(chat.id, position).await? {
            return Err(ErrorCode::MESSAGE_UNKNOWN.into());
        }
        self.replace_deleted(chat, position).await?;
        lock(&chat.state).set_deleted(position);
        chat.wake_all();
        Ok(())
    }

    async fn replace_deleted(&self, chat: &Chat, position: Position) -> Result<(), Refusal> {
        let now = self.clock.now();
        let after = Position::new(position.epoch, position.seq - 1);
        let stored = self.store.messages_after(chat.id, after, 1, now).await?;
        if let Some(message) = stored
            .into_iter()
            .next()
            .and_then(|message| chat.unseal(message))
        {
            let frame = envelope::encode(&message);
            lock(&chat.state).replace_frame(position.seq, frame);
        }
        Ok(())
    }
}

impl Chat {
    /// The message as its members see it. A body that does not open is logged and left out.
    fn unseal(&self, stored: StoredMessage) -> Option<Message> {
        match self.sealer.open(&stored) {
            Ok(body) => Some(Message {
                chat: stored.chat,
                position: stored.position,
                member: stored.member,
                client_message_id: stored.client_message_id,
                at_ms: stored.at,
                reply_to: stored.reply_to,
                body,
            }),
            Err(error) => {
                tracing::error!(%error, chat = %self.id, position = %stored.position);
                None
            }
        }
    }
}

/// A message that has no position yet.
struct Outgoing<'a> {
    chat: &'a Arc<Chat>,
    member: u8,
    client_message_id: ClientMessageId,
    at: UnixMs,
    reply_to: Option<Position>,
    body: Body,
}

impl Outgoing<'_> {
    /// What the log and the store get, sealed.
    fn draft(&self) -> Result<Draft, Refusal> {
        let owner = Owner {
            chat: self.chat.id,
            member: self.member,
            client_message_id: self.client_message_id,
        };
        let sealed = self.chat.sealer.seal(owner, &self.body).map_err(|error| {
            tracing::error!(%error, "no randomness to seal a message");
            Refusal::from(ErrorCode::INTERNAL)
        })?;
        Ok(Draft {
            member: self.member,
            client_message_id: self.client_message_id,
            at: self.at,
            reply_to: self.reply_to,
            sealed,
            expires_at: self.chat.expires_at,
        })
    }

    fn encode(&self, position: Position) -> Bytes {
        envelope::encode(&Message {
            chat: self.chat.id,
            position,
            member: self.member,
            client_message_id: self.client_message_id,
            at_ms: self.at,
            reply_to: self.reply_to,
            body: self.body.clone(),
        })
    }
}

fn accept_body(body: Body) -> Result<Body, Refusal> {
    let Body::Text(text) = body else {
        return Err(ErrorCode::BODY_UNKNOWN.into());
    };
    match MessageText::parse(&text) {
        Ok(text) => Ok(Body::Text(text.into_string())),
        Err(error) => {
            let code = match error {
                MessageTextError::Empty => ErrorCode::TEXT_EMPTY,
                _ => ErrorCode::TEXT_TOO_LONG,
            };
            Err(Refusal::detailed(code, error.to_string()))
        }
    }
}
