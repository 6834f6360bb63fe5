//! What people did, saw and were told: the only input of the checker. Plain data.
//!
//! A [`Diary`] is kept by one person of the harness and holds nothing from inside the servers. Times
//! count from the start of the run and are of one clock, so they compare across diaries.

use std::time::Duration;

use nowrong_client::{Recorded, Sent};
use nowrong_protocol::{ChatId, ClientMessageId, Position, TicketId};

/// Everything about one person.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// The name, which is unique.
    pub name: String,
    /// `13-17` or `18+`.
    pub age_bracket: String,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// What came over the wire about chats: one for each chat and each client that was in it.
    pub sights: Vec<Sight>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What can happen to a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Asked for a place in a queue.
    Joining,
    /// The connection was lost meanwhile, so the client has asked again: the first request may have made a
    /// ticket of which nobody heard.
    AskedAgain,
    /// Was told that the request failed for now: it may have made a ticket all the same, when the server had to
    /// give up waiting for its store or its broker.
    JoinFailed,
    /// Got the place.
    Queued(TicketId),
    /// Was told that the place was given up.
    Cancelled(TicketId),
    /// Was told of a chat.
    Matched(Encounter),
    /// Was told that a message is sent and durable.
    Told(ChatId, Line),
    /// Asked for the end of a chat: from now on it may be over.
    Parting(ChatId),
    /// Was told that the partner of this chat is blocked.
    Blocked(ChatId),
    /// Was told that a chat is over.
    Ended(ChatId),
    /// Waited long for something that came, or gave up: what the person's client did meanwhile.
    Waited(Waited),
    /// Waited in vain for longer than any fault lasts.
    Stuck(String),
}

/// A long wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Waited {
    /// For how long.
    pub took: Duration,
    /// What the client tried and what was refused meanwhile, each with its time since the start of the run.
    pub steps: Vec<(Duration, String)>,
}

/// A chat, as it was shown to a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Encounter {
    /// Which chat.
    pub chat: ChatId,
    /// The ticket that became it, where known.
    pub ticket: Option<TicketId>,
    /// The names of its members.
    pub members: Vec<String>,
}

/// A message without its text: its sender, its id, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Index of its sender.
    pub member: u8,
    /// The sender's id of it.
    pub id: ClientMessageId,
    /// Where it stands.
    pub position: Position,
}

/// What one client saw of one chat.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Which chat.
    pub chat: ChatId,
    /// Index of this person among its members.
    pub you: u8,
    /// When this was written down.
    pub at: Duration,
    /// What came over the wire, in order, over all connections of the client.
    pub wire: Vec<Recorded>,
    /// What the client held at the end.
    pub held: Vec<Line>,
    /// What the server had of the chat, where it could be asked.
    pub reading: Option<Reading>,
}

/// A chat, read back from its first message to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When the server was asked: every message reported as sent before must be included.
    pub asked: Duration,
    /// The messages, as they came.
    pub lines: Vec<Line>,
    /// Whether the chat was still open and everything was quiet by then, so that both members must
    /// hold the same.
    pub is_settled: bool,
}

/// What was left after everybody had left.
#[derive(Clone, Debug, Default)]
pub struct Aftermath {
    /// Categories in which people still waited: the node that said so, the category, how many.
    pub waiting: Vec<(String, String, u32)>,
    /// People who joined then, two for each category.
    pub probes: Vec<Probe>,
}

/// Two people who joined an empty category, the second long after the first.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Where.
    pub category: String,
    /// Whom the first met before the second came.
    pub met_alone: Option<String>,
    /// Whether they met in the end, and if not what happened.
    pub meeting: Result<(), String>,
}

impl Line {
    /// The line of a message that this member sent.
    pub fn of(member: u8, sent: &Sent) -> Self {
        Self {
            member,
            id: sent.client_message_id,
            position: sent.position,
        }
    }
}
