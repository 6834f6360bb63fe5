//! A chat, as who takes part in it sees it.

use nowrong_protocol::{
    ChatId, ClientMessageId, Position,
    frame::{Body, ChatState, EndReason, Ended, Message, Page, PresenceState, SeatState},
};
use tokio::sync::{broadcast, mpsc};

use crate::{
    Error, Ticket,
    client::command::{Command, Request, Signal, ask},
};

/// Events that a handle may lag behind before it is told to look at the whole chat again.
pub(crate) const EVENTS_MAX: usize = 256;

/// A chat. Cheap to clone; each clone gets the events from its making on.
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
    /// A message was deleted for all.
    Deleted(Position),
    /// Messages after this position are void: they did not outlive a restart of the server.
    Truncated(Position),
    /// A member's seat changed.
    Seat {
        /// Index of the member.
        member: u8,
        /// How it is now.
        state: SeatState,
        /// When a held seat is given up, in milliseconds since the Unix epoch; 0 unless held.
        held_until_ms: u64,
    },
    /// Nobody has said anything for a while: the chat ends at this time, in milliseconds since the
    /// Unix epoch; 0 when it goes on after all.
    Idle(u64),
    /// A member types, or stopped. Lapses after 5 s.
    Typing {
        /// Index of the member.
        member: u8,
        /// Whether the member types.
        is_typing: bool,
    },
    /// A member looks at the chat, or turned away.
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
    /// The chat was erased while we were away: drop it. The last event.
    Gone,
    /// This handle did not keep up and missed as many events: [`Chat::view`] has everything.
    Missed(u64),
}

/// A message to send. A `&str` or `String` is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Chosen by the client when `None`. Sending the same id again is the same message.
    pub client_message_id: Option<ClientMessageId>,
    /// The message that this one answers.
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

/// A message that the server took and made durable.
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
    /// As in the newest snapshot, with the members' seats and cursors as they are now.
    pub state: ChatState,
    /// The messages that are held, in order.
    pub messages: Vec<Message>,
    /// How it ended, if it did.
    pub end: Option<Ended>,
    /// How many messages wait to be sent or acked.
    pub unsent: usize,
    /// What came over the wire, in the order it came, before anything was sorted or dropped: for
    /// tests of what a server promises. Empty unless
    /// [`ConnectOptions::is_recording`](crate::ConnectOptions) is on.
    pub record: Vec<Recorded>,
}

/// One thing about a chat that came over the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// A `Welcome` that takes the chat up again after this position.
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

    /// The next message, passing over other events; `None` when the chat is over.
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

    /// Sends a message and waits until it is durable. While the connection is lost the message waits,
    /// and goes out again on the next one. A message that the server finds too fast waits too.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::NoReply`] or [`Error::Closed`] it is unknown whether the server has
    /// it: send it again with the same id.
    ///
    /// # Cancel safety
    /// A dropped future does not take the message back.
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

    /// Ends the chat and never meets this partner again.
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

    /// Says that everything up to this position was read. Told again after a lost connection.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn read(&self, position: Position) -> Result<(), Error> {
        self.signal(Signal::Read(position)).await
    }

    /// Says whether the user types. May be lost; repeat it every few seconds.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn typing(&self, is_typing: bool) -> Result<(), Error> {
        self.signal(Signal::Typing(is_typing)).await
    }

    /// Says whether the user looks at the chat. May be lost.
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
