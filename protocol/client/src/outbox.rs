//! Messages on their way to the server: sent in order, resent after a lost connection. Pure.
//!
//! A message leaves the outbox exactly once: acked, refused, or given up. Until then it is sent
//! once on each connection, always with the same id, so that the server accepts it once.

use std::{collections::VecDeque, time::Instant};

use nowrong_protocol::{
    ClientMessageId, Position,
    frame::Body,
    limits::{REPLY_DEADLINE, UNACKED_SENDS_MAX},
};

/// Most messages that wait in an outbox: more than a person writes while offline. When it is full,
/// sending fails with [`Error::OutboxFull`](crate::Error::OutboxFull).
pub const OUTBOX_MAX: usize = 1_024;

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The message's own id; sending a draft with the same id again is the same message.
    pub client_message_id: ClientMessageId,
    /// The message that this one replies to.
    pub reply_to: Option<Position>,
    /// What it says.
    pub body: Body,
}

/// The outbox of one chat. `T` is a token that the caller gets back when a message leaves.
#[derive(Debug)]
pub struct Outbox<T> {
    entries: VecDeque<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    draft: Draft,
    /// The id of its request on this connection, and when it was sent.
    sent: Option<(u32, Instant)>,
    /// Whether it was sent on this connection or an earlier one, so that the server may have it.
    was_sent: bool,
    token: T,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
        }
    }
}

impl<T> Outbox<T> {
    /// Puts a message behind the others.
    ///
    /// # Errors
    /// The token, when [`OUTBOX_MAX`] messages wait.
    pub fn push(&mut self, draft: Draft, token: T) -> Result<(), T> {
        if self.entries.len() >= OUTBOX_MAX {
            return Err(token);
        }
        self.entries.push_back(Entry {
            draft,
            sent: None,
            was_sent: false,
            token,
        });
        Ok(())
    }

    /// The next message to send, with the id of its request from `next_id`; `None` when all are
    /// sent, or when the most allowed already wait for their `Ack`.
    pub fn next(&mut self, next_id: impl FnOnce() -> u32, now: Instant) -> Option<(u32, &Draft)> {
        let unacked = self
            .entries
            .iter()
            .filter(|entry| entry.sent.is_some())
            .count();
        if unacked >= UNACKED_SENDS_MAX {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| entry.sent.is_none())?;
        let request = next_id();
        entry.sent = Some((request, now));
        entry.was_sent = true;
        Some((request, &entry.draft))
    }

    /// Takes out the message that was sent as `request`.
    pub fn settle(&mut self, request: u32) -> Option<(Draft, T)> {
        let is_it = |entry: &Entry<T>| entry.sent.is_some_and(|(sent, _)| sent == request);
        let index = self.entries.iter().position(is_it)?;
        self.entries
            .remove(index)
            .map(|entry| (entry.draft, entry.token))
    }

    /// Takes out the messages that were sent so long ago that no reply can be expected any more.
    pub fn settle_overdue(&mut self, now: Instant) -> Vec<(Draft, T)> {
        self.take_out(|entry| entry.sent.is_some_and(|(_, at)| at + REPLY_DEADLINE <= now))
    }

    /// Takes out the messages that were never sent: no server has them.
    pub fn settle_unsent(&mut self) -> Vec<(Draft, T)> {
        self.take_out(|entry| !entry.was_sent)
    }

    /// Takes out everything.
    pub fn settle_all(&mut self) -> Vec<(Draft, T)> {
        self.take_out(|_| true)
    }

    /// When [`Self::settle_overdue`] next has something to take out.
    pub fn deadline(&self) -> Option<Instant> {
        let sent = self.entries.iter().filter_map(|entry| entry.sent);
        sent.map(|(_, at)| at + REPLY_DEADLINE).min()
    }

    /// The message that was sent as `request` was not accepted: it is sent again, in its old place.
    /// Returns whether there is such a message.
    pub fn put_back(&mut self, request: u32) -> bool {
        let is_it = |entry: &&mut Entry<T>| entry.sent.is_some_and(|(sent, _)| sent == request);
        let entry = self.entries.iter_mut().find(is_it);
        entry.map(|entry| entry.sent = None).is_some()
    }

    /// The connection is lost: everything has to be sent again.
    pub fn unsend(&mut self) {
        for entry in &mut self.entries {
            entry.sent = None;
        }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn take_out(&mut self, is_due: impl Fn(&Entry<T>) -> bool) -> Vec<(Draft, T)> {
        let (due, kept) = self.entries.drain(..).partition::<VecDeque<_>, _>(is_due);
        self.entries = kept;
        due.into_iter()
            .map(|entry| (entry.draft, entry.token))
            .collect()
    }
}

#[cfg(test)]
mod tests;
