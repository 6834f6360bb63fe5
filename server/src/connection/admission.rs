//! Opening and leaving a connection: the verdict on `Hello`, the snapshot in `Welcome`, and the
//! departure.

use std::{sync::Arc, time::Instant};

use nowrong_base::random;
use nowrong_broker::Broker;
use nowrong_core::record::Notice;
use nowrong_protocol::{
    ChatId, CloseCode, ConnectionId, ErrorCode, Framed, Position, TicketId, UserId,
    conversation::{bye, server::Input},
    frame::{
        Bye, ChatState, Gone, Hello, Lane, Limits, Matched, Resume, TicketEnded, TicketState,
        Welcome,
    },
    limits::{FRAME_BYTES_MAX, IDLE_TIMEOUT, PING_INTERVAL, TEXT_BYTES_MAX, TEXT_GRAPHEMES_MAX},
};

use super::{Attending, Connection, Link, following::Following};
use crate::{
    auth::{Holder, connect::redeem_connect},
    chat::Chat,
    environment::Environment,
    hub::UserEntry,
};

/// Minimum reconnect delay when the node is full, in milliseconds; spread over twice that.
const FULL_RETRY_MS: u32 = 2_000;

impl<L: Link> Connection<L> {
    /// Decides on a `Hello`.
    pub(super) async fn admit(&mut self, hello: Hello) {
        let verdict = match self.check(&hello).await {
            Ok(holder) => self.attend(holder, hello.resume).await,
            Err(code) => Err(code),
        };
        let (input, gone) = match verdict {
            Ok((welcome, gone)) => (Input::Admit(Box::new(welcome)), gone),
            Err(code) => (Input::Refuse(self.refusal(code)), Vec::new()),
        };
        self.conversation.handle_input(input, Instant::now());
        while let Some(super::Output::Transmit(lane, frame)) = self.conversation.poll_output() {
            self.write(lane, &frame);
        }
        for chat in gone {
            self.write(Lane::Live, &Gone { chat }.into());
        }
    }

    /// Checks the token; returns whom it speaks for.
    async fn check(&mut self, hello: &Hello) -> Result<Holder, CloseCode> {
        if !self.is_origin_allowed {
            return Err(CloseCode::ORIGIN_REFUSED);
        }
        if self.node.is_draining() {
            return Err(CloseCode::GOING_AWAY);
        }
        let now = self.node.env().clock.now();
        let holder = redeem_connect(&*self.node.env().broker, &hello.connect_token, now).await;
        holder.map_err(internal)?.ok_or(CloseCode::TOKEN_REFUSED)
    }

    pub(super) fn refusal(&self, code: CloseCode) -> Bye {
        let retry_after_ms = match code {
            CloseCode::OVERLOADED => FULL_RETRY_MS + random::below(FULL_RETRY_MS),
            // Another node accepts the client at once.
            CloseCode::GOING_AWAY if self.node.has_elsewhere() => 0,
            CloseCode::GOING_AWAY => random::below(FULL_RETRY_MS),
            _ => 0,
        };
        Bye {
            retry_after_ms,
            ..bye(code)
        }
    }

    /// Takes the user's place on this node, and returns the snapshot for the `Welcome`.
    async fn attend(
        &mut self,
        holder: Holder,
        asked: Vec<Resume>,
    ) -> Result<(Welcome, Vec<ChatId>), CloseCode> {
        let (node, user) = (self.node.clone(), holder.user);
        if !node.enter() {
            node.env().metrics.count_refusal("connections_max");
            return Err(CloseCode::OVERLOADED);
        }
        let id = ConnectionId::v7(node.env().clock.now(), &random::bytes());
        let take = |state: &mut crate::hub::UserState| {
            state.connection = Some(id);
            state.generation = holder.generation;
            state.kick = None;
            // Pushes that an older connection did not send are covered by the snapshot.
            drop(state.take_pushes());
        };
        let Some(entry) = node.hub().update(user, take) else {
            node.leave();
            return Err(CloseCode::OVERLOADED);
        };
        entry.wake();
        let interests = Vec::new();
        self.user = Some(Attending {
            id,
            entry: entry.clone(),
            following: None,
            settling: Vec::new(),
            interests,
        });
        if let Err(error) = node.env().broker.count_connected(1).await {
            tracing::warn!(%error, "a connection could not be counted");
        }
        take_place(&*node.env().broker, user).await;
        check_account(node.env(), holder).await?;
        let chat = node
            .chats()
            .load_chat_of(user, &asked)
            .await
            .map_err(|refused| {
                tracing::warn!(code = %refused.code, "a chat could not be resumed");
                CloseCode::INTERNAL
            })?;
        let gone = gone(&asked, chat.as_deref());
        let chat = chat.and_then(|chat| self.take_up(&entry, chat, &asked));
        let ticket = node.matching().take_over(&entry).await;
        Ok((self.welcome(id, ticket, chat), gone))
    }

    /// Takes the seat in the chat and follows it from the client's position.
    fn take_up(
        &mut self,
        entry: &Arc<UserEntry>,
        chat: Arc<Chat>,
        asked: &[Resume],
    ) -> Option<ChatState> {
        let me = chat.member(entry.user)?;
        entry.state().chat = Some(chat.as_current());
        if !chat.has_ended() {
            chat.take_seat(me);
        }
        let position = asked.iter().find(|resume| resume.chat == chat.id);
        let position = position.map_or(Position::START, |resume| resume.position);
        let (following, state) = Following::new(chat, me, position);
        self.user.as_mut()?.following = Some(following);
        Some(state)
    }

    fn welcome(
        &self,
        connection: ConnectionId,
        ticket: Option<TicketState>,
        chat: Option<ChatState>,
    ) -> Welcome {
        Welcome {
            // The conversation fills in the agreed version.
            version: 0,
            connection,
            server_time_ms: self.node.env().clock.now(),
            limits: Framed(Limits {
                frame_bytes_max: FRAME_BYTES_MAX as u32,
                text_bytes_max: TEXT_BYTES_MAX as u32,
                text_graphemes_max: TEXT_GRAPHEMES_MAX as u32,
                ping_interval_ms: PING_INTERVAL.as_millis() as u32,
                idle_timeout_ms: IDLE_TIMEOUT.as_millis() as u32,
                seat_hold_ms: self.node.chats().rules().seat_hold.as_millis() as u32,
            }),
            ticket: ticket.map(Framed),
            chat: chat.map(Framed),
        }
    }

    /// The user was matched: follows the new chat.
    pub(super) fn follow_match(&mut self, ticket: TicketId, chat: ChatId) {
        let Some(user) = &mut self.user else { return };
        // A chat that is over and forgotten by now is not news.
        let Some(chat) = self.node.chats().held_chat(chat) else {
            return;
        };
        let Some(me) = chat.member(user.entry.user) else {
            return;
        };
        chat.take_seat(me);
        if user
            .following
            .as_ref()
            .is_some_and(|it| it.chat.id == chat.id)
        {
            // The match was found twice, or the client learned of the chat when it came back.
            let code = ErrorCode::ALREADY_IN_CHAT;
            return self.write(Lane::Live, &TicketEnded { ticket, code }.into());
        }
        let (following, state) = Following::new(chat, me, Position::START);
        let before = user.following.replace(following);
        user.settle(before);
        self.write(
            Lane::Live,
            &Matched {
                ticket,
                chat: Framed(state),
            }
            .into(),
        );
    }

    /// The link is closed: the seat and the ticket are held for a while, unless the user has
    /// another connection by now.
    pub(super) async fn depart(mut self: Box<Self>) {
        let (node, code) = (self.node.clone(), self.close_code());
        if let Some(user) = self.user.take() {
            node.leave();
            if let Err(error) = node.env().broker.count_connected(-1).await {
                tracing::warn!(%error, "a connection could not be counted");
            }
            let is_last = {
                let mut state = user.entry.state();
                let is_last = state.connection == Some(user.id);
                if is_last {
                    state.connection = None;
                }
                is_last
            };
            if is_last {
                if let Some(following) = &user.following {
                    let hold = node.chats().rules().seat_hold.as_millis() as u64;
                    following
                        .chat
                        .hold_seat(following.me, node.env().clock.now() + hold);
                }
                node.matching().pause(&user.entry).await;
                // A user who has come back here meanwhile keeps the place.
                let is_away = user.entry.state().connection.is_none();
                if is_away && let Err(error) = node.env().broker.leave_place(user.entry.user).await
                {
                    tracing::warn!(%error, "a place could not be left");
                }
                node.hub().forget_if_idle(user.entry.user);
            }
        }
        self.link.close(code).await;
    }
}

/// Checks that the account exists and that its tokens were not revoked, once the connection can be found by
/// its user: who erases the account or revokes its tokens closes it, or it sees here what has happened.
async fn check_account(env: &Environment, holder: Holder) -> Result<(), CloseCode> {
    let account = env.store.user(holder.user, env.clock.now()).await;
    let account = account.map_err(internal)?;
    let account = account.ok_or(CloseCode::ACCOUNT_GONE)?;
    match account.generation == holder.generation {
        true => Ok(()),
        false => Err(CloseCode::TOKEN_REFUSED),
    }
}

/// Notes that the user is on this node now, and lets another node give the user up.
async fn take_place(broker: &dyn Broker, user: UserId) {
    match broker.take_place(user).await {
        Ok(None) => {}
        Ok(Some(before)) => {
            let code = CloseCode::REPLACED;
            broker.tell(&[before], Notice::Kick { user, code });
        }
        Err(error) => tracing::warn!(%error, "a place could not be taken"),
    }
}

/// The requested chats that cannot be resumed.
fn gone(asked: &[Resume], chat: Option<&Chat>) -> Vec<ChatId> {
    let is_other = |id: &ChatId| chat.is_none_or(|chat| chat.id != *id);
    asked
        .iter()
        .map(|resume| resume.chat)
        .filter(is_other)
        .collect()
}

fn internal(error: impl std::fmt::Display) -> CloseCode {
    tracing::warn!(%error, "a client could not be admitted");
    CloseCode::INTERNAL
}
