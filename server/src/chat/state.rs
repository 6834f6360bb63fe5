//! What a node knows of one chat, without IO: messages not yet durable, seats, cursors, signals.
//!
//! Nothing here is sent to anyone. A connection holds a [`View`] of what it has told its client, and
//! [`State::changes`] gives the difference: the latest state of each thing, however often it changed
//! in between. So there is no queue, and a signal that was overtaken is simply not sent.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use nowrong_core::chat_log::Tail;
use nowrong_protocol::{
    ChatId, Position, ServerFrame,
    frame::{
        Deleted, EndReason, Ended, Idle, Member, MemberPresence, MemberTyping, PresenceState,
        ReadCursor, Seat, SeatState,
    },
    limits::CHAT_MESSAGES_MAX,
};

use super::Polled;
use crate::store::{Chat as ChatRecord, ChatEnd, Cursors, Epoch, StoredMessage, UnixMs};

/// Most messages handed to the store at once for one chat.
const PERSIST_BATCH_MAX: usize = 256;

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

/// The changing part of a chat.
pub(super) struct State {
    chat: ChatId,
    /// The newest message.
    pub(super) head: Position,
    /// Every seq up to this one is in the store.
    pub(super) durable: u64,
    /// How often the store has refused: sends that waited meanwhile have failed.
    pub(super) failures: u64,
    pub(super) epochs: Vec<Epoch>,
    pub(super) end: Option<ChatEnd>,
    pub(super) is_queued_to_persist: bool,
    members: Vec<MemberState>,
    senders: Vec<u8>,
    /// The newest frames up to the head.
    tail: Tail,
    /// Messages whose predecessor has a position and is still on its way to here.
    early: BTreeMap<u64, (StoredMessage, Bytes)>,
    /// The head when something was early at the last look.
    stuck_at: Option<u64>,
    unpersisted: BTreeMap<u64, StoredMessage>,
    deleted: Vec<Position>,
    last_spoke: UnixMs,
    idle: Versioned<UnixMs>,
}

struct MemberState {
    name: String,
    language: String,
    seat: Versioned<(SeatState, UnixMs)>,
    cursors: Versioned<(Position, Position)>,
    are_cursors_dirty: bool,
    typing: Versioned<bool>,
    presence: Versioned<PresenceState>,
}

/// A value and how often it changed.
#[derive(Clone, Copy, Default)]
struct Versioned<T> {
    value: T,
    version: u32,
}

impl<T: PartialEq> Versioned<T> {
    fn new(value: T) -> Self {
        Self { value, version: 0 }
    }

    fn set(&mut self, value: T) -> bool {
        let is_new = self.value != value;
        if is_new {
            self.value = value;
            self.version = self.version.wrapping_add(1);
        }
        is_new
    }

    /// The value, if it changed since the version that `seen` holds.
    fn unseen(&self, seen: &mut u32) -> Option<&T> {
        (*seen != self.version).then(|| {
            *seen = self.version;
            &self.value
        })
    }
}

/// What one connection has told its client about a chat.
#[derive(Default)]
pub(crate) struct View {
    members: Vec<SeenMember>,
    deleted: usize,
    idle: u32,
    has_end: bool,
}

#[derive(Clone, Default)]
struct SeenMember {
    seat: u32,
    cursors: u32,
    typing: u32,
    presence: u32,
}

impl State {
    /// The state of a chat as stored, with nobody connected: every seat is held from `now` on.
    pub(super) fn new(record: &ChatRecord, rules: &ChatRules, now: UnixMs) -> Self {
        let held_until = now + rules.seat_hold.as_millis() as u64;
        Self {
            chat: record.id,
            head: Position::START,
            durable: 0,
            failures: 0,
            epochs: record.epochs.clone(),
            end: record.end,
            is_queued_to_persist: false,
            members: record
                .members
                .iter()
                .map(|member| MemberState {
                    name: member.name.clone(),
                    language: member.language.clone(),
                    seat: Versioned::new((SeatState::Held, held_until)),
                    cursors: Versioned::new((member.delivered, member.read)),
                    are_cursors_dirty: false,
                    typing: Versioned::new(false),
                    presence: Versioned::new(PresenceState::Active),
                })
                .collect(),
            senders: Vec::new(),
            tail: Tail::default(),
            early: BTreeMap::new(),
            stuck_at: None,
            unpersisted: BTreeMap::new(),
            deleted: Vec::new(),
            last_spoke: now,
            idle: Versioned::new(0),
        }
    }

    /// Takes a stored message into account while the log is rebuilt.
    pub(super) fn restore(&mut self, message: &StoredMessage) {
        self.set_sender(message.position.seq, message.member);
        self.head = self.head.max(message.position);
        self.tail = Tail::after(self.head.seq);
        self.durable = self.durable.max(message.position.seq);
        if message.is_deleted {
            self.deleted.push(message.position);
        }
    }

    /// Takes a message that the log has given a position, with its frame. It counts once all before
    /// it are here; answers how many messages count now that did not before.
    pub(super) fn appended(&mut self, message: StoredMessage, frame: Bytes) -> usize {
        let (before, seq) = (self.head.seq, message.position.seq);
        if seq > before + 1 {
            self.early.insert(seq, (message, frame));
            return 0;
        }
        if seq == before + 1 {
            self.take(message, frame);
        }
        while let Some((message, frame)) = self.early.remove(&(self.head.seq + 1)) {
            self.take(message, frame);
        }
        (self.head.seq - before) as usize
    }

    /// Whether a message is missing that does not come by itself: others have waited for it since the
    /// last look.
    pub(super) fn is_torn(&mut self) -> bool {
        let stuck_at = (!self.early.is_empty()).then_some(self.head.seq);
        let is_torn = stuck_at.is_some() && self.stuck_at == stuck_at;
        self.stuck_at = stuck_at;
        is_torn
    }

    /// The log goes on in this epoch. What waits behind a gap of an older one is void: who sent it is
    /// told to send again.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        self.epochs.push(epoch);
        if !self.early.is_empty() {
            self.early.clear();
            self.failures += 1;
        }
    }

    fn take(&mut self, message: StoredMessage, frame: Bytes) {
        self.head = message.position;
        self.tail.push(frame);
        self.last_spoke = self.last_spoke.max(message.at);
        self.idle.set(0);
        self.set_sender(message.position.seq, message.member);
        if let Some(member) = self.members.get_mut(usize::from(message.member)) {
            member.typing.set(false);
        }
        self.unpersisted.insert(message.position.seq, message);
    }

    /// The frames after a seq, ascending, at most `limit`; `None` when the store must be asked.
    pub(super) fn frames_after(&self, after: u64, limit: usize) -> Option<Vec<(u64, Bytes)>> {
        self.tail.frames_after(after, limit)
    }

    /// A message was deleted: its frame is another one from now on.
    pub(super) fn replace_frame(&mut self, seq: u64, frame: Bytes) {
        self.tail.replace(seq, frame);
    }

    /// How far the messages are.
    pub(super) fn polled(&self) -> Polled {
        Polled {
            head: self.head.seq,
            durable: self.durable,
            failures: self.failures,
            epoch: self.epoch(),
        }
    }

    /// The epoch in which the log gives positions.
    pub(super) fn epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    fn set_sender(&mut self, seq: u64, member: u8) {
        let index = seq.saturating_sub(1) as usize;
        if index >= CHAT_MESSAGES_MAX {
            return;
        }
        if self.senders.len() <= index {
            self.senders.resize(index + 1, u8::MAX);
        }
        self.senders[index] = member;
    }

    /// The index of the sender of a message.
    pub(super) fn sender(&self, seq: u64) -> Option<u8> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.senders
            .get(index)
            .copied()
            .filter(|member| *member != u8::MAX)
    }

    /// Whether a message waits for the store.
    pub(super) fn has_unpersisted(&self) -> bool {
        !self.unpersisted.is_empty()
    }

    /// The messages that the store should take next: the run without a gap after what it has. A
    /// later message is never durable before an earlier one.
    pub(super) fn next_batch(&self) -> Vec<StoredMessage> {
        let mut next = self.durable + 1;
        self.unpersisted
            .range(next..)
            .take(PERSIST_BATCH_MAX)
            .take_while(|(seq, _)| {
                let is_next = **seq == next;
                next += 1;
                is_next
            })
            .map(|(_, message)| message.clone())
            .collect()
    }

    /// The store has everything up to `seq`.
    pub(super) fn persisted(&mut self, seq: u64) {
        self.durable = self.durable.max(seq);
        self.unpersisted = self.unpersisted.split_off(&(self.durable + 1));
    }

    /// Where `seq` stands: the epoch in which it was given out and survived.
    pub(super) fn position_of(&self, seq: u64) -> Position {
        let epochs: Vec<_> = self
            .epochs
            .iter()
            .map(nowrong_core::chat_log::Epoch::from)
            .collect();
        nowrong_core::chat_log::locate(&epochs, seq)
    }

    /// A member's connection came, or was lost, or the member left. Answers whether that is news.
    pub(super) fn set_seat(&mut self, member: u8, state: SeatState, held_until: UnixMs) -> bool {
        self.member_mut(member).is_some_and(|member| {
            member.typing.set(false);
            member.seat.set((state, held_until))
        })
    }

    /// A member types or stopped.
    pub(super) fn set_typing(&mut self, member: u8, is_typing: bool) -> bool {
        self.member_mut(member).is_some_and(|member| {
            // Repeats count: the other side lets a typing signal lapse.
            if is_typing {
                member.typing.value = false;
            }
            member.typing.set(is_typing)
        })
    }

    /// A member looks or turned away.
    pub(super) fn set_presence(&mut self, member: u8, state: PresenceState) -> bool {
        self.member_mut(member)
            .is_some_and(|member| member.presence.set(state))
    }

    /// Moves a member's cursors forward, never back and never past the newest message.
    pub(super) fn advance(&mut self, member: u8, delivered: Position, read: Position) -> bool {
        let head = self.head;
        let Some(member) = self.member_mut(member) else {
            return false;
        };
        let read = member.cursors.value.1.max(read.min(head));
        let delivered = member.cursors.value.0.max(delivered.min(head)).max(read);
        let is_new = member.cursors.set((delivered, read));
        member.are_cursors_dirty |= is_new;
        is_new
    }

    /// The cursors that changed since the last call.
    pub(super) fn take_dirty_cursors(&mut self) -> Vec<Cursors> {
        let chat = self.chat;
        let dirty = |(index, member): (usize, &mut MemberState)| {
            let (delivered, read) = member.cursors.value;
            std::mem::take(&mut member.are_cursors_dirty).then_some(Cursors {
                chat,
                member: index as u8,
                delivered,
                read,
            })
        };
        self.members
            .iter_mut()
            .enumerate()
            .filter_map(dirty)
            .collect()
    }

    /// A message was deleted.
    pub(super) fn set_deleted(&mut self, position: Position) {
        if !self.deleted.contains(&position) {
            self.deleted.push(position);
        }
    }

    /// The chat has ended.
    pub(super) fn set_end(&mut self, end: ChatEnd) {
        if self.end.is_none() {
            self.end = Some(end);
        }
    }

    /// What the passing of time asks for: the end of the chat, if it is due.
    pub(super) fn due_end(&self, rules: &ChatRules, expires_at: UnixMs, now: UnixMs) -> Due {
        if self.end.is_some() {
            return Due::Nothing;
        }
        if now >= expires_at {
            return Due::End(EndReason::Expired, None);
        }
        let gone = self.members.iter().position(|member| {
            let (seat, until) = member.seat.value;
            seat == SeatState::Held && now >= until
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
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.members.iter().map(|member| Member {
            name: member.name.clone(),
            language: member.language.clone(),
            seat: member.seat.value.0,
            held_until_ms: if member.seat.value.0 == SeatState::Held {
                member.seat.value.1
            } else {
                0
            },
            delivered: member.cursors.value.0,
            read: member.cursors.value.1,
        })
    }

    /// How many messages of others `me` has not read.
    pub(super) fn unread(&self, me: u8) -> u32 {
        let read = self
            .members
            .get(usize::from(me))
            .map_or(0, |member| member.cursors.value.1.seq);
        let unread = self
            .senders
            .iter()
            .skip(read as usize)
            .filter(|sender| **sender != me);
        unread.count() as u32
    }

    /// A view of a client that was just told [`Self::members`]; deletions and the end are to come.
    pub(super) fn view(&self) -> View {
        let seen = |member: &MemberState| SeenMember {
            seat: member.seat.version,
            cursors: member.cursors.version,
            typing: if member.typing.value {
                member.typing.version.wrapping_sub(1)
            } else {
                member.typing.version
            },
            presence: if member.presence.value == PresenceState::Active {
                member.presence.version
            } else {
                member.presence.version.wrapping_sub(1)
            },
        };
        View {
            members: self.members.iter().map(seen).collect(),
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
        for position in self.deleted.iter().skip(view.deleted) {
            out.push(
                Deleted {
                    chat,
                    position: *position,
                }
                .into(),
            );
        }
        view.deleted = self.deleted.len();
        for (index, member) in self.members.iter().enumerate() {
            if index != usize::from(me) {
                self.member_changes(index, member, view, out);
            }
        }
        if let Some(ends_at_ms) = self.idle.unseen(&mut view.idle) {
            out.push(
                Idle {
                    chat,
                    ends_at_ms: *ends_at_ms,
                }
                .into(),
            );
        }
        if let (Some(end), false) = (self.end, view.has_end) {
            view.has_end = true;
            out.push(
                Ended {
                    chat,
                    reason: end.reason,
                    member: end.member,
                    expires_at_ms: end.expires_at,
                }
                .into(),
            );
        }
    }

    fn member_changes(
        &self,
        index: usize,
        now: &MemberState,
        view: &mut View,
        out: &mut Vec<ServerFrame>,
    ) {
        let (chat, member) = (self.chat, index as u8);
        let Some(seen) = view.members.get_mut(index) else {
            return;
        };
        if let Some(&(state, until)) = now.seat.unseen(&mut seen.seat) {
            let held_until_ms = if state == SeatState::Held { until } else { 0 };
            out.push(
                Seat {
                    chat,
                    member,
                    state,
                    held_until_ms,
                }
                .into(),
            );
        }
        if let Some(&(delivered, read)) = now.cursors.unseen(&mut seen.cursors) {
            out.push(
                ReadCursor {
                    chat,
                    member,
                    delivered,
                    read,
                }
                .into(),
            );
        }
        if let Some(&is_typing) = now.typing.unseen(&mut seen.typing) {
            out.push(
                MemberTyping {
                    chat,
                    member,
                    is_typing,
                }
                .into(),
            );
        }
        if let Some(&state) = now.presence.unseen(&mut seen.presence) {
            out.push(
                MemberPresence {
                    chat,
                    member,
                    state,
                }
                .into(),
            );
        }
    }

    fn member_mut(&mut self, member: u8) -> Option<&mut MemberState> {
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
