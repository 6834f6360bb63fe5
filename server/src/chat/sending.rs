//! Sending: from a member's text to a message with a position, here and on the nodes of the others.

use std::sync::Arc;

use bytes::Bytes;
use nowrong_core::{
    record::{Draft, Notice, UnixMs},
    text::{MessageText, MessageTextError},
};
use nowrong_protocol::{
    ClientMessageId, ErrorCode, Position, envelope,
    frame::{Body, Message, Send},
};

use super::{Chat, Chats, Owner, Sent};
use crate::{
    broker::{AppendOutcome, Placed},
    hub::lock,
    refusal::Refusal,
};

impl Chats {
    /// Gives a message its position and has it delivered and made durable. The `Ack` is due when
    /// [`Chat::poll`] says that its seq is durable.
    ///
    /// # Errors
    /// [`Refusal`] when the chat has ended or is full, the text is not acceptable, or the log cannot
    /// be reached.
    pub async fn send(&self, chat: &Arc<Chat>, me: u8, send: Send) -> Result<Sent, Refusal> {
        let body = accept_body(send.body)?;
        let epoch = {
            let state = lock(&chat.state);
            if state.end.is_some() {
                return Err(ErrorCode::CHAT_ENDED.into());
            }
            if send
                .reply_to
                .is_some_and(|answered| answered > state.messages.head)
            {
                return Err(ErrorCode::MESSAGE_UNKNOWN.into());
            }
            state.messages.epoch()
        };
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
        match self.append(chat, epoch, &draft).await? {
            AppendOutcome::New(position) => Ok(self.taken(message, draft, position)),
            AppendOutcome::Again(position, at) => {
                Box::pin(self.sent_before(chat, position, at)).await
            }
            AppendOutcome::Full => Err(ErrorCode::CHAT_FULL.into()),
            AppendOutcome::NoLog(_) => Err(Refusal::retry_after(ErrorCode::INTERNAL, 1_000)),
        }
    }

    /// Has the log give the draft a position; opens the log again if the broker has forgotten it.
    async fn append(
        &self,
        chat: &Arc<Chat>,
        epoch: u32,
        draft: &Draft,
    ) -> Result<AppendOutcome, Refusal> {
        let Placed { outcome, elsewhere } = self.broker.append(chat.id, epoch, draft).await?;
        let AppendOutcome::NoLog(incarnation) = outcome else {
            lock(&chat.state).elsewhere = elsewhere;
            return Ok(outcome);
        };
        // Rare, hence boxed, as is `sent_before`: each send would have room for it.
        Box::pin(self.reopen(chat, epoch, incarnation)).await?;
        let epoch = lock(&chat.state).messages.epoch();
        let Placed { outcome, elsewhere } = self.broker.append(chat.id, epoch, draft).await?;
        lock(&chat.state).elsewhere = elsewhere;
        Ok(outcome)
    }

    /// The message counts here, and the nodes of the other members are told of it.
    fn taken(&self, message: Outgoing<'_>, draft: Draft, position: Position) -> Sent {
        let (chat, at, sender) = (message.chat, draft.at, message.member);
        let frame = message.encode(position);
        let stored = draft.placed(chat.id, position);
        let (count, failures) = {
            let mut state = lock(&chat.state);
            if !state.elsewhere.is_empty() {
                let notice = Notice::Message(stored.clone());
                self.broker.tell(&state.elsewhere, notice);
            }
            let is_current = position.epoch == state.messages.epoch();
            let count = if is_current {
                state.appended(stored, frame)
            } else {
                0
            };
            (count, state.messages.failures)
        };
        match count {
            0 => {}
            1 => chat.wake_others(sender),
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

    /// The log knew the message: it is here, in the store, or still only in the log.
    async fn sent_before(
        &self,
        chat: &Arc<Chat>,
        position: Position,
        at: UnixMs,
    ) -> Result<Sent, Refusal> {
        let is_missing = position > lock(&chat.state).messages.head;
        if is_missing {
            self.catch_up(chat).await?;
        }
        let (failures, durable) = {
            let state = lock(&chat.state);
            (state.messages.failures, state.messages.durable)
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

    /// The frame that the members get.
    fn encode(self, position: Position) -> Bytes {
        envelope::encode(&Message {
            chat: self.chat.id,
            position,
            member: self.member,
            client_message_id: self.client_message_id,
            at_ms: self.at,
            reply_to: self.reply_to,
            body: self.body,
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
