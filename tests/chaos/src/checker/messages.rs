//! Compares what people were told with what they could read back, and the members' readings with
//! each other.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use nowrong_client::Recorded;
use nowrong_protocol::ChatId;

use super::{Breach, Promise};
use crate::diary::{Diary, Event, Line, Reading, Sight};

/// Finds lost messages, and readings that are not complete.
pub(super) fn check(diaries: &[Diary], breaches: &mut Vec<Breach>) {
    let told = told(diaries);
    let mut settled: HashMap<ChatId, (&str, &Reading)> = HashMap::new();
    for diary in diaries {
        for sight in &diary.sights {
            let Some(reading) = &sight.reading else {
                continue;
            };
            let whose = Whose { diary, sight };
            whole(whose, reading, breaches);
            let told = told.get(&sight.chat).map(Vec::as_slice).unwrap_or_default();
            lost(whose, reading, told, breaches);
            if reading.is_settled {
                held(whose, reading, breaches);
                let (other, first) = *settled.entry(sight.chat).or_insert((&diary.name, reading));
                same(whose, reading, (other, first), breaches);
            }
        }
    }
}

/// A sight and its person.
#[derive(Clone, Copy)]
struct Whose<'a> {
    diary: &'a Diary,
    sight: &'a Sight,
}

impl Whose<'_> {
    fn breach(self, promise: Promise, detail: String) -> Breach {
        Breach {
            promise,
            chat: Some(self.sight.chat),
            people: vec![self.diary.name.clone()],
            detail,
        }
    }
}

/// A message whose sender was told that it is sent.
struct Told<'a> {
    by: &'a str,
    /// At the latest.
    at: Duration,
    line: Line,
}

/// The messages that were reported as sent, by chat: reported by the client, or by an ack on the
/// wire.
fn told(diaries: &[Diary]) -> HashMap<ChatId, Vec<Told<'_>>> {
    let mut all: HashMap<ChatId, Vec<Told<'_>>> = HashMap::new();
    for diary in diaries {
        let by = diary.name.as_str();
        for entry in &diary.entries {
            if let Event::Told(chat, line) = entry.event {
                all.entry(chat).or_default().push(Told {
                    by,
                    at: entry.at,
                    line,
                });
            }
        }
        for sight in &diary.sights {
            let acked = sight.wire.iter().filter_map(|recorded| match recorded {
                Recorded::Acked(sent) => Some(Line::of(sight.you, sent)),
                _ => None,
            });
            let acked = acked.map(|line| Told {
                by,
                at: sight.at,
                line,
            });
            all.entry(sight.chat).or_default().extend(acked);
        }
    }
    all
}

fn lost(whose: Whose<'_>, reading: &Reading, told: &[Told<'_>], breaches: &mut Vec<Breach>) {
    let lines: HashSet<&Line> = reading.lines.iter().collect();
    let mut missing = HashSet::new();
    for Told { by, at, line } in told {
        if *at > reading.asked || lines.contains(line) || !missing.insert(line) {
            continue;
        }
        let Line { id, position, .. } = line;
        let elsewhere = reading.lines.iter().find(|other| other.id == *id);
        let found = match elsewhere {
            Some(other) => format!("reads it at {}", other.position),
            None => format!("does not find it among {} messages", reading.lines.len()),
        };
        let reader = &whose.diary.name;
        let detail = format!("{by} was told that {id} is at {position}, {reader} {found}");
        let mut breach = whose.breach(Promise::AckedLost, detail);
        breach.people.push((*by).to_owned());
        breaches.push(breach);
    }
}

/// A reading begins with the first message, has no gap and no repetition, and is in order.
fn whole(whose: Whose<'_>, reading: &Reading, breaches: &mut Vec<Breach>) {
    let mut ids = HashSet::new();
    for line in &reading.lines {
        if !ids.insert((line.member, line.id)) {
            let detail = format!("{} is read back again at {}", line.id, line.position);
            breaches.push(whose.breach(Promise::Repeated, detail));
        }
    }
    for pair in reading.lines.windows(2) {
        let [before, after] = [pair[0].position, pair[1].position];
        if before >= after {
            let detail = format!("{after} is read back after {before}");
            breaches.push(whose.breach(Promise::OutOfOrder, detail));
        }
    }
    let seqs: BTreeSet<u64> = reading.lines.iter().map(|line| line.position.seq).collect();
    if let Some((seq, found)) = (1..).zip(&seqs).find(|(seq, found)| seq != *found) {
        let detail = format!("{seq} is not read back, but {found} is");
        breaches.push(whose.breach(Promise::Gap, detail));
    }
}

/// A client that has caught up holds exactly what the server has.
fn held(whose: Whose<'_>, reading: &Reading, breaches: &mut Vec<Breach>) {
    let held: HashSet<&Line> = whose.sight.held.iter().collect();
    if let Some(missing) = reading.lines.iter().find(|line| !held.contains(line)) {
        let detail = format!("the client never got {}", missing.position);
        breaches.push(whose.breach(Promise::Gap, detail));
    }
    let read: HashSet<&Line> = reading.lines.iter().collect();
    if let Some(extra) = whose.sight.held.iter().find(|line| !read.contains(line)) {
        let detail = format!(
            "the client shows {} at {}, which the server does not have",
            extra.id, extra.position
        );
        breaches.push(whose.breach(Promise::OneOrder, detail));
    }
}

fn same(
    whose: Whose<'_>,
    reading: &Reading,
    (other, first): (&str, &Reading),
    breaches: &mut Vec<Breach>,
) {
    let longest = reading.lines.len().max(first.lines.len());
    let differs = (0..longest).find(|index| reading.lines.get(*index) != first.lines.get(*index));
    if let Some(index) = differs {
        let shown = |line: Option<&Line>| {
            line.map_or("nothing".to_owned(), |line| {
                format!("{} at {}", line.id, line.position)
            })
        };
        let detail = format!(
            "message {} is {} for {} and {} for {other}",
            index + 1,
            shown(reading.lines.get(index)),
            whose.diary.name,
            shown(first.lines.get(index)),
        );
        let mut breach = whose.breach(Promise::OneOrder, detail);
        breach.people.push(other.to_owned());
        breaches.push(breach);
    }
}
