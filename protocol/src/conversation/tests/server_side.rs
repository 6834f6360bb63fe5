//! The server's side, case by case.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::{Position, conversation::server};

/// A server conversation with its clock.
struct Server {
    talk: ServerConversation,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            talk: ServerConversation::new(now),
            now,
        }
    }

    fn greeted() -> Self {
        let mut server = Self::new();
        let out = server.live(&envelope::encode(&hello()));
        assert_eq!(out, [server::Output::Hello(hello())]);
        server
    }

    fn ready() -> Self {
        let mut server = Self::greeted();
        let out = server.input(server::Input::Admit(Box::new(welcome())));
        let sent = Welcome {
            version: 1,
            ..welcome()
        };
        assert_eq!(out, [server::Output::Transmit(Lane::Live, sent.into())]);
        server
    }

    fn input(&mut self, input: server::Input<'_>) -> Vec<server::Output> {
        self.talk.handle_input(input, self.now);
        std::iter::from_fn(|| self.talk.poll_output()).collect()
    }

    fn live(&mut self, bytes: &[u8]) -> Vec<server::Output> {
        self.input(server::Input::LiveBytes(bytes))
    }

    fn datagram(&mut self, bytes: &[u8]) -> Vec<server::Output> {
        self.input(server::Input::Datagram(bytes))
    }

    fn bulk(&mut self, bytes: &[u8]) -> Vec<server::Output> {
        self.input(server::Input::BulkBytes(bytes))
    }

    /// Lets time pass up to the next deadline, which must be `after` from now.
    fn expire(&mut self, after: Duration) -> Vec<server::Output> {
        assert_eq!(self.talk.poll_timeout(), Some(self.now + after));
        self.talk
            .handle_timeout(self.now + after - Duration::from_millis(1));
        assert_eq!(self.talk.poll_output(), None, "a deadline came early");
        self.now += after;
        self.talk.handle_timeout(self.now);
        std::iter::from_fn(|| self.talk.poll_output()).collect()
    }

    /// Asserts one `Bye` with `code`, silence to more input, and one `Close` 2 s later.
    fn closes(mut self, out: Vec<server::Output>, code: CloseCode) {
        assert_eq!(
            out,
            [server::Output::Transmit(Lane::Live, bye(code).into())]
        );
        assert_eq!(self.talk.phase(), Phase::Closing);
        assert_eq!(self.live(b"\xff\xff\xff"), []);
        assert_eq!(self.bulk(b"\xff\xff\xff"), []);
        assert_eq!(self.input(server::Input::Close(bye(CloseCode::SLOW))), []);
        assert_eq!(self.expire(CLOSE_DEADLINE), [server::Output::Close(code)]);
        assert_eq!(self.talk.poll_timeout(), None);
        assert_eq!(self.talk.phase(), Phase::Closed);
        assert_eq!(self.input(server::Input::LinkClosed), []);
    }
}

#[test]
fn server_refuses_all_but_a_good_hello_first() {
    let long_agent = Hello {
        agent: "a".repeat(AGENT_BYTES_MAX + 1),
        ..hello()
    };
    let long_token = Hello {
        connect_token: "t".repeat(CONNECT_TOKEN_BYTES_MAX + 1),
        ..hello()
    };
    let foreign_token = Hello {
        connect_token: "tökén".into(),
        ..hello()
    };
    let resume = |count: u8, step: u8| Hello {
        resume: (0..count)
            .map(|n| Resume {
                chat: ChatId::from_bytes([n * step; 16]),
                position: Position::START,
            })
            .collect(),
        ..hello()
    };
    let versions = |min, max| Hello {
        versions: VersionRange { min, max },
        ..hello()
    };
    let future = [251, 0, 1, 251, 0, 2, 255, 255];
    let large = [1, 251, 1, 16];
    let cases: Vec<(&str, Vec<u8>, CloseCode)> = vec![
        (
            "leave",
            envelope::encode(&leave(1)).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "bye",
            envelope::encode(&bye(CloseCode::CLIENT_LEFT)).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "welcome",
            envelope::encode(&welcome()).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        ("unknown type", raw(9_999, b"x"), CloseCode::OUT_OF_PHASE),
        ("bad varint", vec![254], CloseCode::BAD_FRAME),
        (
            "wide type",
            vec![253, 0, 0, 0, 0, 1, 0, 0, 0, 0],
            CloseCode::BAD_FRAME,
        ),
        ("too large", large.into(), CloseCode::FRAME_TOO_LARGE),
        ("empty hello", raw(1, b""), CloseCode::BAD_FRAME),
        ("cut hello", raw(1, &[1, 1, 5, b'a']), CloseCode::BAD_FRAME),
        (
            "agent",
            envelope::encode(&long_agent).into(),
            CloseCode::BAD_FRAME,
        ),
        (
            "token",
            envelope::encode(&long_token).into(),
            CloseCode::BAD_FRAME,
        ),
        (
            "token not ascii",
            envelope::encode(&foreign_token).into(),
            CloseCode::BAD_FRAME,
        ),
        (
            "five chats",
            envelope::encode(&resume(5, 1)).into(),
            CloseCode::BAD_FRAME,
        ),
        (
            "same chat twice",
            envelope::encode(&resume(2, 0)).into(),
            CloseCode::BAD_FRAME,
        ),
        (
            "newer",
            envelope::encode(&versions(2, 9)).into(),
            CloseCode::VERSION_UNSUPPORTED,
        ),
        (
            "older",
            envelope::encode(&versions(0, 0)).into(),
            CloseCode::VERSION_UNSUPPORTED,
        ),
        (
            "inverted",
            envelope::encode(&versions(2, 1)).into(),
            CloseCode::VERSION_UNSUPPORTED,
        ),
        (
            "newer, unreadable",
            raw(1, &future),
            CloseCode::VERSION_UNSUPPORTED,
        ),
    ];
    for (name, bytes, code) in cases {
        let mut server = Server::new();
        let out = server.live(&bytes);
        assert_eq!(out.len(), 1, "{name}: {out:?}");
        server.closes(out, code);
    }
}

#[test]
fn server_takes_a_hello_at_its_bounds() {
    let mut server = Server::new();
    let hello = Hello {
        versions: VersionRange { min: 0, max: 9 },
        connect_token: "t".repeat(CONNECT_TOKEN_BYTES_MAX),
        agent: "a".repeat(AGENT_BYTES_MAX),
        resume: (0..RESUME_CHATS_MAX as u8)
            .map(|n| Resume {
                chat: ChatId::from_bytes([n; 16]),
                position: Position::new(u32::MAX, u64::MAX),
            })
            .collect(),
    };
    for byte in envelope::encode(&hello) {
        assert_eq!(server.talk.poll_output(), None);
        server
            .talk
            .handle_input(server::Input::LiveBytes(&[byte]), server.now);
    }
    assert_eq!(
        server.talk.poll_output(),
        Some(server::Output::Hello(hello))
    );
    assert_eq!(server.talk.agreed_version(), Some(1));
}

#[test]
fn server_refuses_what_an_open_connection_may_not_say() {
    let live: Vec<(&str, Vec<u8>, CloseCode)> = vec![
        (
            "second hello",
            envelope::encode(&hello()).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "server's frame",
            envelope::encode(&Done { request: 1 }).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        ("bad body", raw(Leave::KIND, b""), CloseCode::BAD_FRAME),
        (
            "bad bool",
            raw(Typing::KIND, &[2; 17]),
            CloseCode::BAD_FRAME,
        ),
        (
            "bad utf-8",
            raw(Join::KIND, &[1, 1, 0xff, 0]),
            CloseCode::BAD_FRAME,
        ),
        (
            "large",
            vec![32, 252, 1, 0, 1, 0],
            CloseCode::FRAME_TOO_LARGE,
        ),
        (
            "huge",
            vec![32, 253, 255, 255, 255, 255, 255, 255, 255, 255],
            CloseCode::FRAME_TOO_LARGE,
        ),
        ("malformed", vec![32, 255], CloseCode::BAD_FRAME),
    ];
    for (name, bytes, code) in live {
        let mut server = Server::ready();
        let out = server.live(&bytes);
        assert_eq!(out.len(), 1, "{name}: {out:?}");
        server.closes(out, code);
        let mut server = Server::ready();
        let out = server.input(server::Input::Message(bytes.into()));
        server.closes(out, code);
    }
    for frame in [envelope::encode(&leave(1)), envelope::encode(&typing())] {
        let mut server = Server::ready();
        let out = server.bulk(&frame);
        server.closes(out, CloseCode::WRONG_LANE);
    }
}

#[test]
fn server_refuses_bulk_bytes_before_welcome() {
    for mut server in [Server::new(), Server::greeted()] {
        assert_eq!(server.bulk(b""), []);
        let out = server.bulk(&[64]);
        server.closes(out, CloseCode::OUT_OF_PHASE);
    }
}

#[test]
fn server_refuses_frames_between_hello_and_welcome() {
    let mut server = Server::greeted();
    let out = server.live(&envelope::encode(&Ping { nonce: 1 }));
    server.closes(out, CloseCode::OUT_OF_PHASE);

    let mut server = Server::new();
    let pipelined = [envelope::encode(&hello()), envelope::encode(&leave(1))].concat();
    server
        .talk
        .handle_input(server::Input::LiveBytes(&pipelined), server.now);
    assert_eq!(
        server.talk.poll_output(),
        Some(server::Output::Hello(hello()))
    );
    let out = server.input(server::Input::Admit(Box::new(welcome())));
    server.closes(out, CloseCode::OUT_OF_PHASE);
}

#[test]
fn server_hands_out_requests_with_their_lane() {
    let mut server = Server::ready();
    let two = [envelope::encode(&leave(1)), envelope::encode(&history())].concat();
    assert_eq!(
        server.live(&two),
        [
            server::Output::Request(leave(1).into(), Lane::Live),
            server::Output::Request(history().into(), Lane::Live),
        ]
    );
    assert_eq!(
        server.bulk(&envelope::encode(&history())),
        [server::Output::Request(history().into(), Lane::Bulk)]
    );
    assert_eq!(
        server.input(server::Input::Datagram(&envelope::encode_datagram(
            &typing()
        ))),
        [server::Output::Request(typing().into(), Lane::Datagram)]
    );
    let message = [envelope::encode(&typing()), envelope::encode(&leave(2))].concat();
    assert_eq!(
        server.input(server::Input::Message(message.into())),
        [
            server::Output::Request(typing().into(), Lane::Live),
            server::Output::Request(leave(2).into(), Lane::Live),
        ]
    );
}

#[test]
fn server_answers_pings_itself() {
    let mut server = Server::ready();
    let out = server.live(&envelope::encode(&Ping { nonce: 77 }));
    let pong = Pong { nonce: 77 };
    assert_eq!(out, [server::Output::Transmit(Lane::Live, pong.into())]);
    assert_eq!(server.live(&envelope::encode(&pong)), []);
}

#[test]
fn server_takes_a_frame_once_from_copy_and_stream() {
    let mut server = Server::ready();
    let (first, second) = (envelope::encode(&leave(1)), envelope::encode(&leave(2)));
    let taken = |n| [server::Output::Request(leave(n).into(), Lane::Live)];
    let opening = envelope::encode(&hello()).len();
    let copy = |offset: usize, bytes: &Bytes| {
        envelope::encode_datagram(&LaneCopy {
            offset: (opening + offset) as u64,
            bytes: bytes.clone(),
        })
    };
    let both: Bytes = [&first[..], &second[..]].concat().into();
    assert_eq!(server.datagram(&copy(0, &first)), taken(1));
    assert_eq!(server.datagram(&copy(0, &both)), taken(2));
    assert_eq!(server.live(&both), []);
    assert_eq!(server.datagram(&copy(0, &both)), []);
    // A copy may bring the rest of a frame that the stream has begun.
    assert_eq!(server.live(&first[..3]), []);
    assert_eq!(server.datagram(&copy(both.len(), &first)), taken(1));
    assert_eq!(server.talk.dropped_datagrams(), 0);
    let on_lane = LaneCopy {
        offset: (opening + both.len() + first.len()) as u64,
        bytes: first.clone(),
    };
    assert_eq!(server.live(&first[3..]), []);
    assert_eq!(server.live(&envelope::encode(&on_lane)), []);
}

#[test]
fn server_drops_and_counts_bad_datagrams() {
    let mut server = Server::new();
    let good = envelope::encode_datagram(&typing());
    assert_eq!(server.input(server::Input::Datagram(&good)), []);
    let mut server = Server::ready();
    let long = [&good[..], &[0; DATAGRAM_BYTES_MAX]].concat();
    let cases = [
        vec![],
        vec![254],
        vec![80],
        vec![250, 1],
        long,
        envelope::encode_datagram(&leave(1)).into(),
        envelope::encode_datagram(&MemberTyping {
            chat: chat(),
            member: 0,
            is_typing: true,
        })
        .into(),
        // It belongs after bytes that have not arrived.
        envelope::encode_datagram(&LaneCopy {
            offset: 1 << 40,
            bytes: envelope::encode(&leave(1)),
        })
        .into(),
    ];
    for (index, datagram) in cases.iter().enumerate() {
        assert_eq!(
            server.input(server::Input::Datagram(datagram)),
            [],
            "case {index}"
        );
        assert_eq!(server.talk.dropped_datagrams(), index as u64 + 1);
    }
    assert_eq!(server.talk.phase(), Phase::Ready);
}

#[test]
fn server_skips_unknown_frames_up_to_a_bound() {
    let mut server = Server::ready();
    let unknown = raw(70_000, b"from the future");
    for _ in 0..UNKNOWN_FRAMES_MAX {
        assert_eq!(server.live(&unknown), []);
    }
    assert_eq!(server.talk.unknown_frames(), UNKNOWN_FRAMES_MAX);
    assert_eq!(server.live(&envelope::encode(&leave(1))).len(), 1);
    let out = server.bulk(&unknown);
    server.closes(out, CloseCode::TOO_MANY_UNKNOWN);
}

#[test]
fn server_requires_whole_websocket_messages() {
    let frame = envelope::encode(&leave(1));
    for (bytes, code) in [
        (Bytes::new(), CloseCode::BAD_FRAME),
        (frame.slice(..1), CloseCode::BAD_FRAME),
        (frame.slice(..frame.len() - 1), CloseCode::BAD_FRAME),
        (
            vec![0; WEBSOCKET_MESSAGE_BYTES_MAX + 1].into(),
            CloseCode::FRAME_TOO_LARGE,
        ),
    ] {
        let mut server = Server::ready();
        let out = server.input(server::Input::Message(bytes));
        server.closes(out, code);
    }
    let mut server = Server::ready();
    let cut = [&frame[..], &frame[..4]].concat();
    let mut out = server.input(server::Input::Message(cut.into()));
    assert_eq!(
        out.remove(0),
        server::Output::Request(leave(1).into(), Lane::Live)
    );
    server.closes(out, CloseCode::BAD_FRAME);
}

#[test]
fn server_holds_every_deadline() {
    let mut server = Server::new();
    let out = server.expire(HELLO_DEADLINE);
    server.closes(out, CloseCode::HELLO_LATE);

    let mut server = Server::new();
    server.live(&[1, 20, 1]);
    let out = server.expire(HELLO_DEADLINE);
    server.closes(out, CloseCode::HELLO_LATE);

    let mut server = Server::greeted();
    let out = server.expire(HELLO_DEADLINE);
    server.closes(out, CloseCode::INTERNAL);

    let mut server = Server::ready();
    server.now += IDLE_TIMEOUT / 2;
    server.input(server::Input::Datagram(&envelope::encode_datagram(
        &typing(),
    )));
    let out = server.expire(IDLE_TIMEOUT);
    server.closes(out, CloseCode::IDLE);
}

#[test]
fn server_bounds_the_time_of_a_partial_frame_on_each_lane() {
    let frame = envelope::encode(&history());
    for is_bulk in [false, true] {
        let mut server = Server::ready();
        let feed = |server: &mut Server, bytes: &[u8]| match is_bulk {
            true => server.bulk(bytes),
            false => server.live(bytes),
        };
        // A few more bytes do not move the deadline; the end of the frame does.
        feed(&mut server, &frame[..1]);
        server.now += PARTIAL_FRAME_DEADLINE / 2;
        assert_eq!(feed(&mut server, &frame[1..3]), []);
        assert_eq!(
            server.talk.poll_timeout(),
            Some(server.now + PARTIAL_FRAME_DEADLINE / 2)
        );
        let rest = [&frame[3..], &frame[..2]].concat();
        assert_eq!(feed(&mut server, &rest).len(), 1);
        let out = server.expire(PARTIAL_FRAME_DEADLINE);
        server.closes(out, CloseCode::FRAME_LATE);
    }
    let mut server = Server::ready();
    server.live(&frame);
    assert_eq!(server.talk.poll_timeout(), Some(server.now + IDLE_TIMEOUT));
}

#[test]
fn server_drops_a_frame_that_the_bulk_lane_ends_inside_of() {
    let frame = envelope::encode(&history());
    let mut server = Server::ready();
    for cut in 1..frame.len() {
        assert_eq!(server.bulk(&frame[..cut]), []);
        assert_eq!(server.input(server::Input::BulkEnded), []);
        assert_eq!(
            server.talk.poll_timeout(),
            Some(server.now + IDLE_TIMEOUT),
            "nothing is late"
        );
        assert_eq!(
            server.bulk(&frame),
            [server::Output::Request(history().into(), Lane::Bulk)]
        );
    }
    // The live lane keeps the bytes that it has.
    assert_eq!(server.live(&frame[..1]), []);
    assert_eq!(server.input(server::Input::BulkEnded), []);
    assert_eq!(server.live(&frame[1..]).len(), 1);
}

#[test]
fn server_drains_and_still_serves() {
    let mut server = Server::ready();
    let out = server.input(server::Input::Drain(goaway()));
    assert_eq!(out, [server::Output::Transmit(Lane::Live, goaway().into())]);
    assert_eq!(server.input(server::Input::Drain(goaway())), []);
    assert_eq!(server.live(&envelope::encode(&leave(1))).len(), 1);
    assert_eq!(server.talk.phase(), Phase::Draining);
    let out = server.input(server::Input::Close(bye(CloseCode::GOING_AWAY)));
    server.closes(out, CloseCode::GOING_AWAY);

    for mut server in [Server::new(), Server::greeted()] {
        let out = server.input(server::Input::Drain(goaway()));
        let sent = Bye {
            retry_after_ms: 700,
            ..bye(CloseCode::GOING_AWAY)
        };
        assert_eq!(out, [server::Output::Transmit(Lane::Live, sent.into())]);
        assert_eq!(
            server.expire(CLOSE_DEADLINE),
            [server::Output::Close(CloseCode::GOING_AWAY)]
        );
    }
}

#[test]
fn server_ends_at_once_when_the_client_leaves() {
    let left = envelope::encode(&bye(CloseCode::CLIENT_LEFT));
    for mut server in [Server::greeted(), Server::ready()] {
        let out = server.live(&[&left[..], &left[..]].concat());
        assert_eq!(out, [server::Output::Close(CloseCode::CLIENT_LEFT)]);
        assert_eq!(server.input(server::Input::Admit(Box::new(welcome()))), []);
        assert_eq!(server.talk.poll_timeout(), None);
    }
    let mut server = Server::ready();
    assert_eq!(server.input(server::Input::LinkClosed), []);
    assert_eq!(server.talk.phase(), Phase::Closed);
    assert_eq!(server.talk.poll_timeout(), None);
}

#[test]
fn server_refusal_is_a_bye() {
    let mut server = Server::greeted();
    let out = server.input(server::Input::Refuse(bye(CloseCode::TOKEN_REFUSED)));
    server.closes(out, CloseCode::TOKEN_REFUSED);
}
