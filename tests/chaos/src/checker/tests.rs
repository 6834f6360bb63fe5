//! A good history breaks nothing; each broken one breaks exactly the promise it is made to break.

use std::time::Duration;

use nowrong_client::{Recorded, Sent};
use nowrong_protocol::{ChatId, ClientMessageId, Position, TicketId};

use super::*;
use crate::diary::{Encounter, Entry, Event, Line, Probe, Reading, Sight};

const CHAT: ChatId = ChatId::from_bytes([1; 16]);
const OTHER: ChatId = ChatId::from_bytes([2; 16]);

fn ticket(id: u8) -> TicketId {
    TicketId::from_bytes([id; 16])
}

fn message(id: u8) -> ClientMessageId {
    ClientMessageId::from_bytes([id; 16])
}

fn line(member: u8, id: u8, epoch: u32, seq: u64) -> Line {
    Line {
        member,
        id: message(id),
        position: Position::new(epoch, seq),
    }
}

fn received(line: Line) -> Recorded {
    Recorded::Received {
        member: line.member,
        client_message_id: line.id,
        position: line.position,
    }
}

fn acked(line: Line) -> Recorded {
    Recorded::Acked(Sent {
        client_message_id: line.id,
        position: line.position,
        at_ms: 0,
    })
}

/// Writes entries at the given seconds.
fn person(name: &str, entries: Vec<(u64, Event)>) -> Diary {
    let entry = |(at, event)| Entry {
        at: Duration::from_secs(at),
        event,
    };
    Diary {
        name: name.to_owned(),
        age_bracket: "18+".to_owned(),
        entries: entries.into_iter().map(entry).collect(),
        sights: Vec::new(),
    }
}

fn with(chat: ChatId, ticket_id: u8, members: [&str; 2]) -> Event {
    Event::Matched(Encounter {
        chat,
        ticket: Some(ticket(ticket_id)),
        members: members.map(str::to_owned).to_vec(),
    })
}

/// The messages of the good history: Ana's 1 and 3, Ben's 2 and 4; the log was rebuilt after 2.
fn lines() -> Vec<Line> {
    vec![
        line(0, 1, 1, 1),
        line(1, 2, 1, 2),
        line(0, 3, 2, 3),
        line(1, 4, 2, 4),
    ]
}

fn sight(you: u8, wire: Vec<Recorded>) -> Sight {
    Sight {
        chat: CHAT,
        you,
        at: Duration::from_secs(100),
        wire,
        held: lines(),
        reading: Some(Reading {
            asked: Duration::from_secs(101),
            lines: lines(),
            is_settled: true,
        }),
    }
}

/// Two people who meet, write, live through a rebuilt log that voids Ben's first attempt at message
/// 4, and continue.
fn good() -> Vec<Diary> {
    let all = lines();
    let met = |ticket| (2, with(CHAT, ticket, ["Ana", "Ben"]));
    let queued = |id| vec![(0, Event::Joining), (1, Event::Queued(ticket(id))), met(id)];
    let mut ana = person("Ana", queued(1));
    let mut ben = person("Ben", queued(2));
    let told = |index: usize| Event::Told(CHAT, all[index]);
    ana.entries
        .extend(person("", vec![(3, told(0)), (9, told(2))]).entries);
    ben.entries
        .extend(person("", vec![(4, told(1)), (10, told(3))]).entries);
    let void = received(line(1, 4, 1, 3));
    let resumed = Recorded::Resumed(Position::new(1, 2));
    ana.sights = vec![sight(
        0,
        vec![
            acked(all[0]),
            received(all[1]),
            void,
            resumed,
            acked(all[2]),
            received(all[3]),
        ],
    )];
    ben.sights = vec![sight(
        1,
        vec![
            received(all[0]),
            acked(all[1]),
            resumed,
            received(all[2]),
            acked(all[3]),
        ],
    )];
    vec![ana, ben]
}

/// The promises that the history breaks, once each.
fn broken(diaries: &[Diary]) -> Vec<Promise> {
    let mut broken: Vec<_> = check(diaries, &Aftermath::default())
        .iter()
        .map(|breach| breach.promise)
        .collect();
    broken.dedup();
    broken
}

/// The good history, changed by `change`.
fn after(change: impl FnOnce(&mut Vec<Diary>)) -> Vec<Promise> {
    let mut diaries = good();
    change(&mut diaries);
    broken(&diaries)
}

/// The good history, with another wire of Ana's client.
fn after_wire(change: impl FnOnce(&mut Vec<Recorded>)) -> Vec<Promise> {
    after(|diaries| change(&mut diaries[0].sights[0].wire))
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(check(&good(), &Aftermath::default()), []);
}

#[test]
fn acked_and_lost() {
    let forget = |sight: &mut Sight| {
        sight.held.pop();
        sight.reading.as_mut().unwrap().lines.pop();
    };
    // Ben's last message is in no reading; the rest of the history would not show its loss.
    let lost = after(|diaries| {
        for diary in diaries {
            forget(&mut diary.sights[0]);
            diary.sights[0]
                .wire
                .retain(|recorded| *recorded != received(line(1, 4, 2, 4)));
        }
    });
    assert_eq!(lost, [Promise::AckedLost]);
    let by_ack_alone = after(|diaries| {
        diaries[1].entries.pop();
        for diary in diaries {
            forget(&mut diary.sights[0]);
            diary.sights[0]
                .wire
                .retain(|recorded| *recorded != received(line(1, 4, 2, 4)));
        }
    });
    assert_eq!(by_ack_alone, [Promise::AckedLost]);
    // Reported after the reading began, so it need not be in the reading.
    let told_later = after(|diaries| {
        let told = Event::Told(CHAT, line(1, 9, 2, 5));
        diaries[1]
            .entries
            .extend(person("", vec![(200, told)]).entries);
    });
    assert_eq!(told_later, []);
}

#[test]
fn acked_at_another_position_is_lost() {
    let moved = after(|diaries| {
        let told = Event::Told(CHAT, line(1, 4, 1, 4));
        diaries[1].entries.last_mut().unwrap().event = told;
    });
    assert_eq!(moved, [Promise::AckedLost]);
}

#[test]
fn repeated() {
    let twice = after_wire(|wire| wire.push(received(line(1, 4, 2, 4))));
    assert_eq!(twice, [Promise::Repeated]);
    let two_places = after(|diaries| {
        for diary in diaries {
            let sight = &mut diary.sights[0];
            sight.held.push(line(1, 4, 2, 5));
            sight.reading.as_mut().unwrap().lines.push(line(1, 4, 2, 5));
        }
    });
    assert_eq!(two_places, [Promise::Repeated]);
    let resent = after_wire(|wire| {
        let again = [
            Recorded::Resumed(Position::new(2, 3)),
            received(line(1, 4, 2, 4)),
        ];
        wire.extend(again);
    });
    assert_eq!(resent, [], "a new connection may bring it again");
}

#[test]
fn out_of_order() {
    let late = after_wire(|wire| wire.push(received(line(1, 2, 1, 2))));
    assert_eq!(late, [Promise::OutOfOrder]);
    let read = after(|diaries| {
        diaries[0].sights[0]
            .reading
            .as_mut()
            .unwrap()
            .lines
            .swap(1, 2);
        diaries.truncate(1);
    });
    assert_eq!(read, [Promise::OutOfOrder]);
}

#[test]
fn a_gap() {
    // Ben never got Ana's 3, but then gets a later message.
    let passed_over = after(|diaries| {
        let wire = &mut diaries[1].sights[0].wire;
        wire.retain(|recorded| *recorded != received(line(0, 3, 2, 3)));
        wire.push(received(line(0, 5, 2, 5)));
        for diary in diaries {
            let sight = &mut diary.sights[0];
            sight.held.push(line(0, 5, 2, 5));
            sight.reading.as_mut().unwrap().lines.push(line(0, 5, 2, 5));
        }
    });
    assert_eq!(passed_over, [Promise::Gap]);
    let not_caught_up = after(|diaries| {
        diaries[0].sights[0].held.pop();
    });
    assert_eq!(not_caught_up, [Promise::Gap]);
    let read = after(|diaries| {
        for diary in diaries {
            diary.sights[0].reading.as_mut().unwrap().lines.remove(0);
            diary.sights[0].held.remove(0);
            diary.sights[0].wire.clear();
            diary
                .entries
                .retain(|entry| !matches!(entry.event, Event::Told(..)));
        }
    });
    assert_eq!(read, [Promise::Gap]);
}

#[test]
fn different_for_both_members() {
    let two_logs = after(|diaries| {
        let sight = &mut diaries[0].sights[0];
        sight.held.push(line(1, 5, 2, 5));
        sight.reading.as_mut().unwrap().lines.push(line(1, 5, 2, 5));
    });
    assert_eq!(two_logs, [Promise::OneOrder]);
    let one_place_two_messages = after_wire(|wire| wire[1] = received(line(1, 9, 1, 2)));
    assert_eq!(one_place_two_messages, [Promise::OneOrder]);
    let shown_and_nowhere = after(|diaries| {
        diaries[0].sights[0].held.push(line(1, 9, 2, 5));
    });
    assert_eq!(shown_and_nowhere, [Promise::OneOrder]);
}

#[test]
fn delivered_and_vanished() {
    let beyond = line(1, 9, 2, 5);
    let vanished = after_wire(|wire| wire.push(received(beyond)));
    assert_eq!(vanished, [Promise::Vanished]);
    let ended = after(|diaries| {
        diaries[0].sights[0].wire.push(received(beyond));
        diaries[0].sights[0].reading.as_mut().unwrap().is_settled = false;
    });
    assert_eq!(
        ended,
        [],
        "it may be void, and nobody was left to write over it"
    );
}

#[test]
fn in_two_chats() {
    let again = |at, ticket_id| {
        let mut cleo = person("Cleo", vec![(at, with(OTHER, ticket_id, ["Cleo", "Ben"]))]);
        cleo.sights.clear();
        cleo
    };
    assert_eq!(
        after(|diaries| diaries.push(again(20, 3))),
        [Promise::TwoChats]
    );
    let parted = after(|diaries| {
        diaries[0]
            .entries
            .extend(person("", vec![(15, Event::Parting(CHAT))]).entries);
        diaries.push(again(20, 3));
    });
    assert_eq!(parted, [], "Ana left before");
}

#[test]
fn a_ticket_matched_twice() {
    let twice = after(|diaries| {
        let more = vec![
            (15, Event::Parting(CHAT)),
            (20, with(OTHER, 1, ["Ana", "Cleo"])),
        ];
        diaries[0].entries.extend(person("", more).entries);
    });
    assert_eq!(twice, [Promise::MatchedTwice]);
}

#[test]
fn cancelled_and_matched() {
    let more = |told_at: u64, joined_again: bool| {
        let mut cleo = vec![(20, Event::Joining), (21, Event::Queued(ticket(7)))];
        cleo.push((23, Event::Cancelled(ticket(7))));
        if joined_again {
            cleo.push((24, Event::Joining));
        }
        let dan = vec![(told_at, with(OTHER, 8, ["Dan", "Cleo"]))];
        broken(&[person("Cleo", cleo), person("Dan", dan)])
    };
    assert_eq!(more(22, false), [Promise::CancelledAndMatched]);
    assert_eq!(more(30, false), [Promise::CancelledAndMatched]);
    assert_eq!(more(30, true), [], "that is the next ticket");
    assert_eq!(more(10, false), [], "that was an earlier ticket");
}

#[test]
fn a_chat_of_a_ticket_that_ended_with_its_node_is_not_one_of_the_next_ticket() {
    let made_at = |ms: u8| {
        let mut id = [0; 16];
        id[5] = ms;
        id
    };
    let newer = TicketId::from_bytes(made_at(90));
    let found = |chat_ms: u8, was_cancelled: bool| {
        let mut cleo = vec![(18, Event::Joining), (19, Event::Queued(ticket(6)))];
        if was_cancelled {
            cleo.push((20, Event::Cancelled(ticket(6))));
        }
        cleo.extend([(20, Event::Joining), (21, Event::Queued(newer))]);
        cleo.push((23, Event::Cancelled(newer)));
        let chat = ChatId::from_bytes(made_at(chat_ms));
        let dan = vec![(22, with(chat, 8, ["Dan", "Cleo"]))];
        broken(&[person("Cleo", cleo), person("Dan", dan)])
    };
    assert_eq!(found(89, false), []);
    assert_eq!(found(90, false), [Promise::CancelledAndMatched]);
    assert_eq!(found(89, true), [Promise::CancelledAndMatched]);
}

#[test]
fn a_chat_of_a_ticket_of_which_nobody_heard_is_not_one_of_the_ticket_that_was_asked_for_again() {
    let made_at = |ms: u8| {
        let mut id = [0; 16];
        id[5] = ms;
        id
    };
    let newer = TicketId::from_bytes(made_at(90));
    let found = |chat_ms: u8, asked_again_at: u64| {
        let mut cleo = vec![(20, Event::Joining), (22, Event::Queued(newer))];
        cleo.push((asked_again_at, Event::AskedAgain));
        cleo.push((24, Event::Cancelled(newer)));
        cleo.sort_by_key(|(at, _)| *at);
        let chat = ChatId::from_bytes(made_at(chat_ms));
        let dan = vec![(23, with(chat, 8, ["Dan", "Cleo"]))];
        broken(&[person("Cleo", cleo), person("Dan", dan)])
    };
    assert_eq!(found(89, 21), []);
    assert_eq!(found(90, 21), [Promise::CancelledAndMatched]);
    assert_eq!(found(89, 19), [Promise::CancelledAndMatched]);
}

#[test]
fn a_chat_of_a_request_that_failed_is_not_one_of_the_next_ticket() {
    let made_at = |ms: u8| {
        let mut id = [0; 16];
        id[5] = ms;
        id
    };
    let newer = TicketId::from_bytes(made_at(90));
    let found = |chat_ms: u8, has_failed: bool| {
        let mut cleo = vec![(18, Event::Joining)];
        if has_failed {
            cleo.push((19, Event::JoinFailed));
        }
        cleo.extend([(20, Event::Joining), (22, Event::Queued(newer))]);
        cleo.push((24, Event::Cancelled(newer)));
        let chat = ChatId::from_bytes(made_at(chat_ms));
        let dan = vec![(23, with(chat, 8, ["Dan", "Cleo"]))];
        broken(&[person("Cleo", cleo), person("Dan", dan)])
    };
    assert_eq!(found(89, true), []);
    assert_eq!(found(90, true), [Promise::CancelledAndMatched]);
    assert_eq!(found(89, false), [Promise::CancelledAndMatched]);
}

#[test]
fn a_blocked_pair_met_again() {
    let again = |members: [&str; 2], confirmed: bool| {
        after(|diaries| {
            let mut more = vec![(15, Event::Parting(CHAT))];
            if confirmed {
                more.push((16, Event::Blocked(CHAT)));
            }
            more.push((20, with(OTHER, 9, members)));
            diaries[0].entries.extend(person("", more).entries);
        })
    };
    assert_eq!(again(["Ben", "Ana"], true), [Promise::BlockedMet]);
    assert_eq!(again(["Cleo", "Ana"], true), []);
    assert_eq!(
        again(["Ben", "Ana"], false),
        [],
        "nobody was told that it was done"
    );
}

#[test]
fn age_brackets_mixed() {
    let mixed = after(|diaries| diaries[1].age_bracket = "13-17".to_owned());
    assert_eq!(mixed, [Promise::AgeBracketsMet]);
}

#[test]
fn ended_by_itself() {
    let ended = |parting: bool| {
        after(|diaries| {
            let mut more = vec![(30, Event::Ended(CHAT))];
            if parting {
                more.push((29, Event::Parting(CHAT)));
            }
            diaries[1].entries.extend(person("", more).entries);
        })
    };
    assert_eq!(ended(false), [Promise::EndedByItself]);
    assert_eq!(ended(true), []);
}

#[test]
fn stuck() {
    let stuck = after(|diaries| {
        let waited = Event::Stuck("a send got no answer".to_owned());
        diaries[0]
            .entries
            .extend(person("", vec![(90, waited)]).entries);
    });
    assert_eq!(stuck, [Promise::Stuck]);
}

#[test]
fn ghosts() {
    let found = |aftermath: Aftermath| {
        let breaches = check(&good(), &aftermath);
        breaches
            .iter()
            .map(|breach| breach.promise)
            .collect::<Vec<_>>()
    };
    let counted = Aftermath {
        waiting: vec![("node 1".to_owned(), "music".to_owned(), 1)],
        probes: Vec::new(),
    };
    assert_eq!(found(counted), [Promise::Ghost]);
    let probe = |met_alone: Option<&str>, meeting| Aftermath {
        waiting: Vec::new(),
        probes: vec![Probe {
            category: "music".to_owned(),
            met_alone: met_alone.map(str::to_owned),
            meeting,
        }],
    };
    assert_eq!(found(probe(Some("Ana"), Ok(()))), [Promise::Ghost]);
    assert_eq!(
        found(probe(None, Err("no match".to_owned()))),
        [Promise::Stuck]
    );
    assert_eq!(found(probe(None, Ok(()))), []);
}
