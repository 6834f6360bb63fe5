//! The commands that handles send to the client's task.

use nowrong_protocol::{
    ChatId, ClientFrame, ErrorCode, Position, TicketId,
    frame::{Block, Cancel, Delete, History, Join, Leave, Next, Page, PresenceState, Welcome},
};
use tokio::sync::{mpsc, oneshot};

#[cfg(feature = "testing")]
use super::attempts::Attempt;
use crate::{Chat, ChatView, Error, Outgoing, Sent, Ticket, Transport};

/// Where the answer to a command goes. The asker may have left.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One command of a handle.
#[derive(Debug)]
pub(crate) enum Command {
    /// A request whose reply is a ticket.
    Queue(Request, Answer<Ticket>),
    /// A request whose reply only says that it was carried out.
    Carry(Request, Answer<()>),
    /// A request whose reply is a page of history.
    Page(Request, Answer<Page>),
    Send(ChatId, Outgoing, Answer<Sent>),
    Signal(ChatId, Signal),
    View(ChatId, Answer<Box<ChatView>>),
    Chat(Answer<Option<Box<Chat>>>),
    Ticket(Answer<Option<Ticket>>),
    Switch(Transport, Answer<()>),
    #[cfg(feature = "testing")]
    Attempts(Answer<Vec<Attempt>>),
    #[cfg(feature = "testing")]
    Cut(Answer<()>),
    Close(Answer<()>),
}

/// A request to the server, without its id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    Join {
        category: String,
        interests: Vec<String>,
    },
    Cancel(TicketId),
    Delete(ChatId, Position),
    Leave(ChatId),
    Next(ChatId),
    Block(ChatId),
    History(ChatId, Option<Position>, u16),
}

/// A cursor or signal to the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Signal {
    Read(Position),
    Typing(bool),
    Presence(PresenceState),
}

/// What became of a request that was under way when the connection was lost, judged on the next
/// connection.
#[derive(Debug, PartialEq)]
pub(crate) enum Fate {
    /// It was not carried out, or carrying it out again is harmless: send it.
    Send,
    /// It was carried out.
    Done,
    /// It was carried out, and the snapshot has its result: the ticket or the match.
    Queued,
    /// It came too late.
    Refused(ErrorCode),
    /// There is no way to tell.
    Lost,
}

impl Request {
    /// The frame of this request with the id `request`.
    pub(crate) fn frame(&self, request: u32) -> ClientFrame {
        match self.clone() {
            Self::Join {
                category,
                interests,
            } => Join {
                request,
                category,
                interests,
            }
            .into(),
            Self::Cancel(ticket) => Cancel { request, ticket }.into(),
            Self::Delete(chat, position) => Delete {
                request,
                chat,
                position,
            }
            .into(),
            Self::Leave(chat) => Leave { request, chat }.into(),
            Self::Next(chat) => Next { request, chat }.into(),
            Self::Block(chat) => Block { request, chat }.into(),
            Self::History(chat, before, limit) => History {
                request,
                chat,
                before,
                limit,
            }
            .into(),
        }
    }

    /// Judges a request that was sent on a lost connection by the snapshot of the next.
    /// `is_chat_new` says whether the snapshot's chat was unknown before.
    pub(crate) fn fate(&self, welcome: &Welcome, is_chat_new: bool) -> Fate {
        let ticket = welcome.ticket.as_ref().map(|ticket| ticket.ticket);
        let chat = welcome.chat.as_ref().map(|chat| chat.chat);
        match self {
            Self::Delete(..) | Self::History(..) => Fate::Send,
            Self::Join { .. } if ticket.is_some() || is_chat_new => Fate::Queued,
            Self::Join { .. } => Fate::Send,
            Self::Next(_) if ticket.is_some() || is_chat_new => Fate::Queued,
            Self::Next(left) | Self::Block(left) | Self::Leave(left) if chat == Some(*left) => {
                Fate::Send
            }
            Self::Leave(_) => Fate::Done,
            Self::Next(_) | Self::Block(_) => Fate::Lost,
            Self::Cancel(given_up) if ticket == Some(*given_up) => Fate::Send,
            Self::Cancel(_) if is_chat_new => Fate::Refused(ErrorCode::TICKET_UNKNOWN),
            // Cancelled, or matched in a chat that has ended meanwhile.
            Self::Cancel(_) => Fate::Lost,
        }
    }
}

/// Asks the client's task and waits for its answer.
pub(crate) async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(Answer<T>) -> Command,
) -> Result<T, Error> {
    let closed = || Error::Closed { code: None };
    let (answer, answered) = oneshot::channel();
    commands.send(command(answer)).await.map_err(|_| closed())?;
    answered.await.unwrap_or_else(|_| Err(closed()))
}
