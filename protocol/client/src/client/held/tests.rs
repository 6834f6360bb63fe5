//! Feeds [`Held`] with frames by hand: what outlives a connection, and what handles get to see.

use std::time::Duration;

use nowrong_protocol::{
    CloseCode, ConnectionId, Framed, Position,
    frame::{
        Ack, Body, Done, EndReason, Ended, Gone, Limits, Matched, Member, Message, Queued,
        SeatState, Stage, Why, Widened,
    },
    limits::REPLY_DEADLINE,
};
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::{ChatEvent, Sent, Ticket};

/// A [`Held`] with its handles' channel, and the time.
struct World {
    held: Held,
    _commands: mpsc::Sender<Command>,
    _inbox: mpsc::Receiver<Command>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let (commands, inbox) = mpsc::channel(1);
        let held = Held::new(commands.downgrade(), true);
        Self {
            held,
            _commands: commands,
            _inbox: inbox,
            now: Instant::now(),
        }
    }

    /// A world with an open connection and nothing else.
    fn open() -> Self {
        let mut world = Self::new();
        world.welcome(None, None);
        world
    }

    /// A world with an open chat, and a handle to it.
    fn chatting() -> (Self, Chat) {
        let mut world = Self::open();
        world.welcome(None, Some(chat(1)));
        let chat = world.held.newest_chat().unwrap();
        (world, chat)
    }

    fn welcome(&mut self, ticket: Option<TicketState>, chat: Option<ChatState>) {
        let limits = Limits {
            frame_bytes_max: 65_536,
            text_bytes_max: 8_000,
            text_graphemes_max: 2_000,
            ping_interval_ms: 20_000,
            idle_timeout_ms: 50_000,
            seat_hold_ms: 90_000,
        };
        let welcome = Welcome {
            version: 1,
            connection: ConnectionId::from_bytes([9; 16]),
            server_time_ms: 0,
            limits: Framed(limits),
            ticket: ticket.map(Framed),
            chat: chat.map(Framed),
        };
        self.held.welcome(welcome, self.now);
    }

    fn push(&mut self, frame: impl Into<ServerFrame>) {
        self.held.push(frame.into(), self.now);
    }

    fn frames(&mut self) -> Vec<ClientFrame> {
        self.held.take_frames(self.now)
    }

    fn join(&mut self) -> oneshot::Receiver<Result<Ticket, Error>> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Join {
            category: "music".to_owned(),
            interests: Vec::new(),
        };
        self.held.request(request, Reply::Ticket(answer), self.now);
        answered
    }

    fn carry(&mut self, request: Request) -> oneshot::Receiver<Result<(), Error>> {
        let (answer, answered) = oneshot::channel();
        self.held.request(request, Reply::Done(answer), self.now);
        answered
    }

    fn send(&mut self, id: u8) -> oneshot::Receiver<Result<Sent, Error>> {
        let (answer, answered) = oneshot::channel();
        let id = ClientMessageId::from_bytes([id; 16]);
        self.held.send(chat(1).chat, "hello".into(), id, answer);
        answered
    }
}

fn chat(id: u8) -> ChatState {
    let member = |name: &str| {
        Framed(Member {
            name: name.to_owned(),
            language: "en".to_owned(),
            seat: SeatState::Taken,
            held_until_ms: 0,
            delivered: Position::START,
            read: Position::START,
        })
    };
    ChatState {
        chat: ChatId::from_bytes([id; 16]),
        category: "music".to_owned(),
        members: vec![member("Ana"), member("Ben")],
        you: 0,
        why: Framed(Why::default()),
        head: Position::START,
        resumed: Position::START,
        unread: 0,
        started_at_ms: 0,
        expires_at_ms: 0,
    }
}

fn ticket(id: u8) -> TicketState {
    TicketState {
        ticket: TicketId::from_bytes([id; 16]),
        category: "music".to_owned(),
        interests: Vec::new(),
        since_ms: 0,
        stage: Stage::Interests,
        waiting: 1,
    }
}

fn message(member: u8, id: u8, position: Position) -> Message {
    Message {
        chat: chat(1).chat,
        position,
        member,
        client_message_id: ClientMessageId::from_bytes([id; 16]),
        at_ms: 0,
        reply_to: None,
        body: Body::Text("hello".to_owned()),
    }
}

/// The request id of the only frame.
fn only_request(frames: &[ClientFrame]) -> u32 {
    match frames {
        [ClientFrame::Join(join)] => join.request,
        [ClientFrame::Send(send)] => send.request,
        [ClientFrame::Cancel(cancel)] => cancel.request,
        [ClientFrame::Leave(leave)] => leave.request,
        other => panic!("one request was expected: {other:?}"),
    }
}

#[test]
fn a_ticket_widens_and_is_matched() {
    let mut world = World::open();
    let mut joined = world.join();
    let request = only_request(&world.frames());
    world.push(Queued {
        request,
        ticket: Framed(ticket(5)),
    });
    let mut held = joined.try_recv().unwrap().unwrap();
    world.push(Widened {
        ticket: held.id(),
        stage: Stage::Language,
    });
    assert_eq!(*held.stage().borrow(), Stage::Language);
    world.push(Matched {
        ticket: held.id(),
        chat: Framed(chat(1)),
    });
    let matched = held.outcome.try_recv().unwrap().unwrap();
    assert_eq!(matched.id(), chat(1).chat);
}

#[test]
fn what_is_asked_while_away_goes_out_with_the_next_connection() {
    let mut world = World::new();
    let _joined = world.join();
    assert_eq!(world.frames(), []);
    world.welcome(None, None);
    only_request(&world.frames());
}

#[test]
fn a_join_whose_reply_was_lost_takes_the_ticket_of_the_snapshot() {
    let mut world = World::open();
    let mut joined = world.join();
    world.frames();
    world.held.lost();
    world.welcome(Some(ticket(5)), None);
    assert_eq!(joined.try_recv().unwrap().unwrap().id(), ticket(5).ticket);
    assert_eq!(world.frames(), [], "the request is not sent again");
}

#[test]
fn a_join_that_was_matched_meanwhile_has_its_chat() {
    let mut world = World::open();
    let mut joined = world.join();
    world.frames();
    world.held.lost();
    world.welcome(None, Some(chat(1)));
    let mut held = joined.try_recv().unwrap().unwrap();
    assert_eq!(held.outcome.try_recv().unwrap().unwrap().id(), chat(1).chat);
}

#[test]
fn a_join_that_never_arrived_is_asked_again() {
    let mut world = World::open();
    let mut joined = world.join();
    world.frames();
    world.held.lost();
    world.welcome(None, None);
    only_request(&world.frames());
    assert_eq!(joined.try_recv().err(), Some(TryRecvError::Empty));
}

#[test]
fn a_ticket_that_ended_meanwhile_says_so() {
    let mut world = World::open();
    let mut joined = world.join();
    let request = only_request(&world.frames());
    world.push(Queued {
        request,
        ticket: Framed(ticket(5)),
    });
    let mut held = joined.try_recv().unwrap().unwrap();
    world.held.lost();
    world.welcome(None, None);
    let outcome = held.outcome.try_recv().unwrap();
    assert_eq!(outcome.unwrap_err().code(), Some(ErrorCode::TICKET_UNKNOWN));
}

#[test]
fn a_ticket_of_an_earlier_client_can_be_asked_for_once() {
    let mut world = World::new();
    world.welcome(Some(ticket(5)), None);
    assert_eq!(
        world.held.take_found_ticket().unwrap().id(),
        ticket(5).ticket
    );
    assert!(world.held.take_found_ticket().is_none());
}

#[test]
fn requests_under_way_are_judged_by_the_next_snapshot() {
    let t = ticket(5).ticket;
    let c = chat(1).chat;
    let join = Request::Join {
        category: String::new(),
        interests: Vec::new(),
    };
    for (request, has_ticket, has_chat, is_chat_new, expected) in [
        (join.clone(), false, false, false, Fate::Send),
        (join.clone(), true, false, false, Fate::Queued),
        (join, false, true, true, Fate::Queued),
        (Request::Cancel(t), true, false, false, Fate::Send),
        (
            Request::Cancel(t),
            false,
            true,
            true,
            Fate::Refused(ErrorCode::TICKET_UNKNOWN),
        ),
        (Request::Cancel(t), false, false, false, Fate::Lost),
        (Request::Leave(c), false, true, false, Fate::Send),
        (Request::Leave(c), false, false, false, Fate::Done),
        (Request::Next(c), false, true, false, Fate::Send),
        (Request::Next(c), true, false, false, Fate::Queued),
        (Request::Next(c), false, false, false, Fate::Lost),
        (Request::Block(c), false, true, false, Fate::Send),
        (Request::Block(c), false, false, false, Fate::Lost),
        (
            Request::Delete(c, Position::new(1, 1)),
            false,
            false,
            false,
            Fate::Send,
        ),
    ] {
        let welcome = Welcome {
            version: 1,
            connection: ConnectionId::from_bytes([9; 16]),
            server_time_ms: 0,
            limits: Framed(Limits {
                frame_bytes_max: 0,
                text_bytes_max: 0,
                text_graphemes_max: 0,
                ping_interval_ms: 0,
                idle_timeout_ms: 0,
                seat_hold_ms: 0,
            }),
            ticket: has_ticket.then(|| Framed(ticket(5))),
            chat: has_chat.then(|| Framed(chat(1))),
        };
        assert_eq!(request.fate(&welcome, is_chat_new), expected, "{request:?}");
    }
}

#[test]
fn an_acked_message_is_held_and_answered() {
    let (mut world, chat) = World::chatting();
    let mut sent = world.send(7);
    let request = only_request(&world.frames());
    world.push(Ack {
        request,
        position: Position::new(1, 1),
        at_ms: 5,
    });
    assert_eq!(
        sent.try_recv().unwrap().unwrap().position,
        Position::new(1, 1)
    );
    let view = world.held.view(chat.id()).unwrap();
    assert_eq!((view.messages.len(), view.unsent), (1, 0));
    assert!(matches!(view.record[..], [crate::Recorded::Acked(_)]));
}

#[test]
fn what_comes_over_the_wire_is_recorded_as_it_comes() {
    let (mut world, handle) = World::chatting();
    for seq in [2, 2, 1] {
        world.push(message(1, seq as u8, Position::new(1, seq)));
    }
    world.held.lost();
    world.welcome(None, Some(chat(1)));
    let received = |seq| crate::Recorded::Received {
        member: 1,
        client_message_id: ClientMessageId::from_bytes([seq as u8; 16]),
        position: Position::new(1, seq),
    };
    let resumed = crate::Recorded::Resumed(Position::START);
    let expected = [received(2), received(2), received(1), resumed];
    assert_eq!(world.held.view(handle.id()).unwrap().record, expected);
}

#[test]
fn an_unacked_message_goes_out_again_with_its_id() {
    let (mut world, _chat) = World::chatting();
    let _sent = world.send(7);
    let first = world.frames();
    world.held.lost();
    assert_eq!(world.frames(), []);
    world.welcome(None, Some(chat(1)));
    let (ClientFrame::Send(first), [ClientFrame::Send(again)]) = (&first[0], &world.frames()[..])
    else {
        panic!("a Send was expected");
    };
    assert_eq!(first.client_message_id, again.client_message_id);
}

#[test]
fn a_message_that_comes_back_in_a_replay_is_sent_only_when_it_is_acked() {
    let (mut world, mut handle) = World::chatting();
    let mut sent = world.send(7);
    world.frames();
    world.held.lost();
    world.welcome(None, Some(chat(1)));
    let position = Position::new(1, 1);
    world.push(message(0, 7, position));
    assert!(matches!(
        handle.events.try_recv(),
        Ok(ChatEvent::Message(_))
    ));
    assert!(
        sent.try_recv().is_err(),
        "the server may still forget it: nothing said that it is durable"
    );
    let request = only_request(&world.frames());
    world.push(Ack {
        request,
        position,
        at_ms: 5,
    });
    assert_eq!(sent.try_recv().unwrap().unwrap().position, position);
}

#[test]
fn messages_show_once_and_are_confirmed_once() {
    let (mut world, mut handle) = World::chatting();
    let position = Position::new(1, 1);
    world.push(message(1, 3, position));
    world.push(message(1, 3, position));
    let confirmations = world.frames();
    assert!(
        matches!(&confirmations[..], [ClientFrame::Delivered(cursor)] if cursor.position == position)
    );
    assert!(matches!(
        handle.events.try_recv(),
        Ok(ChatEvent::Message(_))
    ));
    assert!(handle.events.try_recv().is_err());
    let resume = world.held.resume();
    assert_eq!(resume[0].position, position);
}

#[test]
fn what_did_not_outlive_a_restart_is_dropped() {
    let (mut world, mut handle) = World::chatting();
    for seq in 1..=3 {
        world.push(message(1, seq as u8, Position::new(1, seq)));
    }
    world.held.lost();
    let resumed = Position::new(1, 2);
    world.welcome(None, Some(ChatState { resumed, ..chat(1) }));
    world.push(message(1, 9, Position::new(2, 3)));
    let seen: Vec<_> = std::iter::from_fn(|| handle.events.try_recv().ok()).collect();
    assert_eq!(seen[3], ChatEvent::Truncated(resumed));
    let view = world.held.view(handle.id()).unwrap();
    let positions: Vec<_> = view.messages.iter().map(|held| held.position).collect();
    assert_eq!(
        positions,
        [
            Position::new(1, 1),
            Position::new(1, 2),
            Position::new(2, 3)
        ]
    );
}

#[test]
fn a_message_that_the_server_cannot_take_now_waits_its_time() {
    for (code, retry_after_ms, waits_ms) in [
        (ErrorCode::RATE_LIMITED, 500, 500),
        (ErrorCode::RATE_LIMITED, 0, 50),
        (ErrorCode::STORAGE_UNAVAILABLE, 1_500, 1_500),
        (ErrorCode::INTERNAL, 0, 1_000),
    ] {
        let (mut world, _chat) = World::chatting();
        let mut sent = world.send(7);
        let request = only_request(&world.frames());
        world.push(Fail {
            request,
            code,
            retry_after_ms,
            detail: String::new(),
        });
        assert_eq!(sent.try_recv().err(), Some(TryRecvError::Empty), "{code}");
        assert_eq!(world.frames(), []);
        let due = world.now + Duration::from_millis(waits_ms);
        assert_eq!(world.held.deadline(), Some(due));
        world.now = due;
        only_request(&world.frames());
    }
}

#[test]
fn a_refused_message_is_not_kept() {
    let (mut world, _chat) = World::chatting();
    let mut sent = world.send(7);
    let request = only_request(&world.frames());
    let code = ErrorCode::TEXT_TOO_LONG;
    world.push(Fail {
        request,
        code,
        retry_after_ms: 0,
        detail: String::new(),
    });
    assert_eq!(sent.try_recv().unwrap().unwrap_err().code(), Some(code));
    world.held.lost();
    world.welcome(None, Some(chat(1)));
    assert_eq!(world.frames(), []);
}

#[test]
fn silence_is_answered_in_time() {
    let (mut world, handle) = World::chatting();
    let (mut left, mut sent) = (world.carry(Request::Leave(handle.id())), world.send(7));
    world.frames();
    let due = world.now + REPLY_DEADLINE;
    assert_eq!(world.held.deadline(), Some(due));
    world.held.expire(due);
    assert!(matches!(left.try_recv().unwrap(), Err(Error::NoReply)));
    assert!(matches!(sent.try_recv().unwrap(), Err(Error::NoReply)));
}

#[test]
fn replies_find_their_request() {
    let (mut world, handle) = World::chatting();
    let mut left = world.carry(Request::Leave(handle.id()));
    let request = only_request(&world.frames());
    world.push(Done {
        request: request + 1,
    });
    assert!(left.try_recv().is_err());
    world.push(Done { request });
    assert!(left.try_recv().unwrap().is_ok());
}

#[test]
fn an_ended_chat_takes_no_message_but_can_be_read() {
    let (mut world, mut handle) = World::chatting();
    world.push(message(1, 3, Position::new(1, 1)));
    let ended = Ended {
        chat: handle.id(),
        reason: EndReason::Left,
        member: Some(1),
        expires_at_ms: 9,
    };
    world.push(ended);
    world.push(ended);
    let mut sent = world.send(7);
    assert_eq!(
        sent.try_recv().unwrap().unwrap_err().code(),
        Some(ErrorCode::CHAT_ENDED)
    );
    assert_eq!(world.held.view(handle.id()).unwrap().messages.len(), 1);
    let seen: Vec<_> = std::iter::from_fn(|| handle.events.try_recv().ok()).collect();
    let ends = seen
        .iter()
        .filter(|event| matches!(event, ChatEvent::Ended { .. }))
        .count();
    assert_eq!(ends, 1, "an end is reported once, also after a resume");
}

#[test]
fn what_was_sent_before_the_end_is_settled_by_the_server_and_the_rest_at_once() {
    let (mut world, handle) = World::chatting();
    let mut sent = world.send(7);
    assert_eq!(world.frames().len(), 1);
    world.held.lost();
    let mut unsent = world.send(8);
    world.push(Gone { chat: handle.id() });
    let refused = unsent.try_recv().unwrap().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::CHAT_UNKNOWN));
    assert!(sent.try_recv().is_err(), "the partner may have it");
    world.welcome(None, None);
    let request = only_request(&world.frames());
    world.push(Ack {
        request,
        position: Position::new(1, 1),
        at_ms: 1,
    });
    assert_eq!(sent.try_recv().unwrap().unwrap().position.seq, 1);
}

#[test]
fn an_erased_chat_is_given_up() {
    let (mut world, mut handle) = World::chatting();
    world.push(Gone { chat: handle.id() });
    assert_eq!(handle.events.try_recv().unwrap(), ChatEvent::Gone);
    assert_eq!(world.held.resume(), []);
}

#[test]
fn the_oldest_chats_are_forgotten() {
    let mut world = World::open();
    for id in 1..=RESUME_CHATS_MAX as u8 + 1 {
        world.welcome(None, Some(chat(id)));
    }
    assert_eq!(world.held.resume().len(), RESUME_CHATS_MAX);
    assert!(world.held.view(chat(1).chat).is_err());
}

#[test]
fn closing_answers_everybody() {
    let (mut world, mut handle) = World::chatting();
    let (mut joined, mut sent) = (world.join(), world.send(7));
    let error = Error::Closed {
        code: Some(CloseCode::REPLACED),
    };
    world.held.close(&error);
    assert_eq!(
        joined.try_recv().unwrap().unwrap_err().close_code(),
        Some(CloseCode::REPLACED)
    );
    assert_eq!(
        sent.try_recv().unwrap().unwrap_err().close_code(),
        Some(CloseCode::REPLACED)
    );
    assert!(handle.events.try_recv().is_err());
}
