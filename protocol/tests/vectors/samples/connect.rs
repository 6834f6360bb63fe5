//! Opening, keeping and closing a connection.

use super::*;
use crate::{Vector, vector};

fn hello_smallest() -> Hello {
    Hello {
        versions: VersionRange { min: 0, max: 0 },
        connect_token: String::new(),
        agent: String::new(),
        resume: vec![],
    }
}

pub(crate) fn connect() -> Vec<Vector> {
    let resume = |n: u8| Resume {
        chat: chat_id(n),
        position: [
            Position::START,
            Position::new(1, 41),
            position_largest(),
            Position::new(2, 3),
        ][usize::from(n)],
    };
    let hello_largest = Hello {
        versions: VersionRange {
            min: u16::MAX,
            max: u16::MAX,
        },
        connect_token: filled(CONNECT_TOKEN_BYTES_MAX),
        agent: filled(AGENT_BYTES_MAX),
        resume: (0..4).map(resume).collect(),
    };
    let welcome_smallest = Welcome {
        version: 0,
        connection: ConnectionId::from_bytes([0; 16]),
        server_time_ms: 0,
        limits: limits(0),
        ticket: None,
        chat: None,
    };
    let welcome_largest = Welcome {
        version: u16::MAX,
        connection: ConnectionId::from_bytes([0xff; 16]),
        server_time_ms: SAFE_MAX,
        limits: limits(u32::MAX),
        ticket: Some(Framed(ticket_largest())),
        chat: Some(Framed(chat_largest())),
    };
    vec![
        vector("smallest", hello_smallest()),
        vector(
            "typical",
            Hello {
                versions: VersionRange::SUPPORTED,
                connect_token: "wPgZ2mOPz3Yv0hqkFf0m6k7u5n9sQ1rT".into(),
                agent: "nowrong-sdk/0.1.0".into(),
                resume: vec![resume(1)],
            },
        ),
        vector("largest", hello_largest),
        vector("smallest", welcome_smallest.clone()),
        vector(
            "ticket_only",
            Welcome {
                ticket: Some(Framed(ticket_smallest())),
                ..welcome_smallest.clone()
            },
        ),
        vector(
            "chat_only",
            Welcome {
                chat: Some(Framed(chat_smallest())),
                ..welcome_smallest.clone()
            },
        ),
        vector(
            "u64_max",
            Welcome {
                server_time_ms: u64::MAX,
                ..welcome_smallest
            },
        ),
        vector("largest", welcome_largest),
        vector(
            "smallest",
            Bye {
                code: CloseCode(0),
                retry_after_ms: 0,
                reason: String::new(),
            },
        ),
        vector(
            "typical",
            Bye {
                code: CloseCode::SLOW,
                retry_after_ms: 250,
                reason: CloseCode::SLOW.text().into(),
            },
        ),
        vector(
            "largest",
            Bye {
                code: CloseCode(u16::MAX),
                retry_after_ms: u32::MAX,
                reason: filled(1_000),
            },
        ),
        vector(
            "smallest",
            GoAway {
                retry_after_ms: 0,
                endpoint: None,
            },
        ),
        vector(
            "largest",
            GoAway {
                retry_after_ms: u32::MAX,
                endpoint: Some(Framed(Endpoint {
                    webtransport: "https://node-2.example:4433/wt".into(),
                    websocket: "wss://node-2.example/ws".into(),
                })),
            },
        ),
        vector(
            "empty_endpoint",
            GoAway {
                retry_after_ms: 251,
                endpoint: Some(Framed(Endpoint {
                    webtransport: String::new(),
                    websocket: String::new(),
                })),
            },
        ),
        vector("smallest", Ping { nonce: 0 }),
        vector("250", Ping { nonce: 250 }),
        vector("251", Ping { nonce: 251 }),
        vector("65535", Ping { nonce: 65_535 }),
        vector("65536", Ping { nonce: 65_536 }),
        vector("largest", Ping { nonce: u32::MAX }),
        vector("smallest", Pong { nonce: 0 }),
        vector("largest", Pong { nonce: u32::MAX }),
        vector("smallest", Done { request: 0 }),
        vector("largest", Done { request: u32::MAX }),
        vector(
            "smallest",
            Fail {
                request: 0,
                code: ErrorCode(0),
                retry_after_ms: 0,
                detail: String::new(),
            },
        ),
        vector(
            "typical",
            Fail {
                request: 7,
                code: ErrorCode::TEXT_TOO_LONG,
                retry_after_ms: 0,
                detail: "body: 8001 bytes, at most 8000".into(),
            },
        ),
        vector(
            "largest",
            Fail {
                request: u32::MAX,
                code: ErrorCode(u16::MAX),
                retry_after_ms: u32::MAX,
                detail: filled(1_000),
            },
        ),
        vector(
            "smallest",
            LaneCopy {
                offset: 0,
                bytes: Bytes::new(),
            },
        ),
        vector(
            "typical",
            LaneCopy {
                offset: 1_234,
                bytes: envelope::encode(&Done { request: 9 }),
            },
        ),
        vector(
            "largest",
            LaneCopy {
                offset: SAFE_MAX,
                bytes: vec![0xff; COPY_BYTES_MAX].into(),
            },
        ),
    ]
}
