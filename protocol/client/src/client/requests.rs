//! Requests that wait for their reply, on this connection or for the next one.

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
    /// Says that it failed.
    pub(super) fn fail(self, error: Error) {
        // Who asked may have left: nobody needs to know then.
        match self {
            Self::Ticket(answer) => drop(answer.send(Err(error))),
            Self::Done(answer) => drop(answer.send(Err(error))),
            Self::Page(answer) => drop(answer.send(Err(error))),
        }
    }

    /// Says that it was carried out, to who asked for nothing more.
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
    /// Whether it went out, on this connection or one that was lost.
    pub(super) is_sent: bool,
}

/// The requests of one client. At most as many as there are handles that wait.
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

    /// Takes a request on; answers its frame when it is to go out now.
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

    /// All requests, in the order they were made: a new connection has to judge them.
    pub(super) fn take_all(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.pending).into_values().collect()
    }

    /// Fails what waited too long.
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

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }
}
