//! The messages of a chat that a client holds: each once, in one order. Pure.
//!
//! Messages are kept by `seq`. A rebuilt log (a newer `epoch`) assigns the seqs of void messages
//! again, so the newer position wins, both for a seq and for a message of our own. The log never
//! holds two messages with the same seq, nor the same message of a sender twice.

use std::collections::{BTreeMap, HashMap};

use nowrong_protocol::{
    ClientMessageId, Position,
    frame::{Body, Message},
};

/// The messages of one chat that a client holds, by position. At most
/// [`CHAT_MESSAGES_MAX`](nowrong_protocol::limits::CHAT_MESSAGES_MAX), which the server enforces.
#[derive(Clone, Debug, Default)]
pub struct Log {
    by_seq: BTreeMap<u64, Message>,
    by_id: HashMap<(u8, ClientMessageId), u64>,
    /// All messages from 1 to this seq are held.
    held: u64,
}

/// What a message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is new and took the place of one that is void.
    Replaced,
    /// It was held already, or is void itself.
    Known,
}

impl Log {
    /// Takes in a message from any source.
    pub fn insert(&mut self, message: Message) -> Change {
        let (position, id) = (
            message.position,
            (message.member, message.client_message_id),
        );
        if position.seq == 0 {
            return Change::Known;
        }
        let at_seq = self.by_seq.get(&position.seq).map(|held| held.position);
        let of_id = self.by_id.get(&id).and_then(|seq| self.by_seq.get(seq));
        let of_id = of_id.map(|held| held.position);
        if [at_seq, of_id]
            .iter()
            .flatten()
            .any(|held| *held >= position)
        {
            return Change::Known;
        }
        let voids = [at_seq, of_id];
        let voids: Vec<_> = voids.iter().flatten().map(|held| held.seq).collect();
        for seq in &voids {
            self.remove(*seq);
        }
        self.by_id.insert(id, position.seq);
        self.by_seq.insert(position.seq, message);
        self.advance();
        if voids.is_empty() {
            Change::Added
        } else {
            Change::Replaced
        }
    }

    /// Drops the messages with a seq over `resumed`: they were never acked and did not survive a
    /// restart. Returns whether there were any.
    pub fn truncate(&mut self, resumed: Position) -> bool {
        let void: Vec<_> = self
            .by_seq
            .range(resumed.seq + 1..)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in &void {
            self.remove(*seq);
        }
        !void.is_empty()
    }

    /// Erases the body of a message; `false` when it is not held or was erased before.
    pub fn delete(&mut self, position: Position) -> bool {
        let message = self.by_seq.get_mut(&position.seq);
        let message = message.filter(|message| message.position == position);
        match message {
            Some(message) if message.body != Body::Deleted => {
                message.body = Body::Deleted;
                true
            }
            _ => false,
        }
    }

    /// The newest position up to which messages are held without a gap; [`Position::START`] when
    /// there is none.
    pub fn held(&self) -> Position {
        self.by_seq
            .get(&self.held)
            .map_or(Position::START, |message| message.position)
    }

    /// The message at this position.
    pub fn at(&self, position: Position) -> Option<&Message> {
        self.by_seq
            .get(&position.seq)
            .filter(|message| message.position == position)
    }

    /// All messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.by_seq.values()
    }

    fn remove(&mut self, seq: u64) {
        if let Some(message) = self.by_seq.remove(&seq) {
            self.by_id
                .remove(&(message.member, message.client_message_id));
            self.held = self.held.min(seq - 1);
        }
    }

    fn advance(&mut self) {
        while self.by_seq.contains_key(&(self.held + 1)) {
            self.held += 1;
        }
    }
}

#[cfg(test)]
mod tests;
