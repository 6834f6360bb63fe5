//! What a node knows of one chat, without IO: its messages, its members, and how it ends.
//!
//! Nothing here is sent to anyone. A connection holds a [`View`] of what it has told its client, and
//! [`State::changes`] gives the difference: the latest state of each thing, however often it changed
//! in between. So there is no queue, and a signal that was overtaken is simply not sent.

use std::time::Duration;

use bytes::Bytes;
use nowrong_core::node::NodeId;
use nowrong_protocol::{
    ChatId, Position, ServerFrame,
    frame::{Deleted, EndReason, Ended, Idle, Member, SeatState},
};

mod members;
mod messages;

pub(super) use members::{Home, MemberState};
use members::{SeenMember, Versioned};
pub(super) use messages::{Messages, Rebuilt};
use nowrong_core::record::{Chat as ChatRecord, ChatEnd, Cursors, Signal, StoredMessage, UnixMs};

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
    /// Longest life of a chat and all that is in it.
    pub retention: Duration,
}

impl ChatRules {
    /// Until when a seat is held whose connection was lost at `now`.
    pub(super) fn held_until(&self, now: UnixMs) -> UnixMs {
        now + self.seat_hold.as_millis() as u64
    }
}

/// The changing part of a chat.
pub(super) struct State {
    chat: ChatId,
    /// What was said.
    pub(super) messages: Messages,
    /// How the chat ended.
    pub(super) end: Option<ChatEnd>,
    pub(super) is_queued_to_persist: bool,
    pub(super) is_queued_to_check: bool,
    checked_at: UnixMs,
    /// The other nodes that follow the chat, as the broker said last.
    pub(super) elsewhere: Vec<NodeId>,
    members: Vec<MemberState>,
    last_spoke: UnixMs,
    idle: Versioned<UnixMs>,
}

/// What one connection has told its client about a chat.
#[derive(Default)]
pub(crate) struct View {
    members: Vec<SeenMember>,
    deleted: usize,
    idle: u32,
    has_end: bool,
}

impl State {
    /// The state of a chat as stored, with nobody connected: every seat is held from `now` on.
    pub(super) fn new(record: &ChatRecord, rules: &ChatRules, now: UnixMs) -> Self {
        let held_until = rules.held_until(now);
        let member = |stored| MemberState::new(stored, held_until);
        Self {
            chat: record.id,
            messages: Messages::new(&record.epochs),
            end: record.end,
            is_queued_to_persist: false,
            is_queued_to_check: false,
            checked_at: now,
            elsewhere: Vec::new(),
            members: record.members.iter().map(member).collect(),
            last_spoke: now,
            idle: Versioned::new(0),
        }
    }

    /// Takes a message that the log has given a position, with its frame; answers how many messages
    /// count now that did not before.
    pub(super) fn appended(&mut self, message: StoredMessage, frame: Bytes) -> usize {
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

    /// Moves a member's cursors forward; answers whether that is news.
    pub(super) fn advance(&mut self, member: u8, delivered: Position, read: Position) -> bool {
        let head = self.messages.head;
        let member = self.member_mut(member);
        member.is_some_and(|member| member.advance(delivered, read, head))
    }

    /// Takes over what a member does; answers whether that is news.
    pub(super) fn signal(&mut self, member: u8, signal: Signal) -> bool {
        if let Signal::Cursors { delivered, read } = signal {
            return self.advance(member, delivered, read);
        }
        let has_ended = self.end.is_some();
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

    /// The cursors that changed since the last call.
    pub(super) fn take_dirty_cursors(&mut self) -> Vec<Cursors> {
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

    /// The chat has ended; answers whether that is news.
    pub(super) fn set_end(&mut self, end: ChatEnd) -> bool {
        let is_news = self.end.is_none();
        if is_news {
            self.end = Some(end);
        }
        is_news
    }

    /// Whether some member is, or may be, connected to another node: whoever is not connected here.
    pub(super) fn may_be_shared(&self) -> bool {
        let may_be_elsewhere = |member: &MemberState| {
            member.home() != Home::Here || member.seat().0 == SeatState::Held
        };
        self.members.iter().any(may_be_elsewhere)
    }

    /// Whether every member is connected to another node.
    pub(super) fn are_all_elsewhere(&self) -> bool {
        let is_there = |member: &MemberState| matches!(member.home(), Home::There(_));
        self.members.iter().all(is_there)
    }

    /// Whether the last check is this long ago; if so, there is one now.
    pub(super) fn is_check_due(&mut self, now: UnixMs, every: Duration) -> bool {
        let is_due = now >= self.checked_at + every.as_millis() as u64;
        if is_due {
            self.checked_at = now;
        }
        is_due
    }

    /// Counts those members who are here in a chat that goes on; answers by how many the count changes.
    pub(super) fn recount(&mut self) -> i32 {
        let goes_on = self.end.is_none();
        let recount =
            |member: &mut MemberState| member.count(goes_on && member.home() == Home::Here);
        self.members.iter_mut().map(recount).sum()
    }

    /// What the passing of time asks for: the end of the chat, if it is due. The seats of members on
    /// other nodes are held longer by `patience`.
    pub(super) fn due_end(
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

    /// Tells the members when the chat ends if nobody speaks.
    pub(super) fn set_idle_notice(&mut self, rules: &ChatRules) {
        self.idle
            .set(self.last_spoke + rules.idle_end.as_millis() as u64);
    }

    /// The members as `Welcome` and `Matched` show them.
    pub(super) fn shown(&self) -> impl Iterator<Item = Member> + '_ {
        self.members.iter().map(MemberState::shown)
    }

    /// How many messages of others `me` has not read.
    pub(super) fn unread(&self, me: u8) -> u32 {
        let read = self.members.get(usize::from(me));
        let read = read.map_or(0, |member| member.cursors().1.seq);
        self.messages.unread(me, read)
    }

    /// A view of a client that was just told [`Self::shown`]; deletions and the end are to come.
    pub(super) fn view(&self) -> View {
        View {
            members: self.members.iter().map(MemberState::seen).collect(),
            deleted: 0,
            idle: if self.idle.value == 0 {
                self.idle.version
            } else {
                self.idle.version.wrapping_sub(1)
            },
            has_end: false,
        }
    }

    /// Appends to `out` what `me` has not been told, and brings the view up to date.
    pub(super) fn changes(&self, me: u8, view: &mut View, out: &mut Vec<ServerFrame>) {
        let chat = self.chat;
        let deleted = self.messages.deleted.iter().skip(view.deleted);
        out.extend(deleted.map(|&position| Deleted { chat, position }.into()));
        view.deleted = self.messages.deleted.len();
        let seen = view.members.iter_mut();
        for ((index, member), seen) in (0..).zip(&self.members).zip(seen) {
            if index != me {
                member.changes(chat, index, seen, out);
            }
        }
        if let Some(&ends_at_ms) = self.idle.unseen(&mut view.idle) {
            out.push(Idle { chat, ends_at_ms }.into());
        }
        if let (Some(end), false) = (self.end, view.has_end) {
            view.has_end = true;
            let ended = Ended {
                chat,
                reason: end.reason,
                member: end.member,
                expires_at_ms: end.expires_at,
            };
            out.push(ended.into());
        }
    }

    /// The members, by index.
    pub(super) fn members(&self) -> &[MemberState] {
        &self.members
    }

    /// The members, by index.
    pub(super) fn members_mut(&mut self) -> &mut [MemberState] {
        &mut self.members
    }

    /// A member, if there is one with this index.
    pub(super) fn member_mut(&mut self, member: u8) -> Option<&mut MemberState> {
        self.members.get_mut(usize::from(member))
    }
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Tell the members that the chat is about to end.
    IdleNotice,
    /// End the chat.
    End(EndReason, Option<u8>),
}

#[cfg(test)]
mod tests;
