//! What nodes tell each other.

use nowrong_protocol::{
    ChatId, CloseCode, ErrorCode, Position, TicketId, UserId,
    frame::{PresenceState, SeatState},
};
use serde::{Deserialize, Serialize};

use super::{ChatEnd, StoredMessage, UnixMs};

/// What one node tells another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// A message has a position. Its body is sealed.
    Message(StoredMessage),
    /// All messages of the chat up to this position are durable.
    Durable {
        /// The chat.
        chat: ChatId,
        /// The newest of them.
        position: Position,
    },
    /// The teller follows the chat from now on.
    Follows {
        /// The chat.
        chat: ChatId,
    },
    /// A message was deleted.
    Deleted {
        /// The chat.
        chat: ChatId,
        /// Where it stands.
        position: Position,
    },
    /// The chat has ended.
    Ended {
        /// The chat.
        chat: ChatId,
        /// How.
        end: ChatEnd,
    },
    /// What a member does: the latest wins.
    Signal {
        /// The chat.
        chat: ChatId,
        /// Index of the member.
        member: u8,
        /// What.
        signal: Signal,
    },
    /// Two tickets have become a chat.
    Matched {
        /// The ticket of a user of the node that is told.
        ticket: TicketId,
        /// That user.
        user: UserId,
        /// The chat.
        chat: ChatId,
    },
    /// An offer failed: the ticket goes back, or ends.
    TicketBack {
        /// The ticket of a user of the node that is told.
        ticket: TicketId,
        /// That user.
        user: UserId,
        /// Why it ends; `None` when it waits on.
        end: Option<ErrorCode>,
    },
    /// Another connection speaks for the user now, or the account is gone.
    Kick {
        /// The user.
        user: UserId,
        /// What the connection that is closed is told.
        code: CloseCode,
    },
    /// The account is being erased: the user's ticket ends and the connection closes.
    Depart {
        /// The user.
        user: UserId,
    },
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// The member's seat.
    Seat {
        /// Taken, held or free.
        state: SeatState,
        /// Until when it is held.
        held_until: UnixMs,
    },
    /// How far the member has come.
    Cursors {
        /// The newest message that has reached the member.
        delivered: Position,
        /// The newest message that the member has read.
        read: Position,
    },
    /// Whether the member writes.
    Typing(bool),
    /// Whether the member looks at the chat.
    Presence(PresenceState),
}
