//! A chat, as seen by one of its members.

use nowrong_protocol::{
    ChatId, ClientMessageId, Position,
    frame::{Body, ChatState, EndReason, Ended, Message, Page, PresenceState, SeatState},
};
use tokio::sync::{broadcast, mpsc};

use crate::{
    Error, Ticket,
    client::command::{Command, Request, Signal, ask},
};

/// How many events a handle may lag behind before it must look at the whole chat again.
pub(crate) const EVENTS_MAX: usize = 256;

/// A chat. Cheap to clone; each clone gets the events from the moment it was made.
#[derive(Debug)]
pub struct Chat {
    pub(crate) state: ChatState,
    pub(crate) events: broadcast::Receiver<ChatEvent>,
    pub(crate) commands: mpsc::Sender<Command>,
}

/// Something happened in a chat.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// A message of the partner, or one of our own that another connection sent.
    Message(Message),
    /// A message was deleted for all members.
    Deleted(Position),
    /// Messages after this position are void: they did not survive a restart of the server.
    Truncated(Position),
    /// A member's seat changed.
    Seat {
        /// Index of the member.
        member: u8,
        /// How it is now.
        state: SeatState,
        /// When the seat is given up, in milliseconds since the Unix epoch; 0 unless it is held.
        held_until_ms: u64,
    },
    /// No member has said anything for a while: the chat ends at this time, in milliseconds since
    /// the Unix epoch; 0 when it continues after all.
    Idle(u64),
    /// A member is typing, or stopped. Lapses after 5 s.
    Typing {
        /// Index of the member.
        member: u8,
        /// Whether the member is typing.
        is_typing: bool,
    },
    /// A member is looking at the chat, or has turned away.
    Presence {
        /// Index of the member.
        member: u8,
        /// How it is now.
        state: PresenceState,
    },
    /// How far a member has received and read.
    Cursor {
        /// Index of the member.
        member: u8,
        /// The newest message that reached the member.
        delivered: Position,
        /// The newest message that the member has read.
        read: Position,
    },
    /// The chat has ended.
    Ended {
        /// Why.
        reason: EndReason,
        /// Index of the member who ended it, if one did.
        member: Option<u8>,
        /// When it is erased, in milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// The chat was erased while this client was away: drop it. The last event.
    Gone,
    /// This handle did not keep up and missed this many events: [`Chat::view`] has everything.
    Missed(u64),
}

/// A message to send. A `&str` or `String` converts into one.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Chosen by the client when `None`. Sending the same id again is the same message.
    pub client_message_id: Option<ClientMessageId>,
    /// The message that this one replies to.
    pub reply_to: Option<Position>,
    /// What it says.
    pub body: Body,
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Self {
            client_message_id: None,
            reply_to: None,
            body: Body::Text(text),
        }
    }
}

/// A message that the server accepted and made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its own id.
    pub client_message_id: ClientMessageId,
    /// Where it stands.
    pub position: Position,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Everything about a chat, at one moment.
#[derive(Clone, Debug)]
pub struct ChatView {
    /// The newest snapshot, with the members' seats and cursors as they are now.
    pub state: ChatState,
    /// The messages that are held, in order.
    pub messages: Vec<Message>,
    /// How it ended, if it did.
    pub end: Option<Ended>,
    /// How many messages are waiting to be sent or acked.
    pub unsent: usize,
    /// Everything that came over the wire, in order of arrival, before anything was sorted or
    /// dropped: for tests of a server's promises. Empty unless
    /// [`ConnectOptions::is_recording`](crate::ConnectOptions) is on.
    #[cfg(any(test, feature = "testing"))]
    pub record: Vec<Recorded>,
}

/// One thing about a chat that came over the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    not(any(test, feature = "testing")),
    expect(unreachable_pub, reason = "exported with the feature `testing`")
)]
pub enum Recorded {
    /// An `Ack`.
    Acked(Sent),
    /// A `Message`.
    Received {
        /// Of which member.
        member: u8,
        /// Its own id.
        client_message_id: ClientMessageId,
        /// Where it stands.
        position: Position,
    },
    /// A `Welcome` that resumes the chat after this position.
    Resumed(Position),
}

impl Clone for Chat {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            events: self.events.resubscribe(),
            commands: self.commands.clone(),
        }
    }
}

impl Chat {
    /// Its id.
    pub fn id(&self) -> ChatId {
        self.state.chat
    }

    /// The chat as it was when this handle was made: the members, why they were matched.
    pub fn state(&self) -> &ChatState {
        &self.state
    }

    /// The index of this user among the members.
    pub fn you(&self) -> u8 {
        self.state.you
    }

    /// The next event; `None` when the client is closed and all events are read.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing.
    pub async fn next_event(&mut self) -> Option<ChatEvent> {
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(ChatEvent::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next message, skipping other events; `None` when the chat is over.
    ///
    /// # Cancel safety
    /// A dropped future loses no message.
    pub async fn next_message(&mut self) -> Option<Message> {
        loop {
            match self.next_event().await? {
                ChatEvent::Message(message) => return Some(message),
                ChatEvent::Ended { .. } | ChatEvent::Gone => return None,
                _ => {}
            }
        }
    }

    /// Sends a message and waits until it is durable. While the connection is lost the message
    /// waits, and it is sent again on the next connection. A message that the server finds too fast, or
    /// cannot take right now, waits too and is sent again: the partner may see it already.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::NoReply`] or [`Error::Closed`] it is unknown whether the server
    /// has the message: send it again with the same id.
    ///
    /// # Cancel safety
    /// Dropping the future does not withdraw the message.
    pub async fn send(&self, message: impl Into<Outgoing>) -> Result<Sent, Error> {
        let (chat, message) = (self.id(), message.into());
        ask(&self.commands, |answer| {
            Command::Send(chat, message, answer)
        })
        .await
    }

    /// Deletes one's own message for all members.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, position: Position) -> Result<(), Error> {
        self.carry(Request::Delete(self.id(), position)).await
    }

    /// Ends the chat.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn leave(&self) -> Result<(), Error> {
        self.carry(Request::Leave(self.id())).await
    }

    /// Ends the chat, and never matches the user with this partner again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn block(&self) -> Result<(), Error> {
        self.carry(Request::Block(self.id())).await
    }

    /// Ends the chat and waits for another partner in its category.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn next(&self) -> Result<Ticket, Error> {
        let request = Request::Next(self.id());
        ask(&self.commands, |answer| Command::Queue(request, answer)).await
    }

    /// Messages before a position (or the newest), ascending, 1 to 100 of them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn history(&self, before: Option<Position>, limit: u16) -> Result<Page, Error> {
        let request = Request::History(self.id(), before, limit);
        ask(&self.commands, |answer| Command::Page(request, answer)).await
    }

    /// Tells the server that everything up to this position was read. Repeated after a lost
    /// connection.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn read(&self, position: Position) -> Result<(), Error> {
        self.signal(Signal::Read(position)).await
    }

    /// Tells whether the user is typing. May be lost; repeat it every few seconds.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn typing(&self, is_typing: bool) -> Result<(), Error> {
        self.signal(Signal::Typing(is_typing)).await
    }

    /// Tells whether the user is looking at the chat. May be lost.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn presence(&self, state: PresenceState) -> Result<(), Error> {
        self.signal(Signal::Presence(state)).await
    }

    /// Everything about the chat, now.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client is closed.
    pub async fn view(&self) -> Result<ChatView, Error> {
        let chat = self.id();
        let view = ask(&self.commands, |answer| Command::View(chat, answer)).await?;
        Ok(*view)
    }

    async fn carry(&self, request: Request) -> Result<(), Error> {
        ask(&self.commands, |answer| Command::Carry(request, answer)).await
    }

    async fn signal(&self, signal: Signal) -> Result<(), Error> {
        let command = Command::Signal(self.id(), signal);
        self.commands
            .send(command)
            .await
            .map_err(|_| Error::Closed { code: None })
    }
}
