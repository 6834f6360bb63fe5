//! The members of a chat, as this node sees them: seats, cursors, signals, and where they are.

use nowrong_protocol::{
    ChatId, Position, ServerFrame,
    frame::{Member, MemberPresence, MemberTyping, PresenceState, ReadCursor, Seat, SeatState},
};

use super::state::HeardReply;
use crate::{
    chat_log::{Resume, resume_point},
    node::NodeId,
    record::{ChatMember, Epoch, Signal, UnixMs},
};

/// Where a member is connected, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Not known.
    Unknown,
    /// On this node, now or at last.
    Here,
    /// On another node.
    There(NodeId),
}

/// One member.
#[derive(Debug)]
pub struct MemberState {
    name: String,
    language: String,
    seat: Versioned<(SeatState, UnixMs)>,
    cursors: Versioned<(Position, Position)>,
    are_cursors_dirty: bool,
    typing: Versioned<bool>,
    presence: Versioned<PresenceState>,
    home: Home,
    /// Whether this node counts the member in the presence counts.
    is_counted: bool,
}

/// A value with the number of its changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Versioned<T> {
    pub(super) value: T,
    pub(super) version: u32,
}

impl<T: PartialEq> Versioned<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value, version: 0 }
    }

    pub(super) fn set(&mut self, value: T) -> bool {
        let is_new = self.value != value;
        if is_new {
            self.value = value;
            self.version = self.version.wrapping_add(1);
        }
        is_new
    }

    /// The value, if it changed since the version in `seen`.
    pub(super) fn unseen(&self, seen: &mut u32) -> Option<&T> {
        (*seen != self.version).then(|| {
            *seen = self.version;
            &self.value
        })
    }

    /// A version that has not seen this value.
    pub(super) fn before(&self) -> u32 {
        self.version.wrapping_sub(1)
    }
}

/// A client's knowledge of a member.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenMember {
    seat: u32,
    cursors: u32,
    typing: u32,
    presence: u32,
}

impl MemberState {
    /// A member without a connection, whose seat is held.
    pub(super) fn new(stored: &ChatMember, epochs: &[Epoch], held_until: UnixMs) -> Self {
        let valid = |cursor| valid_cursor(epochs, cursor);
        Self {
            name: stored.name.clone(),
            language: stored.language.clone(),
            seat: Versioned::new((SeatState::Held, held_until)),
            cursors: Versioned::new((valid(stored.delivered), valid(stored.read))),
            are_cursors_dirty: false,
            typing: Versioned::new(false),
            presence: Versioned::new(PresenceState::Active),
            home: Home::Unknown,
            is_counted: false,
        }
    }

    /// Where the member is.
    pub fn home(&self) -> Home {
        self.home
    }

    /// Sets where the member is.
    pub fn set_home(&mut self, home: Home) {
        self.home = home;
    }

    /// Counts the member here, or stops counting; returns by how many the count changes.
    pub fn count(&mut self, is_counted: bool) -> i32 {
        let was_counted = std::mem::replace(&mut self.is_counted, is_counted);
        i32::from(is_counted) - i32::from(was_counted)
    }

    /// The seat, and until when it is held.
    pub fn seat(&self) -> (SeatState, UnixMs) {
        self.seat.value
    }

    /// Delivered and read.
    pub fn cursors(&self) -> (Position, Position) {
        self.cursors.value
    }

    /// The connection came, or was lost, or the member left. Returns whether that is news.
    ///
    /// Who has no connection does not look at the chat; who comes back does, until the client says
    /// otherwise.
    pub fn set_seat(&mut self, state: SeatState, held_until: UnixMs) -> bool {
        self.typing.set(false);
        let before = self.seat.value.0;
        match state {
            SeatState::Held => self.presence.set(PresenceState::Away),
            SeatState::Taken if before != state => self.presence.set(PresenceState::Active),
            _ => false,
        };
        self.seat.set((state, held_until))
    }

    /// The member is typing, or stopped. Repetitions count: the other side lets a typing signal
    /// lapse.
    pub fn set_typing(&mut self, is_typing: bool) -> bool {
        if is_typing {
            self.typing.value = false;
        }
        self.typing.set(is_typing)
    }

    /// The member is looking at the chat, or has turned away.
    pub fn set_presence(&mut self, state: PresenceState) -> bool {
        self.presence.set(state)
    }

    /// Moves the cursors forward, never back. Both name messages of the chat.
    pub(super) fn advance(&mut self, delivered: Position, read: Position) -> bool {
        let read = self.cursors.value.1.max(read);
        let delivered = self.cursors.value.0.max(delivered).max(read);
        self.cursors.set((delivered, read))
    }

    /// Marks the cursors as not stored.
    pub fn mark_dirty(&mut self) {
        self.are_cursors_dirty = true;
    }

    /// The cursors, if they are not stored and were not taken since.
    pub fn take_dirty(&mut self) -> Option<(Position, Position)> {
        std::mem::take(&mut self.are_cursors_dirty).then_some(self.cursors.value)
    }

    /// Everything that another node must learn about a member who is here.
    pub fn signals(&self) -> Vec<Signal> {
        let (state, held_until) = self.seat.value;
        let (delivered, read) = self.cursors.value;
        vec![
            Signal::Seat { state, held_until },
            Signal::Presence(self.presence.value),
            Signal::Cursors { delivered, read },
        ]
    }

    /// The notice for a node that holds a seat although the member is connected here.
    pub(super) fn reply_to_holder(
        &self,
        is_ours: bool,
        seat: Option<SeatState>,
    ) -> Option<HeardReply> {
        let is_missed =
            is_ours && seat == Some(SeatState::Held) && self.seat().0 == SeatState::Taken;
        is_missed.then(|| HeardReply::Signals(self.signals()))
    }

    /// The member as `Welcome` and `Matched` show it.
    pub(super) fn shown(&self) -> Member {
        let (seat, held_until) = self.seat.value;
        Member {
            name: self.name.clone(),
            language: self.language.clone(),
            seat,
            held_until_ms: shown_until(seat, held_until),
            delivered: self.cursors.value.0,
            read: self.cursors.value.1,
        }
    }

    /// The view of a client that has just received [`Self::shown`]; the rest is still unseen.
    pub(super) fn seen(&self) -> SeenMember {
        let typing = if self.typing.value {
            self.typing.before()
        } else {
            self.typing.version
        };
        let presence = if self.presence.value == PresenceState::Active {
            self.presence.version
        } else {
            self.presence.before()
        };
        SeenMember {
            seat: self.seat.version,
            cursors: self.cursors.version,
            typing,
            presence,
        }
    }

    /// Appends to `out` everything that a client does not know of this member.
    pub(super) fn changes(
        &self,
        chat: ChatId,
        member: u8,
        seen: &mut SeenMember,
        out: &mut Vec<ServerFrame>,
    ) {
        if let Some(&(state, until)) = self.seat.unseen(&mut seen.seat) {
            let seat = Seat {
                chat,
                member,
                state,
                held_until_ms: shown_until(state, until),
            };
            out.push(seat.into());
        }
        if let Some(&(delivered, read)) = self.cursors.unseen(&mut seen.cursors) {
            let cursor = ReadCursor {
                chat,
                member,
                delivered,
                read,
            };
            out.push(cursor.into());
        }
        if let Some(&is_typing) = self.typing.unseen(&mut seen.typing) {
            let typing = MemberTyping {
                chat,
                member,
                is_typing,
            };
            out.push(typing.into());
        }
        if let Some(&state) = self.presence.unseen(&mut seen.presence) {
            let presence = MemberPresence {
                chat,
                member,
                state,
            };
            out.push(presence.into());
        }
    }
}

/// A stored cursor, without the messages that are void. How far the log goes is not known yet.
fn valid_cursor(epochs: &[Epoch], cursor: Position) -> Position {
    match resume_point(epochs, cursor, Position::new(u32::MAX, u64::MAX)) {
        Resume::From(position) => position,
        Resume::Beyond => Position::START,
    }
}

/// The time until which a seat is held, as shown to a client.
fn shown_until(seat: SeatState, until: UnixMs) -> UnixMs {
    match seat {
        SeatState::Held => until,
        _ => 0,
    }
}
