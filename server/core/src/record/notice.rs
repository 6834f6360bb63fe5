//! Notices between nodes.

use nowrong_protocol::{
    ChatId, CloseCode, ErrorCode, Position, TicketId, UserId,
    frame::{PresenceState, SeatState},
};
use serde::{Deserialize, Serialize};

use super::{ChatEnd, Generation, StoredMessage, UnixMs};

/// A notice from one node to another.
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
    /// The sending node follows the chat from now on.
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
    /// A member's signal: the latest wins.
    Signal {
        /// The chat.
        chat: ChatId,
        /// Index of the member.
        member: u8,
        /// What.
        signal: Signal,
    },
    /// Two tickets were matched and opened a chat.
    Matched {
        /// The ticket, which belongs to a user of the receiving node.
        ticket: TicketId,
        /// That user.
        user: UserId,
        /// The chat.
        chat: ChatId,
    },
    /// An offer failed: the ticket goes back to the queue, or ends.
    TicketBack {
        /// The ticket, which belongs to a user of the receiving node.
        ticket: TicketId,
        /// That user.
        user: UserId,
        /// Why it ends; `None` when it continues to wait.
        end: Option<ErrorCode>,
    },
    /// The user has another connection now, or the account no longer exists.
    Kick {
        /// The user.
        user: UserId,
        /// The close code for the connection.
        code: CloseCode,
    },
    /// The account is being erased: the user's ticket ends and the connection closes.
    Depart {
        /// The user.
        user: UserId,
    },
    /// The tokens of an account were revoked: a connection that was opened under an earlier generation
    /// closes.
    Revoked {
        /// The user.
        user: UserId,
        /// The generation of the account now.
        generation: Generation,
    },
}

/// A signal of a member.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// The member's seat.
    Seat {
        /// Taken, held or free.
        state: SeatState,
        /// Until when it is held.
        held_until: UnixMs,
    },
    /// How far the member has received and read.
    Cursors {
        /// The newest message that has reached the member.
        delivered: Position,
        /// The newest message that the member has read.
        read: Position,
    },
    /// Whether the member is typing.
    Typing(bool),
    /// Whether the member is looking at the chat.
    Presence(PresenceState),
}
