//! G10: a client that does not read is closed and holds nobody up. G11: hostile bytes cost their
//! sender a typed code, and the server keeps working.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Duration;

use e2e::{Person, ServerOptions, TestServer, within};
use nowrong_client::{
    ChatEvent, ConnectOptions, LinkOptions, NewAccount, RawConnection, Transport,
};
use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, CloseCode, ErrorCode, ServerFrame, envelope,
    frame::{Body, Join, Lane, Leave, Ping, SeatState, Send},
    limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, TEXT_BYTES_MAX},
    version::VersionRange,
};

const SOON: Duration = Duration::from_secs(20);

fn over(transport: Transport) -> LinkOptions {
    LinkOptions {
        transport,
        ..LinkOptions::default()
    }
}

/// What a client sends instead of, or after, a good `Hello`.
enum Hostile {
    InsteadOfHello(Vec<u8>),
    AfterWelcome(Vec<u8>),
}

fn header(kind: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    envelope::put_varint(kind, &mut bytes);
    envelope::put_varint(length, &mut bytes);
    bytes
}

fn cases() -> Vec<(&'static str, Hostile, CloseCode)> {
    use Hostile::{AfterWelcome, InsteadOfHello};
    let ping = envelope::encode(&Ping { nonce: 1 }).to_vec();
    let hello = |change: fn(&mut nowrong_protocol::frame::Hello)| {
        let mut hello = RawConnection::hello("a token that nobody issued");
        change(&mut hello);
        InsteadOfHello(ClientFrame::from(hello).encode().to_vec())
    };
    let with_body = |kind, body: &[u8]| [header(kind, body.len() as u64), body.to_vec()].concat();
    let unknown: Vec<u8> = (0..1_100).flat_map(|_| with_body(9_999, b"")).collect();
    vec![
        (
            "a ping before Hello",
            InsteadOfHello(ping.clone()),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "a token nobody issued",
            hello(|_| {}),
            CloseCode::TOKEN_REFUSED,
        ),
        (
            "a version of the future",
            hello(|hello| hello.versions = VersionRange { min: 90, max: 99 }),
            CloseCode::VERSION_UNSUPPORTED,
        ),
        (
            "an agent too long",
            hello(|hello| hello.agent = "a".repeat(65)),
            CloseCode::BAD_FRAME,
        ),
        (
            "a Hello over its limit",
            InsteadOfHello(header(1, HELLO_BYTES_MAX as u64 + 1)),
            CloseCode::FRAME_TOO_LARGE,
        ),
        (
            "a marker that is no varint",
            InsteadOfHello(vec![255; 4]),
            CloseCode::BAD_FRAME,
        ),
        (
            "a body that is no Join",
            AfterWelcome(with_body(16, &[250; 9])),
            CloseCode::BAD_FRAME,
        ),
        (
            "a frame of four gigabytes",
            AfterWelcome(header(32, 0xffff_ffff)),
            CloseCode::FRAME_TOO_LARGE,
        ),
        (
            "a frame one byte too long",
            AfterWelcome(header(32, FRAME_BYTES_MAX as u64 + 1)),
            CloseCode::FRAME_TOO_LARGE,
        ),
        (
            "a second Hello",
            AfterWelcome(with_body(1, &[0; 8])),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "a frame that only a server sends",
            AfterWelcome(with_body(34, b"")),
            CloseCode::OUT_OF_PHASE,
        ),
        (
            "noise of unknown types",
            AfterWelcome(unknown),
            CloseCode::TOO_MANY_UNKNOWN,
        ),
        (
            "pings as fast as they go",
            AfterWelcome(ping.repeat(2_500)),
            CloseCode::FLOODING,
        ),
    ]
}

async fn g11_over(transport: Transport) {
    let server = TestServer::start().await.unwrap();
    let user = server
        .api()
        .register(&NewAccount::named("Mallory"))
        .await
        .unwrap();
    for (what, hostile, expected) in cases() {
        let (mut raw, bytes) = match hostile {
            Hostile::InsteadOfHello(bytes) => {
                let endpoint = user.connect().await.unwrap().endpoint;
                (
                    RawConnection::open(&endpoint, &over(transport))
                        .await
                        .unwrap(),
                    bytes,
                )
            }
            Hostile::AfterWelcome(bytes) => (
                RawConnection::welcomed(&user, &over(transport))
                    .await
                    .unwrap()
                    .0,
                bytes,
            ),
        };
        raw.send_bytes(Lane::Live, bytes);
        let bye = raw
            .receive_bye(SOON)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(bye.code, expected, "{what}");
        raw.closed(SOON)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let (_raw, welcome) = RawConnection::welcomed(&user, &over(transport))
        .await
        .unwrap();
    assert_eq!(welcome.version, 1, "the server goes on");
}

#[tokio::test]
async fn g11_hostile_bytes_over_webtransport_cost_a_typed_code() {
    g11_over(Transport::WebTransport).await;
}

#[tokio::test]
async fn g11_hostile_bytes_over_websocket_cost_a_typed_code() {
    g11_over(Transport::WebSocket).await;
}

#[tokio::test]
async fn a_foreign_origin_is_told_in_band_and_a_token_works_once() {
    let server = TestServer::start().await.unwrap();
    let user = server
        .api()
        .register(&NewAccount::named("Mallory"))
        .await
        .unwrap();
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        let foreign = LinkOptions {
            origin: Some("https://evil.example".to_owned()),
            ..over(transport)
        };
        let connect = user.connect().await.unwrap();
        let mut raw = RawConnection::open(&connect.endpoint, &foreign)
            .await
            .unwrap();
        raw.send(RawConnection::hello(&connect.connect_token));
        assert_eq!(
            raw.receive_bye(SOON).await.unwrap().code,
            CloseCode::ORIGIN_REFUSED
        );

        let own = LinkOptions {
            origin: Some(server.url()),
            ..over(transport)
        };
        let mut raw = RawConnection::open(&connect.endpoint, &own).await.unwrap();
        raw.send(RawConnection::hello(&connect.connect_token));
        let welcome = raw.receive(SOON).await.unwrap();
        assert!(matches!(welcome, ServerFrame::Welcome(_)), "{welcome:?}");

        let mut again = RawConnection::open(&connect.endpoint, &own).await.unwrap();
        again.send(RawConnection::hello(&connect.connect_token));
        assert_eq!(
            again.receive_bye(SOON).await.unwrap().code,
            CloseCode::TOKEN_REFUSED
        );
    }
}

#[tokio::test]
async fn requests_that_cannot_be_carried_out_say_why() {
    let server = TestServer::start().await.unwrap();
    let [(_ana, ana_chat), _ben] = e2e::matched_pair(&server).await.unwrap();
    let user = server
        .api()
        .register(&NewAccount::named("Mallory"))
        .await
        .unwrap();
    let options = over(Transport::WebSocket);
    let (mut raw, _) = RawConnection::welcomed(&user, &options).await.unwrap();
    let send = |chat: ChatId, text: String| Send {
        request: 7,
        chat,
        client_message_id: ClientMessageId::from_bytes([1; 16]),
        reply_to: None,
        body: Body::Text(text),
    };
    let join = |category: &str| Join {
        request: 7,
        category: category.into(),
        interests: vec![],
    };
    let foreign = ana_chat.id();
    let cases: [(ClientFrame, ErrorCode); 3] = [
        (
            send(foreign, "let me in".into()).into(),
            ErrorCode::CHAT_UNKNOWN,
        ),
        (
            Leave {
                request: 7,
                chat: foreign,
            }
            .into(),
            ErrorCode::CHAT_UNKNOWN,
        ),
        (join("no-such-thing").into(), ErrorCode::CATEGORY_UNKNOWN),
    ];
    for (frame, expected) in cases {
        raw.send(frame.clone());
        let reply = raw.receive(SOON).await.unwrap();
        let ServerFrame::Fail(fail) = reply else {
            panic!("{frame:?}: {reply:?}")
        };
        assert_eq!((fail.request, fail.code), (7, expected), "{frame:?}");
    }
    let too_long = ana_chat
        .send("x".repeat(TEXT_BYTES_MAX + 1))
        .await
        .unwrap_err();
    assert_eq!(too_long.code(), Some(ErrorCode::TEXT_TOO_LONG));
    assert_eq!(
        ana_chat.send("  ").await.unwrap_err().code(),
        Some(ErrorCode::TEXT_EMPTY)
    );
}

#[tokio::test]
async fn g10_a_client_that_does_not_read_is_closed_and_holds_nobody_up() {
    let server = TestServer::start_with(ServerOptions::default())
        .await
        .unwrap();
    let ana = Person::arrive(&server, "Ana", ConnectOptions::default())
        .await
        .unwrap();
    let ben = server
        .api()
        .register(&NewAccount::named("Ben"))
        .await
        .unwrap();
    let options = over(Transport::WebTransport);
    let (mut deaf, _) = RawConnection::welcomed(&ben, &options).await.unwrap();
    deaf.send(Join {
        request: 1,
        category: "music".into(),
        interests: vec![],
    });
    let queued = deaf.receive(SOON).await.unwrap();
    assert!(matches!(queued, ServerFrame::Queued(_)), "{queued:?}");
    let mut ticket = ana.client.join("music", &[]).await.unwrap();
    let mut chat = within("a match", ticket.matched()).await.unwrap();
    let before = server.resident_bytes().unwrap();
    // From here on Ben reads nothing: 1.5 MB are more than his windows take.
    for count in 0..190 {
        // Graphemes of four bytes, so that a text within 2,000 of them has almost 8,000 bytes.
        let text = format!("{count} {}", "\u{1f600}".repeat(1_950));
        within("an ack", chat.send(text)).await.unwrap();
    }
    let held = within("the end of patience", async {
        loop {
            if let Some(ChatEvent::Seat { state, .. }) = chat.next_event().await {
                return state;
            }
        }
    });
    assert_eq!(held.await, SeatState::Held);
    let grown = server.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "a deaf client cost {grown} bytes");
    drop(deaf);
}

/// How many of 100 requests are refused because too many came before.
async fn refused(raw: &mut RawConnection) -> usize {
    let chat = ChatId::from_bytes([9; 16]);
    for request in 0..100 {
        raw.send(Leave { request, chat });
    }
    let mut refused = 0;
    for _ in 0..100 {
        match raw.receive(SOON).await.unwrap() {
            ServerFrame::Fail(fail) if fail.code == ErrorCode::RATE_LIMITED => refused += 1,
            ServerFrame::Fail(fail) => assert_eq!(fail.code, ErrorCode::CHAT_UNKNOWN),
            other => panic!("{other:?}"),
        }
    }
    refused
}

#[tokio::test]
async fn what_a_person_may_do_in_a_while_belongs_to_the_person_not_to_the_connection() {
    let server = TestServer::start().await.unwrap();
    let user = server.api().register(&NewAccount::named("Mallory")).await;
    let user = user.unwrap();
    let mut total = 0;
    for _ in 0..5 {
        let raw = RawConnection::welcomed(&user, &over(Transport::WebSocket)).await;
        let mut raw = raw.unwrap().0;
        total += refused(&mut raw).await;
        raw.close(CloseCode::CLIENT_LEFT).await;
    }
    // 200 at once, and 20 in each second since.
    assert!(total > 200, "only {total} of 500 were refused");
}
