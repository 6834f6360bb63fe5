//! The client's side, case by case.

use std::time::{Duration, Instant};

use super::*;
use crate::conversation::client;

/// A client conversation with its clock.
struct Client {
    talk: ClientConversation,
    now: Instant,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        let mut talk = ClientConversation::new(hello(), now);
        assert_eq!(
            talk.poll_output(),
            Some(client::Output::Transmit(Lane::Live, hello().into()))
        );
        assert_eq!(talk.poll_output(), None);
        Self { talk, now }
    }

    fn ready() -> Self {
        let mut client = Self::new();
        let out = client.live(&envelope::encode(&welcome()));
        assert_eq!(out, [client::Output::Welcome(Box::new(welcome()))]);
        client
    }

    fn input(&mut self, input: client::Input<'_>) -> Vec<client::Output> {
        self.talk.handle_input(input, self.now);
        std::iter::from_fn(|| self.talk.poll_output()).collect()
    }

    fn live(&mut self, bytes: &[u8]) -> Vec<client::Output> {
        self.input(client::Input::LiveBytes(bytes))
    }

    fn bulk(&mut self, bytes: &[u8]) -> Vec<client::Output> {
        self.input(client::Input::BulkBytes(bytes))
    }

    fn expire(&mut self, after: Duration) -> Vec<client::Output> {
        assert_eq!(self.talk.poll_timeout(), Some(self.now + after));
        self.talk
            .handle_timeout(self.now + after - Duration::from_millis(1));
        assert_eq!(self.talk.poll_output(), None, "a deadline came early");
        self.now += after;
        self.talk.handle_timeout(self.now);
        std::iter::from_fn(|| self.talk.poll_output()).collect()
    }

    fn closes(mut self, out: Vec<client::Output>, code: CloseCode) {
        assert_eq!(
            out,
            [client::Output::Transmit(Lane::Live, bye(code).into())]
        );
        assert_eq!(self.live(b"\xff\xff"), []);
        assert_eq!(self.expire(CLOSE_DEADLINE), [closed(Some(code), 0)]);
        assert_eq!(self.input(client::Input::LinkClosed), []);
        assert_eq!(self.talk.poll_timeout(), None);
    }
}

fn closed(code: Option<CloseCode>, retry_after_ms: u32) -> client::Output {
    client::Output::Closed {
        code,
        should_reconnect: code.is_none_or(CloseCode::should_reconnect),
        retry_after_ms,
    }
}

#[test]
fn client_refuses_what_a_server_may_not_say() {
    let welcome_twice: Vec<u8> = envelope::encode(&welcome()).into();
    let cases: Vec<(&str, Client, Vec<u8>, CloseCode)> = vec![
        (
            "early push",
            Client::new(),
            envelope::encode(&Done { request: 1 }).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "early unknown",
            Client::new(),
            raw(9_999, b""),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "second welcome",
            Client::ready(),
            welcome_twice,
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "client's frame",
            Client::ready(),
            envelope::encode(&leave(1)).into(),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "bad body",
            Client::ready(),
            raw(Ack::KIND, b""),
            CloseCode::BAD_FRAME,
        ),
        (
            "large",
            Client::ready(),
            vec![34, 252, 1, 0, 1, 0],
            CloseCode::FRAME_TOO_LARGE,
        ),
        (
            "malformed",
            Client::ready(),
            vec![255],
            CloseCode::BAD_FRAME,
        ),
    ];
    for (name, mut client, bytes, code) in cases {
        let out = client.live(&bytes);
        assert_eq!(out.len(), 1, "{name}: {out:?}");
        client.closes(out, code);
    }
    let mut client = Client::ready();
    let out = client.bulk(&envelope::encode(&Done { request: 1 }));
    client.closes(out, CloseCode::WRONG_LANE);
    let mut client = Client::new();
    let out = client.bulk(&[65]);
    client.closes(out, CloseCode::OUT_OF_PHASE);
}

#[test]
fn client_hands_out_pushes_of_every_lane() {
    let mut client = Client::ready();
    let fail = Fail {
        request: 5,
        code: crate::ErrorCode::CHAT_UNKNOWN,
        retry_after_ms: 0,
        detail: String::new(),
    };
    let page = Page {
        request: 5,
        messages: vec![],
        has_more: false,
    };
    let typing = MemberTyping {
        chat: chat(),
        member: 1,
        is_typing: true,
    };
    assert_eq!(
        client.live(&envelope::encode(&fail)),
        [client::Output::Push(fail.clone().into())]
    );
    let both = [envelope::encode(&fail), envelope::encode(&page)].concat();
    assert_eq!(
        client.bulk(&both),
        [
            client::Output::Push(fail.into()),
            client::Output::Push(page.into())
        ]
    );
    assert_eq!(
        client.input(client::Input::Datagram(&envelope::encode_datagram(&typing))),
        [client::Output::Push(typing.into())]
    );
    assert_eq!(
        client.input(client::Input::Message(envelope::encode(&typing))),
        [client::Output::Push(typing.into())]
    );
    let wrong = envelope::encode_datagram(&Done { request: 1 });
    assert_eq!(client.input(client::Input::Datagram(&wrong)), []);
    assert_eq!(client.talk.dropped_datagrams(), 1);
}

#[test]
fn client_pings_when_either_side_was_silent() {
    let mut client = Client::ready();
    let ping = |nonce| client::Output::Transmit(Lane::Live, Ping { nonce }.into());
    assert_eq!(client.expire(PING_INTERVAL), [ping(1)]);
    assert_eq!(client.live(&envelope::encode(&Pong { nonce: 1 })), []);

    // Our own frames count, but a silent server is still pinged.
    client.now += PING_INTERVAL / 2;
    client.input(client::Input::Sent);
    client.live(&envelope::encode(&Done { request: 1 }));
    client.now += PING_INTERVAL / 2;
    client.input(client::Input::Sent);
    assert_eq!(client.expire(PING_INTERVAL / 2), [ping(2)]);

    // Frames in front of the Pong keep the connection alive.
    client.now += PONG_DEADLINE / 2;
    client.live(&envelope::encode(&Done { request: 1 }));
    assert_eq!(
        client.expire(PONG_DEADLINE),
        [closed(Some(CloseCode::IDLE), 0)]
    );
}

/// A client whose person looks at what comes, and to whom something was just said.
fn reading_client() -> Client {
    let mut client = Client::ready();
    client.live(&envelope::encode(&Done { request: 1 }));
    assert_eq!(client.input(client::Input::Watched(true)), []);
    client
}

#[test]
fn client_whose_person_reads_finds_a_dead_server_within_6_s() {
    let mut client = reading_client();
    let ping = client::Output::Transmit(Lane::Live, Ping { nonce: 1 }.into());
    assert_eq!(client.expire(QUICK_PING_INTERVAL), [ping]);
    assert_eq!(
        client.expire(QUICK_PONG_DEADLINE),
        [closed(Some(CloseCode::IDLE), 0)]
    );
    assert!(QUICK_PING_INTERVAL + QUICK_PONG_DEADLINE < Duration::from_secs(6));
}

#[test]
fn client_pings_quickly_only_while_somebody_looks_and_something_was_said_lately() {
    let mut client = reading_client();
    client.input(client::Input::Watched(false));
    assert_eq!(client.talk.poll_timeout(), Some(client.now + PING_INTERVAL));
    client.input(client::Input::Watched(true));

    let start = client.now;
    let mut pings = 0;
    while client.now < start + QUICK_FOR + 2 * PING_INTERVAL {
        client.now += Duration::from_millis(100);
        client.talk.handle_timeout(client.now);
        if client.talk.poll_output().is_some() {
            pings += 1;
            client.live(&envelope::encode(&Pong { nonce: pings }));
        }
    }
    // 39 in two minutes, then one each 20 s.
    assert_eq!(pings, 39 + 2);

    client.input(client::Input::Sent);
    assert!(
        client.talk.poll_timeout().unwrap() <= client.now,
        "the server was silent"
    );
    let mut idle = Client::ready();
    idle.input(client::Input::Watched(true));
    assert_eq!(idle.talk.poll_timeout(), Some(idle.now + PING_INTERVAL));
}

#[test]
fn client_on_a_slow_path_waits_three_round_trips_for_a_quick_pong() {
    let mut client = reading_client();
    client.expire(QUICK_PING_INTERVAL);
    client.now += Duration::from_secs(2);
    client.live(&envelope::encode(&Pong { nonce: 1 }));
    client.expire(QUICK_PING_INTERVAL);
    assert_eq!(
        client.expire(Duration::from_secs(6)),
        [closed(Some(CloseCode::IDLE), 0)]
    );
}

#[test]
fn client_takes_a_long_batch_in_one_message() {
    let frame = envelope::encode(&Done { request: 1 });
    let count = WEBSOCKET_BATCH_BYTES_MAX / frame.len();
    let mut client = Client::ready();
    let batch = frame.repeat(count);
    assert_eq!(
        client.input(client::Input::Message(batch.into())).len(),
        count
    );
    let too_long = frame.repeat(count + 1);
    let out = client.input(client::Input::Message(too_long.into()));
    client.closes(out, CloseCode::FRAME_TOO_LARGE);
}

#[test]
fn client_answers_pings() {
    let mut client = Client::ready();
    let out = client.live(&envelope::encode(&Ping { nonce: 3 }));
    assert_eq!(
        out,
        [client::Output::Transmit(
            Lane::Live,
            Pong { nonce: 3 }.into()
        )]
    );
}

#[test]
fn client_gives_up_waiting_for_welcome() {
    let mut client = Client::new();
    assert_eq!(
        client.expire(2 * HELLO_DEADLINE),
        [closed(Some(CloseCode::IDLE), 0)]
    );
}

#[test]
fn client_takes_the_end_from_the_bye() {
    for (code, should_reconnect) in [
        (CloseCode::SLOW, true),
        (CloseCode(4_499), true),
        (CloseCode::REPLACED, false),
        (CloseCode(4_999), false),
    ] {
        let mut client = Client::ready();
        let bye = Bye {
            retry_after_ms: 9,
            ..bye(code)
        };
        let out = client.live(&envelope::encode(&bye));
        let end = client::Output::Closed {
            code: Some(code),
            should_reconnect,
            retry_after_ms: 9,
        };
        assert_eq!(out, [end]);
        assert_eq!(client.input(client::Input::LinkClosed), []);
    }
    let mut client = Client::ready();
    assert_eq!(client.input(client::Input::LinkClosed), [closed(None, 0)]);
    let mut client = Client::ready();
    let out = client.input(client::Input::Close(bye(CloseCode::CLIENT_LEFT)));
    assert_eq!(out.len(), 1);
    let end = closed(Some(CloseCode::CLIENT_LEFT), 0);
    assert_eq!(client.input(client::Input::LinkClosed), [end]);
}

#[test]
fn client_follows_a_drain() {
    let mut client = Client::ready();
    let out = client.live(&envelope::encode(&goaway()));
    assert_eq!(out, [client::Output::GoAway(goaway())]);
    assert_eq!(client.talk.phase(), Phase::Draining);
    assert_eq!(
        client.live(&envelope::encode(&Done { request: 1 })).len(),
        1
    );
}

#[test]
fn client_takes_a_frame_once_from_copy_and_stream() {
    let mut client = Client::ready();
    let start = envelope::encode(&welcome()).len() as u64;
    let done = envelope::encode(&Done { request: 1 });
    let copy = |offset| {
        let bytes = done.clone();
        envelope::encode_datagram(&LaneCopy { offset, bytes })
    };
    let pushed = [client::Output::Push(Done { request: 1 }.into())];
    assert_eq!(client.input(client::Input::Datagram(&copy(start))), pushed);
    assert_eq!(client.live(&done), [], "the stream brings it once more");
    assert_eq!(client.talk.dropped_datagrams(), 0);
    let behind_a_gap = copy(start + 1_000);
    assert_eq!(client.input(client::Input::Datagram(&behind_a_gap)), []);
    assert_eq!(client.talk.dropped_datagrams(), 1);
}

#[test]
fn client_skips_unknown_frames_up_to_a_bound() {
    let mut client = Client::ready();
    let unknown = raw(70_000, b"from the future");
    for _ in 0..UNKNOWN_FRAMES_MAX {
        assert_eq!(client.live(&unknown), []);
    }
    assert_eq!(client.talk.unknown_frames(), UNKNOWN_FRAMES_MAX);
    let done = envelope::encode(&Done { request: 1 });
    assert_eq!(client.live(&done).len(), 1);
    let out = client.live(&unknown);
    client.closes(out, CloseCode::TOO_MANY_UNKNOWN);
}
