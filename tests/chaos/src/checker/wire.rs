//! Compares what came over the wire to each client, frame by frame, with what it could read back.
//!
//! On one connection positions ascend and skip nothing. A new connection continues from the
//! position that it names; later messages that came before may come again or be void.

use std::collections::HashMap;

use nowrong_client::Recorded;
use nowrong_protocol::{ClientMessageId, Position};

use super::{Breach, Promise};
use crate::diary::{Diary, Line, Sight};

/// Finds messages that came twice, late or never, or that had disappeared at the end.
pub(super) fn check(diaries: &[Diary], breaches: &mut Vec<Breach>) {
    for diary in diaries {
        for sight in &diary.sights {
            let mut replay = Replay::new(sight);
            for recorded in &sight.wire {
                replay.take(recorded);
            }
            breaches.extend(replay.found.into_iter().map(|(promise, detail)| Breach {
                promise,
                chat: Some(sight.chat),
                people: vec![diary.name.clone()],
                detail,
            }));
        }
    }
}

/// A sight, as far as it has been read.
struct Replay<'a> {
    sight: &'a Sight,
    /// The messages that the server had at the end, by seq.
    later: HashMap<u64, &'a Line>,
    /// The newest position on this connection, or where it began.
    last: Position,
    /// Where each message came, by its epoch.
    places: HashMap<(u8, ClientMessageId, u32), Position>,
    /// Which message came at each position.
    at: HashMap<Position, (u8, ClientMessageId)>,
    found: Vec<(Promise, String)>,
}

impl<'a> Replay<'a> {
    fn new(sight: &'a Sight) -> Self {
        let lines = sight.reading.iter().flat_map(|reading| &reading.lines);
        Self {
            sight,
            later: lines.map(|line| (line.position.seq, line)).collect(),
            last: Position::START,
            places: HashMap::new(),
            at: HashMap::new(),
            found: Vec::new(),
        }
    }

    fn take(&mut self, recorded: &Recorded) {
        match recorded {
            Recorded::Resumed(position) => self.last = *position,
            // Only the position of an ack matters, and the readings have that.
            Recorded::Acked(_) => {}
            Recorded::Received {
                member,
                client_message_id,
                position,
            } => {
                let line = Line {
                    member: *member,
                    id: *client_message_id,
                    position: *position,
                };
                self.order(&line);
                self.place(&line);
                self.passed_over(&line);
                self.later(&line);
                self.last = self.last.max(*position);
            }
        }
    }

    fn order(&mut self, line: &Line) {
        let (position, last) = (line.position, self.last);
        if position == last {
            self.find(Promise::Repeated, format!("{position} came twice"));
        } else if position < last {
            self.find(Promise::OutOfOrder, format!("{position} came after {last}"));
        }
    }

    /// In one epoch a message has one place, and a place one message.
    fn place(&mut self, line: &Line) {
        let (position, message) = (line.position, (line.member, line.id));
        let key = (line.member, line.id, position.epoch);
        let before = *self.places.entry(key).or_insert(position);
        if before != position {
            let detail = format!("{} came at {before} and again at {position}", line.id);
            self.find(Promise::Repeated, detail);
        }
        let before = *self.at.entry(position).or_insert(message);
        if before != message {
            let detail = format!("at {position} came {} and then {}", before.1, line.id);
            self.find(Promise::OneOrder, detail);
        }
    }

    /// The messages skipped before this one are this person's own, which acks report, or belong to
    /// a later epoch: then the ones in their place were void.
    fn passed_over(&mut self, line: &Line) {
        let (from, to) = (self.last.seq + 1, line.position.seq);
        let missed = (from..to).find(|seq| {
            let there = self.later.get(seq);
            there.is_some_and(|there| {
                there.member != self.sight.you && there.position.epoch <= line.position.epoch
            })
        });
        if let Some(seq) = missed {
            let (last, position) = (self.last, line.position);
            let detail = format!("{position} came after {last}, passing over {seq}");
            self.find(Promise::Gap, detail);
        }
    }

    /// A delivered message is there at the end, or its place was assigned again in a later epoch.
    fn later(&mut self, line: &Line) {
        let Some(reading) = &self.sight.reading else {
            return;
        };
        let position = line.position;
        match self.later.get(&position.seq) {
            Some(there) if there.position.epoch > position.epoch => {}
            Some(there) if *there == line => {}
            Some(there) => {
                let detail = format!(
                    "{} came at {position}, where {} is read back",
                    line.id, there.id
                );
                self.find(Promise::OneOrder, detail);
            }
            // In a chat that ended, nobody was left to write another message in its place.
            None if !reading.is_settled => {}
            None => {
                let detail = format!(
                    "{} came at {position}, and nothing is read back there",
                    line.id
                );
                self.find(Promise::Vanished, detail);
            }
        }
    }

    fn find(&mut self, promise: Promise, detail: String) {
        self.found.push((promise, detail));
    }
}
