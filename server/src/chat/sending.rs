//! Sending: from a member's text to a message with a position, here and on the nodes of the other
//! members.

use std::sync::Arc;

use bytes::Bytes;
use nowrong_broker::{AppendOutcome, Placed};
use nowrong_core::{
    chat::Sent,
    node::NodeId,
    record::{Draft, Notice, UnixMs},
    text::{MessageText, MessageTextError},
};
use nowrong_protocol::{
    ClientMessageId, ErrorCode, Position, envelope,
    frame::{Body, Message, Send},
};

use super::{Chat, Chats, Owner};
use crate::{disk::DISK_RETRY_MS, refusal::Refusal};

impl Chats {
    /// Gives a message its position, delivers it and makes it durable. The `Ack` is due when its
    /// seq is durable: see [`Reader::sent`](nowrong_core::chat::Reader::sent).
    ///
    /// # Errors
    /// [`Refusal`] when the chat is full or has ended without this message, the text is not acceptable, the disk is nearly full, the store does not
    /// take earlier messages of the chat, or the log cannot be reached.
    pub async fn send_message(
        &self,
        chat: &Arc<Chat>,
        me: u8,
        send: Send,
    ) -> Result<Sent, Refusal> {
        let body = accept_body(send.body)?;
        let (epoch, takes_new) = {
            let state = chat.state();
            let is_open = state.end.is_none();
            // Before it has a position, too. What has one is stored: for that there is room.
            if is_open && self.env.disk.is_full() {
                self.env.metrics.count_refusal("disk");
                return Err(Refusal::retry_after(
                    ErrorCode::STORAGE_UNAVAILABLE,
                    DISK_RETRY_MS,
                ));
            }
            // Refused before it has a position: the others must not see what may never be stored.
            if is_open && state.messages.is_refused() {
                return Err(Refusal::retry_after(ErrorCode::STORAGE_UNAVAILABLE, 1_000));
            }
            // Forwarded to others as it is, so it must name a message.
            if is_open && send.reply_to.is_some_and(|to| !state.messages.has(to)) {
                return Err(ErrorCode::MESSAGE_UNKNOWN.into());
            }
            let takes_any = is_open && !state.messages.is_gone();
            (
                takes_any.then(|| state.messages.epoch()),
                !state.messages.is_full(),
            )
        };
        let Some(epoch) = epoch else {
            // Boxed because it is rare: otherwise each send would have room for it.
            return Box::pin(self.find_in_ended(chat, me, send.client_message_id)).await;
        };
        let message = Outgoing {
            chat,
            member: me,
            client_message_id: send.client_message_id,
            at: self.env.clock.now(),
            reply_to: send.reply_to,
            body,
        };
        // Sealed before it has a position: after that nothing may fail.
        let draft = message.draft()?;
        let Placed { outcome, elsewhere } =
            self.append_draft(chat, epoch, &draft, takes_new).await?;
        match outcome {
            AppendOutcome::New(position) => {
                Ok(self.place_message(message, draft, position, elsewhere))
            }
            // Boxed because it is rare: otherwise each send would have room for it.
            AppendOutcome::Again(position, at) => {
                Box::pin(self.find_sent(chat, position, at)).await
            }
            AppendOutcome::Full => Err(ErrorCode::CHAT_FULL.into()),
            AppendOutcome::NoLog(_) => Err(Refusal::retry_after(ErrorCode::INTERNAL, 1_000)),
        }
    }

    /// Gets a position for the draft from the log; opens the log again if the broker has forgotten
    /// it.
    async fn append_draft(
        &self,
        chat: &Arc<Chat>,
        epoch: u32,
        draft: &Draft,
        takes_new: bool,
    ) -> Result<Placed, Refusal> {
        let broker = &self.env.broker;
        let placed = broker.append(chat.id, epoch, draft, takes_new).await?;
        let AppendOutcome::NoLog(incarnation) = placed.outcome else {
            return Ok(placed);
        };
        // Rare, hence boxed.
        Box::pin(self.reopen_log(chat, epoch, incarnation)).await?;
        let epoch = chat.state().messages.epoch();
        Ok(broker.append(chat.id, epoch, draft, takes_new).await?)
    }

    /// Adds the message here, and tells the nodes of the other members.
    fn place_message(
        &self,
        message: Outgoing<'_>,
        draft: Draft,
        position: Position,
        elsewhere: Vec<NodeId>,
    ) -> Sent {
        let (chat, sender) = (message.chat, message.member);
        let frame = message.encode(position);
        let stored = draft.placed(chat.id, position);
        let own = {
            let mut state = chat.state();
            state.set_followers(position, elsewhere);
            chat.tell_followers(&state, || Notice::Message(stored.clone()));
            state.append_own(stored, frame)
        };
        match own.counted {
            0 => {}
            1 => chat.wake_others(sender),
            _ => chat.wake_all(),
        }
        if own.is_newly_queued {
            self.persister.push(chat);
        }
        own.sent
    }

    /// The log knew the message already: it is here, in the store, or still only in the log.
    async fn find_sent(
        &self,
        chat: &Arc<Chat>,
        position: Position,
        at: UnixMs,
    ) -> Result<Sent, Refusal> {
        let is_missing = position > chat.state().messages.head;
        if is_missing {
            self.catch_up_log(chat).await?;
        }
        Ok(self.sent_again(chat, position, at))
    }

    /// A message that has its position already: its `Ack` is due as soon as it is durable.
    pub(super) fn sent_again(&self, chat: &Arc<Chat>, position: Position, at: UnixMs) -> Sent {
        let (drops, durable) = {
            let state = chat.state();
            (state.messages.drops, state.messages.durable)
        };
        if durable < position.seq {
            self.persister.enqueue(chat);
        }
        Sent {
            position,
            at,
            since: self.env.clock.now(),
            drops,
            is_new: false,
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
    /// The sealed message for the log and the store.
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
