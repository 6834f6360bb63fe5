//! Shared parts of the tests of both sides, and tests with both sides wired together.

#![allow(
    clippy::disallowed_methods,
    reason = "a test starts its clock somewhere, then moves it by hand"
)]

use std::time::Instant;

use super::{ClientConversation, Phase, ServerConversation, bye, client, server};
use crate::{
    ChatId, ClientFrame, CloseCode, ConnectionId, Framed, ServerFrame, envelope, frame::*,
    limits::*, version::VersionRange,
};

mod client_side;
mod server_side;

fn hello() -> Hello {
    Hello {
        versions: VersionRange::SUPPORTED,
        connect_token: "token".into(),
        agent: "test/1".into(),
        resume: vec![],
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 0,
        connection: ConnectionId::from_bytes([7; 16]),
        server_time_ms: 1,
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

fn goaway() -> GoAway {
    GoAway {
        retry_after_ms: 700,
        endpoint: None,
    }
}

fn chat() -> ChatId {
    ChatId::from_bytes([9; 16])
}

fn typing() -> Typing {
    Typing {
        chat: chat(),
        is_typing: true,
    }
}

fn leave(request: u32) -> Leave {
    Leave {
        request,
        chat: chat(),
    }
}

fn history() -> History {
    History {
        request: 5,
        chat: chat(),
        before: None,
        limit: 50,
    }
}

fn raw(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    envelope::put_varint(kind.into(), &mut out);
    envelope::put_varint(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out
}

#[test]
fn both_sides_open_talk_drain_and_close() {
    let now = Instant::now();
    let mut client = ClientConversation::new(hello(), now);
    let mut server = ServerConversation::new(now);
    let mut seen = Vec::new();
    for _ in 0..8 {
        while let Some(output) = client.poll_output() {
            seen.push(match &output {
                client::Output::Transmit(_, frame) => format!("client sends {}", frame.name()),
                client::Output::Welcome(_) => {
                    let bytes = ClientFrame::from(leave(1)).encode();
                    server.handle_input(server::Input::LiveBytes(&bytes), now);
                    client.handle_input(client::Input::Sent, now);
                    "client got Welcome".into()
                }
                client::Output::Push(frame) => format!("client got {}", frame.name()),
                client::Output::GoAway(_) => {
                    client.handle_input(client::Input::Close(bye(CloseCode::CLIENT_LEFT)), now);
                    "client got GoAway".into()
                }
                client::Output::Closed { code, .. } => format!("client closed {code:?}"),
            });
            if let client::Output::Transmit(_, frame) = output {
                server.handle_input(server::Input::LiveBytes(&frame.encode()), now);
            }
        }
        while let Some(output) = server.poll_output() {
            match output {
                server::Output::Hello(_) => {
                    server.handle_input(server::Input::Admit(Box::new(welcome())), now);
                }
                server::Output::Request(frame, _) => {
                    seen.push(format!("server got {}", frame.name()));
                    let done = ServerFrame::from(Done { request: 1 }).encode();
                    client.handle_input(client::Input::LiveBytes(&done), now);
                    server.handle_input(server::Input::Drain(goaway()), now);
                }
                server::Output::Transmit(_, frame) => {
                    client.handle_input(client::Input::LiveBytes(&frame.encode()), now);
                }
                server::Output::Close(code) => {
                    seen.push(format!("server closes {code}"));
                    client.handle_input(client::Input::LinkClosed, now);
                }
            }
        }
    }
    assert_eq!(
        seen,
        [
            "client sends Hello",
            "client got Welcome",
            "server got Leave",
            "client got Done",
            "client got GoAway",
            "client sends Bye",
            "server closes 4500 CLIENT_LEFT",
            "client closed Some(CloseCode(4500))",
        ]
    );
}
