//! A place in a queue.

use nowrong_protocol::{
    TicketId,
    frame::{Stage, TicketState},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Chat, Error,
    client::command::{Command, Request, ask},
};

/// A user's place in the queue of a category. Dropping it does not give the place up: see
/// [`Self::cancel`].
#[derive(Debug)]
pub struct Ticket {
    pub(crate) state: TicketState,
    pub(crate) stage: watch::Receiver<Stage>,
    pub(crate) outcome: oneshot::Receiver<Result<Chat, Error>>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Ticket {
    /// Its id.
    pub fn id(&self) -> TicketId {
        self.state.ticket
    }

    /// The ticket as it was when it was issued.
    pub fn state(&self) -> &TicketState {
        &self.state
    }

    /// Which partners it accepts by now; changes while it waits.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Waits until a partner is found. Returns the chat once.
    ///
    /// # Errors
    /// [`Error::Refused`] when the ticket ended otherwise, [`Error::Closed`].
    ///
    /// # Cancel safety
    /// A dropped future loses nothing.
    pub async fn matched(&mut self) -> Result<Chat, Error> {
        (&mut self.outcome)
            .await
            .unwrap_or(Err(Error::Closed { code: None }))
    }

    /// Stops waiting.
    ///
    /// # Errors
    /// `TICKET_UNKNOWN` when a match came first: [`Self::matched`] has it.
    pub async fn cancel(&mut self) -> Result<(), Error> {
        let request = Request::Cancel(self.id());
        ask(&self.commands, |answer| Command::Carry(request, answer)).await
    }
}
