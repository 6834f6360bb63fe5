//! Requests that wait for their reply, or for the next connection to be sent.

use std::{collections::BTreeMap, time::Instant};

use nowrong_protocol::{ClientFrame, frame::Page, limits::REPLY_DEADLINE};

use super::command::{Answer, Request};
use crate::{Error, Ticket};

/// Where the reply to a request goes, by its kind.
#[derive(Debug)]
pub(super) enum Reply {
    Ticket(Answer<Ticket>),
    Done(Answer<()>),
    Page(Answer<Page>),
}

impl Reply {
    /// Reports that the request failed.
    pub(super) fn fail(self, error: Error) {
        // The asker may have left: then nobody needs to know.
        match self {
            Self::Ticket(answer) => drop(answer.send(Err(error))),
            Self::Done(answer) => drop(answer.send(Err(error))),
            Self::Page(answer) => drop(answer.send(Err(error))),
        }
    }

    /// Reports that the request was carried out, to an asker that expects no more than that.
    pub(super) fn done(self) {
        match self {
            Self::Done(answer) => drop(answer.send(Ok(()))),
            other => other.fail(Error::Lost),
        }
    }
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) reply: Reply,
    /// When its asker gets [`Error::NoReply`].
    deadline: Instant,
    /// Whether it was sent, on this connection or on one that was lost.
    pub(super) is_sent: bool,
}

/// The requests of one client. There are at most as many as handles that wait.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: BTreeMap<u32, Pending>,
    last_id: u32,
}

impl Requests {
    /// An id that no request under way has.
    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Accepts a request; returns its frame if it should be sent now.
    pub(super) fn add(
        &mut self,
        request: Request,
        reply: Reply,
        is_open: bool,
        now: Instant,
    ) -> Option<ClientFrame> {
        let id = self.next_id();
        let frame = is_open.then(|| request.frame(id));
        let deadline = now + REPLY_DEADLINE;
        self.pending.insert(
            id,
            Pending {
                request,
                reply,
                deadline,
                is_sent: is_open,
            },
        );
        frame
    }

    /// The request with this id gets its reply.
    pub(super) fn take(&mut self, id: u32) -> Option<Pending> {
        self.pending.remove(&id)
    }

    /// Takes out all requests, in the order they were made: a new connection has to judge them.
    pub(super) fn take_all(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.pending).into_values().collect()
    }

    /// Fails the requests that waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let due = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now);
        let due: Vec<_> = due.map(|(id, _)| *id).collect();
        for pending in due.into_iter().filter_map(|id| self.pending.remove(&id)) {
            pending.reply.fail(Error::NoReply);
        }
    }

    /// When [`Self::expire`] next has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }
}
