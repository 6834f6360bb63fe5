//! The node's copy of one chat: its messages, its members, and how it ends.
//!
//! Nothing here sends: each connection pulls the latest state of each part, however often it
//! changed in between. An outdated signal is simply not sent.

use std::time::Duration;

use bytes::Bytes;
use nowrong_protocol::{
    ChatId, Position,
    frame::{EndReason, Member, SeatState},
};

use super::{
    members::{Home, MemberState, Versioned},
    messages::Messages,
    reader::Sent,
};
use crate::{
    node::NodeId,
    record::{Chat, ChatEnd, Cursors, Signal, StoredMessage, UnixMs},
};

/// The times that govern a chat.
#[derive(Clone, Copy, Debug)]
pub struct ChatRules {
    /// How long the seat of a member without a connection is held.
    pub seat_hold: Duration,
    /// Silence after which the members are told that the chat will end.
    pub idle_notice: Duration,
    /// Silence after which the chat ends.
    pub idle_end: Duration,
    /// How long an ended chat can still be read.
    pub grace: Duration,
    /// Longest lifetime of a chat and everything in it.
    pub retention: Duration,
}

impl ChatRules {
    /// Until when a seat is held after its connection was lost at `now`.
    pub fn held_until(&self, now: UnixMs) -> UnixMs {
        now + self.seat_hold.as_millis() as u64
    }
}

/// The changing part of a chat.
#[derive(Debug)]
pub struct State {
    pub(super) chat: ChatId,
    /// The messages.
    pub messages: Messages,
    /// How the chat ended.
    pub end: Option<ChatEnd>,
    is_queued_to_persist: bool,
    is_queued_to_check: bool,
    checked_at: UnixMs,
    /// The other nodes that follow the chat, by the broker's last answer.
    pub elsewhere: Vec<NodeId>,
    /// The newest position whose reply set `elsewhere`.
    followed_at: Position,
    members: Vec<MemberState>,
    last_spoke: UnixMs,
    pub(super) idle: Versioned<UnixMs>,
}

impl State {
    /// The state of a stored chat with nobody connected: every seat is held from `now`.
    pub fn new(record: &Chat, rules: &ChatRules, now: UnixMs) -> Self {
        let held_until = rules.held_until(now);
        let member = |stored| MemberState::new(stored, &record.epochs, held_until);
        Self {
            chat: record.id,
            messages: Messages::new(&record.epochs),
            end: record.end,
            is_queued_to_persist: false,
            is_queued_to_check: false,
            checked_at: now,
            elsewhere: Vec::new(),
            followed_at: Position::START,
            members: record.members.iter().map(member).collect(),
            last_spoke: now,
            idle: Versioned::new(0),
        }
    }

    /// Takes in a message with its position and frame; returns how many messages count now that did
    /// not before.
    pub fn appended(&mut self, message: StoredMessage, frame: Bytes) -> usize {
        let taken = self.messages.appended(message, frame);
        for message in &taken {
            self.last_spoke = self.last_spoke.max(message.at);
            self.idle.set(0);
            if let Some(member) = self.member_mut(message.member) {
                member.set_typing(false);
            }
        }
        taken.len()
    }

    /// Sets the other nodes that followed the chat when the log assigned a position. Of two
    /// simultaneous replies, the one with the later position is newer and stays.
    pub fn set_followers(&mut self, position: Position, elsewhere: Vec<NodeId>) {
        if position > self.followed_at {
            self.followed_at = position;
            self.elsewhere = elsewhere;
        }
    }

    /// Takes in a message of a member of this node with its position. It waits for the store from
    /// now on.
    pub fn append_own(&mut self, message: StoredMessage, frame: Bytes) -> OwnMessage {
        let (position, at) = (message.position, message.at);
        let is_current = position.epoch == self.messages.epoch();
        let counted = if is_current {
            self.appended(message, frame)
        } else {
            0
        };
        OwnMessage {
            counted,
            sent: Sent {
                position,
                at,
                since: at,
                drops: self.messages.drops,
                is_new: !self.messages.is_void_position(position),
            },
            is_newly_queued: self.queue_to_persist(),
        }
    }

    /// Notes that the chat waits for the store; `false` if it did already.
    pub fn queue_to_persist(&mut self) -> bool {
        !std::mem::replace(&mut self.is_queued_to_persist, true)
    }

    /// The next batch for the store. Later events queue the chat again.
    pub fn take_batch(&mut self) -> Vec<StoredMessage> {
        self.is_queued_to_persist = false;
        self.messages.next_batch()
    }

    /// Notes that the chat must be checked; `false` when that was noted already.
    pub fn queue_to_check(&mut self) -> bool {
        !std::mem::replace(&mut self.is_queued_to_check, true)
    }

    /// The check begins. Later events need another check.
    pub fn begin_check(&mut self) {
        self.is_queued_to_check = false;
    }

    /// Moves a member's cursors forward, to messages that exist; returns whether that is news.
    pub fn advance(&mut self, member: u8, delivered: Position, read: Position) -> bool {
        let [delivered, read] = [delivered, read].map(|named| self.messages.nearest(named));
        let member = self.member_mut(member);
        member.is_some_and(|member| member.advance(delivered, read))
    }

    /// Takes over a member's signal; returns whether that is news. Once the chat has ended, only seats are: who
    /// has left or was blocked does not learn what the other one reads.
    pub fn signal(&mut self, member: u8, signal: Signal) -> bool {
        let has_ended = self.end.is_some();
        if let Signal::Cursors { delivered, read } = signal {
            return !has_ended && self.advance(member, delivered, read);
        }
        let Some(member) = self.member_mut(member) else {
            return false;
        };
        match signal {
            Signal::Seat { state, held_until } => member.set_seat(state, held_until),
            Signal::Typing(is_typing) => !has_ended && member.set_typing(is_typing),
            Signal::Presence(presence) => !has_ended && member.set_presence(presence),
            Signal::Cursors { .. } => false,
        }
    }

    /// Takes over a notice of the node `from` about one of its members.
    ///
    /// 1. A member with a connection here is not on another node: notices of other nodes about that
    ///    member are ignored.
    /// 2. A node that holds a seat of a chat that has ended, or of a member who is connected here,
    ///    has missed this, and is told.
    /// 3. A node that takes a seat gets no reply, so two nodes that both have a connection do not argue.
    /// 4. A node that a member has left for another one no longer counts, unless it takes the seat
    ///    again.
    pub fn hear(
        &mut self,
        from: NodeId,
        member: u8,
        signal: Signal,
        is_connected_here: bool,
    ) -> Heard {
        let seat = match signal {
            Signal::Seat { state, .. } => Some(state),
            _ => None,
        };
        let end = self.end.filter(|_| seat == Some(SeatState::Held));
        let Some(known) = self.member_mut(member) else {
            return Heard::default();
        };
        let is_ours = known.home() == Home::Here && is_connected_here;
        let has_left = matches!(known.home(), Home::There(node) if node != from);
        let reply = match end {
            Some(end) => Some(HeardReply::Ended(end)),
            None => known.reply_to_holder(is_ours, seat),
        };
        let is_ignored = is_ours || (has_left && seat != Some(SeatState::Taken));
        if is_ignored {
            return Heard {
                is_news: false,
                reply,
            };
        }
        known.set_home(Home::There(from));
        let is_news = self.signal(member, signal);
        Heard { is_news, reply }
    }

    /// The cursors that changed since the last call.
    pub fn take_dirty_cursors(&mut self) -> Vec<Cursors> {
        let chat = self.chat;
        let dirty = |(index, member): (usize, &mut MemberState)| {
            let (delivered, read) = member.take_dirty()?;
            Some(Cursors {
                chat,
                member: index as u8,
                delivered,
                read,
            })
        };
        let members = self.members.iter_mut().enumerate();
        members.filter_map(dirty).collect()
    }

    /// Sets the end of the chat; returns whether that is news.
    pub fn set_end(&mut self, end: ChatEnd) -> bool {
        let is_news = self.end.is_none();
        if is_news {
            self.end = Some(end);
        }
        is_news
    }

    /// Whether some member is, or may be, connected to another node, that is, not connected here.
    pub fn may_be_shared(&self) -> bool {
        let may_be_elsewhere = |member: &MemberState| {
            member.home() != Home::Here || member.seat().0 == SeatState::Held
        };
        self.members.iter().any(may_be_elsewhere)
    }

    /// Whether every member is connected to another node.
    pub fn are_all_elsewhere(&self) -> bool {
        let is_there = |member: &MemberState| matches!(member.home(), Home::There(_));
        self.members.iter().all(is_there)
    }

    /// Whether the last check was this long ago; if so, counts this as a check.
    pub fn is_check_due(&mut self, now: UnixMs, every: Duration) -> bool {
        let is_due = now >= self.checked_at + every.as_millis() as u64;
        if is_due {
            self.checked_at = now;
        }
        is_due
    }

    /// Counts the members who are here, if the chat has not ended; returns by how many the count
    /// changes.
    pub fn recount(&mut self) -> i32 {
        let goes_on = self.end.is_none();
        let recount =
            |member: &mut MemberState| member.count(goes_on && member.home() == Home::Here);
        self.members.iter_mut().map(recount).sum()
    }

    /// What is due by time, such as the end of the chat. The seats of members on other nodes are
    /// held longer by `patience`.
    pub fn due_end(
        &self,
        rules: &ChatRules,
        patience: Duration,
        expires_at: UnixMs,
        now: UnixMs,
    ) -> Due {
        if self.end.is_some() {
            return Due::Nothing;
        }
        if now >= expires_at {
            return Due::End(EndReason::Expired, None);
        }
        let gone = self.members.iter().position(|member| {
            let (seat, until) = member.seat();
            let patience = match member.home() {
                Home::Here => 0,
                _ => patience.as_millis() as u64,
            };
            seat == SeatState::Held && now >= until + patience
        });
        if let Some(index) = gone {
            return Due::End(EndReason::Gone, Some(index as u8));
        }
        let silence = now.saturating_sub(self.last_spoke);
        if silence >= rules.idle_end.as_millis() as u64 {
            return Due::End(EndReason::Idle, None);
        }
        let is_notice_due = silence >= rules.idle_notice.as_millis() as u64;
        if is_notice_due && self.idle.value == 0 {
            Due::IdleNotice
        } else {
            Due::Nothing
        }
    }

    /// Tells the members when the chat will end if nobody speaks.
    pub fn set_idle_notice(&mut self, rules: &ChatRules) {
        self.idle
            .set(self.last_spoke + rules.idle_end.as_millis() as u64);
    }

    /// The members as `Welcome` and `Matched` show them.
    pub fn shown(&self) -> impl Iterator<Item = Member> + '_ {
        self.members.iter().map(MemberState::shown)
    }

    /// How many messages of other members `me` has not read.
    pub fn unread(&self, me: u8) -> u32 {
        let read = self.members.get(usize::from(me));
        let read = read.map_or(0, |member| member.cursors().1.seq);
        self.messages.unread(me, read)
    }

    /// The members, by index.
    pub fn members(&self) -> &[MemberState] {
        &self.members
    }

    /// The members, by index.
    pub fn members_mut(&mut self) -> &mut [MemberState] {
        &mut self.members
    }

    /// A member, if there is one with this index.
    pub fn member_mut(&mut self, member: u8) -> Option<&mut MemberState> {
        self.members.get_mut(usize::from(member))
    }
}

/// The outcome of a message of a member of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMessage {
    /// How many messages count now that did not before: more than one when later ones waited for it.
    pub counted: usize,
    /// The content of the sender's `Ack`.
    pub sent: Sent,
    /// Whether the chat did not wait for the store before.
    pub is_newly_queued: bool,
}

/// The outcome of another node's notice about a member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Whether the other members have something new to see.
    pub is_news: bool,
    /// What the sending node has missed.
    pub reply: Option<HeardReply>,
}

/// What a node that holds a seat has missed.
#[derive(Clone, Debug, PartialEq)]
pub enum HeardReply {
    /// The chat has ended.
    Ended(ChatEnd),
    /// The member is connected here, and does this.
    Signals(Vec<Signal>),
}

/// An action that is due by time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Tell the members that the chat is about to end.
    IdleNotice,
    /// End the chat.
    End(EndReason, Option<u8>),
}
