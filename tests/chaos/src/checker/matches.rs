//! Which people were in a chat together, and when.
//!
//! News that one member got of a chat counts for the other too, who may never have heard of it. A
//! chat is certainly open from the moment when the first member was told of it until the first
//! asked to leave.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use nowrong_protocol::{ChatId, TicketId};

use super::{Breach, Promise};
use crate::diary::{Diary, Encounter, Event};

/// Finds people in two chats, and meetings that must not happen.
pub(super) fn check(diaries: &[Diary], breaches: &mut Vec<Breach>) {
    let chats = chats(diaries);
    two_chats(&chats, breaches);
    ended_by_itself(&chats, breaches);
    age_brackets(diaries, &chats, breaches);
    for diary in diaries {
        matched_twice(diary, breaches);
        cancelled(diary, &chats, breaches);
        blocked(diary, &chats, breaches);
    }
}

/// A chat, put together from all diaries.
struct Meeting<'a> {
    chat: ChatId,
    members: &'a [String],
    /// When the first member was told.
    from: Duration,
    /// When the first asked to leave.
    parting: Option<Duration>,
    /// When the first member was told that it is over.
    ended: Option<(Duration, &'a str)>,
    /// The last time at which a member was told that a message in it is sent, before it ended.
    alive: Duration,
}

impl Meeting<'_> {
    /// Until when it was certainly open.
    fn until(&self) -> Duration {
        match (self.parting, self.ended) {
            (Some(parting), _) => parting,
            (None, Some((ended, _))) => self.alive.min(ended),
            (None, None) => Duration::MAX,
        }
    }

    fn breach(&self, promise: Promise, detail: String) -> Breach {
        Breach {
            promise,
            chat: Some(self.chat),
            people: self.members.to_vec(),
            detail,
        }
    }
}

fn chats(diaries: &[Diary]) -> BTreeMap<ChatId, Meeting<'_>> {
    let mut chats: BTreeMap<ChatId, Meeting<'_>> = BTreeMap::new();
    for (_, at, event) in events(diaries) {
        if let Event::Matched(Encounter { chat, members, .. }) = event {
            let meeting = chats.entry(*chat).or_insert(Meeting {
                chat: *chat,
                members,
                from: at,
                parting: None,
                ended: None,
                alive: at,
            });
            meeting.from = meeting.from.min(at);
        }
    }
    for (name, at, event) in events(diaries) {
        let (Event::Parting(id) | Event::Ended(id) | Event::Told(id, _)) = event else {
            continue;
        };
        let Some(meeting) = chats.get_mut(id) else {
            continue;
        };
        match event {
            Event::Parting(_) => {
                meeting.parting = Some(meeting.parting.map_or(at, |before| before.min(at)));
            }
            Event::Ended(_) => {
                let is_first = meeting.ended.is_none_or(|(before, _)| at < before);
                meeting.ended = if is_first {
                    Some((at, name))
                } else {
                    meeting.ended
                };
            }
            _ => meeting.alive = meeting.alive.max(at),
        }
    }
    chats
}

fn events(diaries: &[Diary]) -> impl Iterator<Item = (&str, Duration, &Event)> {
    diaries.iter().flat_map(|diary| {
        let entries = diary.entries.iter();
        entries.map(|entry| (diary.name.as_str(), entry.at, &entry.event))
    })
}

fn two_chats(chats: &BTreeMap<ChatId, Meeting<'_>>, breaches: &mut Vec<Breach>) {
    let mut of: HashMap<&str, Vec<&Meeting<'_>>> = HashMap::new();
    for meeting in chats.values() {
        for member in meeting.members {
            of.entry(member).or_default().push(meeting);
        }
    }
    for (name, mut meetings) in of {
        meetings.sort_by_key(|meeting| meeting.from);
        for pair in meetings.windows(2) {
            let [first, second] = pair else { continue };
            if second.from < first.until() {
                let detail = format!(
                    "{name} was in {} from {:?} and also in {} from {:?}",
                    first.chat, first.from, second.chat, second.from
                );
                let mut breach = second.breach(Promise::TwoChats, detail);
                breach.people.extend(first.members.iter().cloned());
                breach.people.sort();
                breach.people.dedup();
                breaches.push(breach);
            }
        }
    }
}

fn ended_by_itself(chats: &BTreeMap<ChatId, Meeting<'_>>, breaches: &mut Vec<Breach>) {
    for meeting in chats.values() {
        if let (None, Some((at, told))) = (meeting.parting, meeting.ended) {
            let detail = format!("{told} was told at {at:?} that it is over, and nobody left");
            breaches.push(meeting.breach(Promise::EndedByItself, detail));
        }
    }
}

fn age_brackets(
    diaries: &[Diary],
    chats: &BTreeMap<ChatId, Meeting<'_>>,
    breaches: &mut Vec<Breach>,
) {
    let of = |name: &String| {
        let diary = diaries.iter().find(|diary| diary.name == *name);
        diary.map(|diary| diary.age_bracket.as_str())
    };
    for meeting in chats.values() {
        let brackets: Vec<_> = meeting.members.iter().filter_map(of).collect();
        if brackets.windows(2).any(|pair| pair[0] != pair[1]) {
            let detail = format!("the members are {}", brackets.join(" and "));
            breaches.push(meeting.breach(Promise::AgeBracketsMet, detail));
        }
    }
}

fn matched_twice(diary: &Diary, breaches: &mut Vec<Breach>) {
    let mut chats: HashMap<TicketId, ChatId> = HashMap::new();
    for entry in &diary.entries {
        let Event::Matched(Encounter {
            chat,
            ticket: Some(ticket),
            ..
        }) = &entry.event
        else {
            continue;
        };
        let first = *chats.entry(*ticket).or_insert(*chat);
        if first != *chat {
            breaches.push(Breach {
                promise: Promise::MatchedTwice,
                chat: Some(*chat),
                people: vec![diary.name.clone()],
                detail: format!("the ticket {ticket} became {first} and {chat}"),
            });
        }
    }
}

/// Finds a chat that was announced while this person's newest ticket was one that the server
/// reported as cancelled, unless it is the chat of an earlier ticket that ended with its node, or of one of which
/// nobody heard.
fn cancelled(diary: &Diary, chats: &BTreeMap<ChatId, Meeting<'_>>, breaches: &mut Vec<Breach>) {
    let cancelled = diary.entries.iter().filter_map(|entry| match entry.event {
        Event::Cancelled(ticket) => Some(ticket),
        _ => None,
    });
    for ticket in cancelled {
        let (from, until) = wish(diary, ticket);
        let met = chats.values().find(|meeting| {
            meeting.members.contains(&diary.name)
                && (from..until).contains(&meeting.from)
                && !(has_open_end(diary, ticket) && is_older(meeting.chat, ticket))
        });
        if let Some(meeting) = met {
            let detail = format!(
                "{} was told that {ticket} is cancelled, and a chat was opened at {:?}",
                diary.name, meeting.from
            );
            breaches.push(meeting.breach(Promise::CancelledAndMatched, detail));
        }
    }
}

/// Whether the ticket before `ticket` was neither cancelled nor matched, as far as this person knows, or the
/// request for `ticket` was sent again or failed before, so that the first one may have made a ticket: then that
/// one may still have opened a chat.
fn has_open_end(diary: &Diary, ticket: TicketId) -> bool {
    let (mut last, mut was_asked_again, mut has_failed) = (None, false, false);
    for entry in &diary.entries {
        match &entry.event {
            Event::Joining => was_asked_again = false,
            Event::AskedAgain => was_asked_again = true,
            Event::JoinFailed => has_failed = true,
            Event::Queued(queued) if *queued == ticket => {
                return last.is_some() || was_asked_again || has_failed;
            }
            Event::Queued(queued) => (last, has_failed) = (Some(*queued), false),
            Event::Cancelled(ended)
            | Event::Matched(Encounter {
                ticket: Some(ended),
                ..
            }) if last == Some(*ended) => last = None,
            _ => {}
        }
    }
    false
}

/// Whether the chat was made before the ticket: both ids begin with the time of the store.
fn is_older(chat: ChatId, ticket: TicketId) -> bool {
    chat.as_bytes()[..6] < ticket.as_bytes()[..6]
}

/// The time from the request for this ticket to the request for the next one.
fn wish(diary: &Diary, ticket: TicketId) -> (Duration, Duration) {
    let queued = diary
        .entries
        .iter()
        .position(|entry| entry.event == Event::Queued(ticket));
    let queued = queued.unwrap_or_default();
    let (before, after) = diary.entries.split_at(queued);
    let is_wish = |entry: &&crate::diary::Entry| entry.event == Event::Joining;
    let from = before
        .iter()
        .rev()
        .find(is_wish)
        .map_or(Duration::ZERO, |entry| entry.at);
    let until = after
        .iter()
        .find(is_wish)
        .map_or(Duration::MAX, |entry| entry.at);
    (from, until)
}

fn blocked(diary: &Diary, chats: &BTreeMap<ChatId, Meeting<'_>>, breaches: &mut Vec<Breach>) {
    for entry in &diary.entries {
        let Event::Blocked(chat) = entry.event else {
            continue;
        };
        let Some(first) = chats.get(&chat) else {
            continue;
        };
        let again = chats.values().find(|meeting| {
            meeting.chat != chat
                && meeting.from > entry.at
                && first
                    .members
                    .iter()
                    .all(|member| meeting.members.contains(member))
        });
        if let Some(meeting) = again {
            let detail = format!(
                "{} blocked the other at {:?}, and they met again at {:?}",
                diary.name, entry.at, meeting.from
            );
            breaches.push(meeting.breach(Promise::BlockedMet, detail));
        }
    }
}
