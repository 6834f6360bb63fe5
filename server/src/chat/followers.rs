//! The other nodes that follow a chat: the notices that this node sends them about its members, and
//! the notices that it gets from them.
//!
//! A member's home is the node that has the connection. Only that node reports what the member
//! does; the other nodes take it over. Notices may be lost, so every [`CHECK_EVERY`] a node that
//! shares a chat reads on in the log and sends the state of its members again.

use std::{sync::Arc, time::Duration};

use nowrong_core::{
    chat::{Heard, HeardReply, Home, MemberState, State},
    node::NodeId,
    record::{Notice, Signal, UnixMs},
};
use nowrong_protocol::{
    ChatId, Position, UserId,
    frame::{PresenceState, SeatState},
};

use super::{Chat, Chats};
use crate::refusal::Refusal;

/// How often a chat with members on other nodes is checked: how long a lost notice goes unnoticed.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(10);

/// The seat of a member with a connection.
const TAKEN: Signal = Signal::Seat {
    state: SeatState::Taken,
    held_until: 0,
};

impl Chat {
    /// The member's connection is here.
    pub(crate) fn take_seat(&self, me: u8) {
        if let Some(member) = self.state().member_mut(me) {
            member.set_home(Home::Here);
        }
        self.signal_from(me, TAKEN);
    }

    /// The member's connection to this node is lost; the seat is held until the given time, unless
    /// the member is on another node by now.
    pub(crate) fn hold_seat(&self, me: u8, until: UnixMs) {
        let is_here = {
            let state = self.state();
            let member = state.members().get(usize::from(me));
            member.is_some_and(|member| member.home() == Home::Here)
        };
        if is_here {
            let held = Signal::Seat {
                state: SeatState::Held,
                held_until: until,
            };
            self.signal_from(me, held);
        }
    }

    /// The member is on another node now: that node's notices about the member count.
    pub(crate) fn move_member(&self, user: UserId, to: NodeId) {
        if let Some(me) = self.member(user)
            && let Some(member) = self.state().member_mut(me)
        {
            member.set_home(Home::There(to));
        }
    }

    /// The member was matched on another node and is assumed to be connected there, unless more is
    /// known.
    pub(crate) fn expect_member_on(&self, user: UserId, node: NodeId) {
        let Some(me) = self.member(user) else { return };
        let is_connected_here = self.is_connected_here(me);
        let mut state = self.state();
        if let Some(member) = state.member_mut(me)
            && !is_connected_here
            && !matches!(member.home(), Home::There(_))
        {
            member.set_home(Home::There(node));
            member.set_seat(SeatState::Taken, 0);
        }
    }

    fn is_connected_here(&self, me: u8) -> bool {
        let entry = self.members.get(usize::from(me));
        entry.is_some_and(|user| user.state().connection.is_some())
    }

    /// The member is typing, or stopped.
    pub(crate) fn set_typing(&self, me: u8, is_typing: bool) {
        self.signal_from(me, Signal::Typing(is_typing));
    }

    /// The member is looking at the chat, or has turned away.
    pub(crate) fn set_presence(&self, me: u8, presence: PresenceState) {
        self.signal_from(me, Signal::Presence(presence));
    }

    /// The member has received and read up to these messages.
    pub(crate) fn advance(&self, me: u8, delivered: Position, read: Position) {
        self.signal_from(me, Signal::Cursors { delivered, read });
    }

    /// A member who is here does something: the other nodes are told if it is news.
    fn signal_from(&self, me: u8, signal: Signal) {
        {
            let mut state = self.state();
            if !state.signal(me, signal) {
                return;
            }
            if let Signal::Cursors { .. } = signal
                && let Some(member) = state.member_mut(me)
            {
                member.mark_dirty();
            }
            self.tell_followers(&state, || self.signal(me, signal));
        }
        self.wake_others(me);
    }

    /// Tells the nodes that share the chat.
    pub(super) fn tell_followers(&self, state: &State, notice: impl FnOnce() -> Notice) {
        if !state.elsewhere.is_empty() {
            self.broker.tell(&state.elsewhere, notice());
        }
    }

    fn signal(&self, member: u8, signal: Signal) -> Notice {
        Notice::Signal {
            chat: self.id,
            member,
            signal,
        }
    }

    /// Tells these nodes everything about the members who are here.
    fn introduce_members(&self, nodes: &[NodeId]) {
        let state = self.state();
        let here = (0..).zip(state.members());
        let here = here.filter(|(_, member): &(u8, &MemberState)| member.home() == Home::Here);
        for (index, member) in here {
            self.tell_signals(nodes, index, member.signals());
        }
    }

    fn tell_signals(&self, nodes: &[NodeId], me: u8, signals: Vec<Signal>) {
        for signal in signals {
            self.broker.tell(nodes, self.signal(me, signal));
        }
    }

    /// A node follows the chat from now on.
    fn add_follower(&self, by: NodeId) {
        {
            let mut state = self.state();
            if !state.elsewhere.contains(&by) {
                state.elsewhere.push(by);
            }
        }
        self.introduce_members(&[by]);
    }

    /// Takes over a node's notice about one of its members, by the rules of [`State::hear`].
    fn hear(&self, from: NodeId, me: u8, signal: Signal) {
        let is_connected_here = self.is_connected_here(me);
        let is_news = {
            // Sent under the lock: this node's notices about a member are sent in the order of the
            // events.
            let mut state = self.state();
            let Heard { is_news, reply } = state.hear(from, me, signal, is_connected_here);
            match reply {
                Some(HeardReply::Ended(end)) => {
                    let chat = self.id;
                    self.broker.tell(&[from], Notice::Ended { chat, end });
                }
                Some(HeardReply::Signals(signals)) => self.tell_signals(&[from], me, signals),
                None => {}
            }
            is_news
        };
        if is_news {
            self.wake_others(me);
        }
    }

    /// Members whose node is not among `live` have no connection: their seats are held from now.
    pub(super) fn hold_lost_seats(&self, live: &[NodeId], until: UnixMs) {
        let mut is_news = false;
        {
            let mut state = self.state();
            for member in state.members_mut() {
                let is_lost = matches!(member.home(), Home::There(node) if !live.contains(&node));
                if is_lost && member.seat().0 == SeatState::Taken {
                    is_news |= member.set_seat(SeatState::Held, until);
                }
            }
        }
        if is_news {
            self.wake_all();
        }
    }
}

impl Chats {
    /// Tells the nodes that share the chat.
    pub(super) fn announce_notice(&self, chat: &Chat, notice: Notice) {
        let state = chat.state();
        chat.tell_followers(&state, || notice);
    }

    /// Applies another node's notice about a chat. A notice about a chat that this node does not
    /// have is outdated.
    pub(crate) async fn apply_notice(self: &Arc<Self>, from: NodeId, notice: Notice) {
        let Some(chat) = chat_of(&notice).and_then(|id| self.held_chat(id)) else {
            return;
        };
        match notice {
            Notice::Message(message) => {
                let epoch = chat.state().messages.epoch();
                if message.position.epoch > epoch {
                    self.rechecks.enqueue(&chat);
                } else {
                    self.take_messages(&chat, vec![message]);
                }
            }
            Notice::Durable { position, .. } => {
                let senders = chat.state().messages.persisted(position);
                chat.wake_each(&senders);
            }
            Notice::Follows { .. } => chat.add_follower(from),
            Notice::Deleted { position, .. } => {
                if let Err(refusal) = self.show_deleted(&chat, position).await {
                    tracing::warn!(code = %refusal.code, chat = %chat.id, "a deleted message is not readable");
                }
            }
            Notice::Ended { end, .. } => self.apply_end(&chat, end).await,
            Notice::Signal { member, signal, .. } => chat.hear(from, member, signal),
            _ => {}
        }
    }

    /// Notices may have been lost: queues every chat for a check.
    pub(crate) fn queue_all_checks(&self) {
        for chat in self.all_chats() {
            self.rechecks.enqueue(&chat);
        }
    }

    /// Whether a member whose seat was held for long enough is connected nowhere. All notices
    /// during that time may have been lost, so the broker is asked.
    ///
    /// # Errors
    /// [`Refusal`] when broker or store fail: then it is unknown.
    pub(super) async fn is_member_gone(
        &self,
        chat: &Arc<Chat>,
        me: u8,
        live: &[NodeId],
    ) -> Result<bool, Refusal> {
        let Some(member) = chat.members.get(usize::from(me)) else {
            return Ok(true);
        };
        let place = self.env.broker.place(member.user).await?;
        if chat.is_connected_here(me) {
            return Ok(false);
        }
        let Some(node) = place.filter(|node| *node != self.env.broker.id()) else {
            return Ok(true);
        };
        // A node that is not live has just started or just died; the next check will know.
        if live.contains(&node) {
            chat.hear(node, me, TAKEN);
            self.learn_end(chat).await?;
        }
        Ok(false)
    }

    /// Makes sure that this node has missed nothing of a chat, and that the other nodes know of the
    /// members here.
    pub(super) async fn check_chat(&self, chat: &Arc<Chat>) {
        if chat.has_ended() {
            return;
        }
        if chat.state().messages.is_gone() {
            return self.end_erased(chat).await;
        }
        if !chat.log.initialized() {
            return;
        }
        if let Err(refusal) = self.catch_up_log(chat).await {
            if chat.state().messages.is_gone() {
                return; // The next check, which is queued, ends it.
            }
            return tracing::warn!(code = %refusal.code, chat = %chat.id, "a log could not be read");
        }
        let elsewhere = chat.state().elsewhere.clone();
        chat.introduce_members(&elsewhere);
    }
}

fn chat_of(notice: &Notice) -> Option<ChatId> {
    match notice {
        Notice::Message(message) => Some(message.chat),
        Notice::Durable { chat, .. }
        | Notice::Follows { chat }
        | Notice::Deleted { chat, .. }
        | Notice::Ended { chat, .. }
        | Notice::Signal { chat, .. } => Some(*chat),
        _ => None,
    }
}
