//! `conversation.json`: a whole conversation byte by byte.

mod missteps;

use std::time::Instant;

use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, CloseCode, ConnectionId, Framed, Position, ServerFrame,
    TicketId,
    conversation::{ClientConversation, ServerConversation, client, server},
    frame::*,
    limits::*,
    version::VersionRange,
};
use serde_json::{Value, json};

use crate::{hex, hold, load, unhex};

const NOW_MS: u64 = 1_795_348_800_000;

fn chat() -> ChatId {
    ChatId::from_bytes(*b"\x01\x9a\xab\xcd\xef\x01\x72\x34\x95\x67\x89\xab\xcd\xef\x01\x23")
}

fn ticket() -> TicketId {
    TicketId::from_bytes(*b"\x01\x9a\xab\xcd\xee\xff\x7a\xaa\x8b\xbb\xcc\xcc\xdd\xdd\xee\xee")
}

fn message_id(byte: u8) -> ClientMessageId {
    ClientMessageId::from_bytes([byte; 16])
}

fn hello() -> Hello {
    Hello {
        versions: VersionRange::SUPPORTED,
        connect_token: "c0nnect-t0ken".into(),
        agent: "example/1.0".into(),
        resume: vec![],
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        connection: ConnectionId::from_bytes(
            *b"\x01\x9a\xab\xcd\xee\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x01",
        ),
        server_time_ms: NOW_MS,
        limits: Framed(Limits {
            frame_bytes_max: FRAME_BYTES_MAX as u32,
            text_bytes_max: TEXT_BYTES_MAX as u32,
            text_graphemes_max: TEXT_GRAPHEMES_MAX as u32,
            ping_interval_ms: PING_INTERVAL.as_millis() as u32,
            idle_timeout_ms: IDLE_TIMEOUT.as_millis() as u32,
            seat_hold_ms: SEAT_HOLD.as_millis() as u32,
        }),
        ticket: None,
        chat: None,
    }
}

fn queued() -> Queued {
    Queued {
        request: 1,
        ticket: Framed(TicketState {
            ticket: ticket(),
            category: "music".into(),
            interests: vec!["jazz".into()],
            since_ms: NOW_MS + 10,
            stage: Stage::Interests,
            waiting: 1,
        }),
    }
}

fn member(name: &str) -> Framed<Member> {
    Framed(Member {
        name: name.into(),
        language: "en".into(),
        seat: SeatState::Taken,
        held_until_ms: 0,
        delivered: Position::START,
        read: Position::START,
    })
}

fn matched() -> Matched {
    Matched {
        ticket: ticket(),
        chat: Framed(ChatState {
            chat: chat(),
            category: "music".into(),
            members: vec![member("Ada"), member("Bix")],
            you: 0,
            why: Framed(Why {
                shared_interests: vec!["jazz".into()],
                is_same_language: true,
            }),
            head: Position::START,
            resumed: Position::START,
            unread: 0,
            started_at_ms: NOW_MS + 900,
            expires_at_ms: NOW_MS + 900 + 86_400_000,
        }),
    }
}

/// A step of the example: its note, its lane, and its frame with the sender.
fn step(note: &str, lane: Lane, frame: impl Into<Said>) -> Value {
    let said = frame.into();
    let bytes = match lane {
        Lane::Datagram => said.datagram,
        _ => said.stream,
    };
    json!({
        "name": format!("example_{}", said.name),
        "note": note,
        "from": said.from,
        "lane": lane_name(lane),
        "frame": said.name,
        "kind": said.kind,
        "hex": hex(&bytes),
    })
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Live => "live",
        Lane::Bulk => "bulk",
        Lane::Datagram => "datagram",
    }
}

struct Said {
    from: &'static str,
    name: &'static str,
    kind: u32,
    stream: bytes::Bytes,
    datagram: bytes::Bytes,
}

macro_rules! said {
    ($($frames:ident $from:literal;)*) => {$(
        impl From<$frames> for Said {
            fn from(frame: $frames) -> Self {
                Self {
                    from: $from,
                    name: frame.name(),
                    kind: frame.kind(),
                    stream: frame.encode(),
                    datagram: frame.encode_datagram(),
                }
            }
        }
    )*};
}

said! {
    ClientFrame "client";
    ServerFrame "server";
}

fn client(note: &str, lane: Lane, frame: impl Into<ClientFrame>) -> Value {
    step(note, lane, frame.into())
}

fn server(note: &str, lane: Lane, frame: impl Into<ServerFrame>) -> Value {
    step(note, lane, frame.into())
}

fn example() -> Vec<Value> {
    use Lane::{Bulk, Datagram, Live};
    let (one, two) = (Position::new(1, 1), Position::new(1, 2));
    let received = Message {
        chat: chat(),
        position: two,
        member: 1,
        client_message_id: message_id(0xbb),
        at_ms: NOW_MS + 5_000,
        reply_to: Some(one),
        body: Body::Text("Coltrane!".into()),
    };
    let own = Message {
        position: one,
        member: 0,
        client_message_id: message_id(0xaa),
        at_ms: NOW_MS + 2_000,
        reply_to: None,
        body: Body::Text("Hi! Who is your favourite?".into()),
        ..received
    };
    vec![
        client("The client opens the live lane and greets.", Live, hello()),
        server(
            "The token is good; there is no ticket and no chat yet.",
            Live,
            welcome(),
        ),
        client(
            "Look for a partner.",
            Live,
            Join {
                request: 1,
                category: "music".into(),
                interests: vec!["jazz".into()],
            },
        ),
        server("Nobody waits: the user does.", Live, queued()),
        server("A partner came.", Live, matched()),
        client(
            "The client says that it types.",
            Datagram,
            Typing {
                chat: chat(),
                is_typing: true,
            },
        ),
        client(
            "It sends a message.",
            Live,
            Send {
                request: 2,
                chat: chat(),
                client_message_id: message_id(0xaa),
                reply_to: None,
                body: own.body.clone(),
            },
        ),
        server(
            "The message is durable, first of the chat.",
            Live,
            Ack {
                request: 2,
                position: one,
                at_ms: NOW_MS + 2_000,
            },
        ),
        server(
            "It reached the partner.",
            Datagram,
            ReadCursor {
                chat: chat(),
                member: 1,
                delivered: one,
                read: Position::START,
            },
        ),
        server(
            "The partner types.",
            Datagram,
            MemberTyping {
                chat: chat(),
                member: 1,
                is_typing: true,
            },
        ),
        server("The partner answers.", Live, received.clone()),
        client(
            "The client has it.",
            Live,
            Delivered {
                chat: chat(),
                position: two,
            },
        ),
        client(
            "Its person has read it.",
            Live,
            Read {
                chat: chat(),
                position: two,
            },
        ),
        client(
            "It asks for the whole history on the bulk lane.",
            Bulk,
            History {
                request: 3,
                chat: chat(),
                before: None,
                limit: 50,
            },
        ),
        server(
            "Both messages, oldest first.",
            Bulk,
            Page {
                request: 3,
                messages: vec![Framed(own), Framed(received)],
                has_more: false,
            },
        ),
        client("Nothing was said for 20 s.", Live, Ping { nonce: 1 }),
        server("The connection is alive.", Live, Pong { nonce: 1 }),
        client(
            "A mistake: no such chat.",
            Live,
            Leave {
                request: 4,
                chat: ChatId::from_bytes([0; 16]),
            },
        ),
        server(
            "It costs nothing but this.",
            Live,
            Fail {
                request: 4,
                code: nowrong_protocol::ErrorCode::CHAT_UNKNOWN,
                retry_after_ms: 0,
                detail: String::new(),
            },
        ),
        client(
            "It leaves the chat.",
            Live,
            Leave {
                request: 5,
                chat: chat(),
            },
        ),
        server(
            "The chat has ended and can be read for a while.",
            Live,
            Ended {
                chat: chat(),
                reason: EndReason::Left,
                member: Some(0),
                expires_at_ms: NOW_MS + 600_000,
            },
        ),
        server("The request is carried out.", Live, Done { request: 5 }),
        server(
            "The node is about to stop.",
            Live,
            GoAway {
                retry_after_ms: 1_500,
                endpoint: None,
            },
        ),
        client(
            "The client moves on, and closes.",
            Live,
            Bye {
                code: CloseCode::CLIENT_LEFT,
                retry_after_ms: 0,
                reason: String::new(),
            },
        ),
    ]
}

/// The example runs through both conversations without a complaint.
#[test]
fn the_example_is_a_conversation() {
    hold("conversation.json", &example());
    let now = Instant::now();
    let mut server = ServerConversation::new(now);
    let mut client = ClientConversation::new(hello(), now);
    let steps = load("conversation.json");
    for step in &steps {
        let bytes = unhex(&step["hex"]);
        match (
            step["from"].as_str().unwrap(),
            step["lane"].as_str().unwrap(),
        ) {
            ("client", "live") => server.handle_input(server::Input::LiveBytes(&bytes), now),
            ("client", "bulk") => server.handle_input(server::Input::BulkBytes(&bytes), now),
            ("client", _) => server.handle_input(server::Input::Datagram(&bytes), now),
            (_, "live") => client.handle_input(client::Input::LiveBytes(&bytes), now),
            (_, "bulk") => client.handle_input(client::Input::BulkBytes(&bytes), now),
            (_, _) => client.handle_input(client::Input::Datagram(&bytes), now),
        }
        if step["frame"] == "Hello" {
            let Some(server::Output::Hello(_)) = server.poll_output() else {
                panic!("no Hello");
            };
            server.handle_input(server::Input::Admit(Box::new(welcome())), now);
        }
    }
    let mut byes = 0;
    let mut requests = 0;
    while let Some(output) = server.poll_output() {
        match output {
            server::Output::Request(..) => requests += 1,
            server::Output::Close(code) => assert_eq!(code, CloseCode::CLIENT_LEFT),
            server::Output::Transmit(_, frame) => byes += u32::from(frame.name() == "Bye"),
            server::Output::Hello(_) => panic!("two Hellos"),
        }
    }
    assert_eq!((byes, requests, server.dropped_datagrams()), (0, 8, 0));
    let mut pushes = 0;
    while let Some(output) = client.poll_output() {
        match output {
            client::Output::Push(_) => pushes += 1,
            client::Output::Closed { code, .. } => panic!("closed with {code:?}"),
            client::Output::Transmit(_, frame) => assert_eq!(frame.name(), "Hello"),
            client::Output::Welcome(_) | client::Output::GoAway(_) => {}
        }
    }
    assert_eq!(pushes, 10);
}
