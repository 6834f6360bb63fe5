//! `missteps.json`: the cost of each misstep of a client.

use std::time::Instant;

use nowrong_protocol::{
    ChatId, CloseCode, Position, ServerFrame,
    conversation::{ServerConversation, server},
    envelope,
    frame::*,
    limits::*,
    version::VersionRange,
};
use serde_json::{Value, json};

use super::{chat, hello, welcome};
use crate::{hex, hold, load, unhex};

/// Bytes in a phase on a lane, and the close code that they cost.
fn misstep(name: &str, phase: &str, lane: &str, bytes: &[u8], code: CloseCode) -> Value {
    json!({
        "name": name, "phase": phase, "lane": lane, "hex": hex(bytes),
        "code": code.0, "code_name": code.name(),
    })
}

fn raw(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    envelope::put_varint(kind.into(), &mut out);
    envelope::put_varint(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out
}

fn missteps() -> Vec<Value> {
    let leave = envelope::encode(&Leave {
        request: 1,
        chat: chat(),
    });
    let greeting = envelope::encode(&hello());
    let versions = |min, max| {
        envelope::encode(&Hello {
            versions: VersionRange { min, max },
            ..hello()
        })
    };
    let long_token = Hello {
        connect_token: "t".repeat(CONNECT_TOKEN_BYTES_MAX + 1),
        ..hello()
    };
    let long_agent = Hello {
        agent: "a".repeat(AGENT_BYTES_MAX + 1),
        ..hello()
    };
    let resume = |chats: &[u8]| {
        let resume = chats.iter().map(|byte| Resume {
            chat: ChatId::from_bytes([*byte; 16]),
            position: Position::START,
        });
        envelope::encode(&Hello {
            resume: resume.collect(),
            ..hello()
        })
    };
    let done = envelope::encode(&Done { request: 1 });
    let typing = envelope::encode(&Typing {
        chat: chat(),
        is_typing: true,
    });
    vec![
        misstep(
            "request_before_hello",
            "hello",
            "live",
            &leave,
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "unknown_before_hello",
            "hello",
            "live",
            &raw(9_999, b""),
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "bulk_before_hello",
            "hello",
            "bulk",
            &[64],
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "hello_over_4096_bytes",
            "hello",
            "live",
            &[1, 251, 1, 16],
            CloseCode::FRAME_TOO_LARGE,
        ),
        misstep(
            "hello_cut",
            "hello",
            "live",
            &raw(1, &[1, 1, 5, b'a']),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "hello_token_too_long",
            "hello",
            "live",
            &envelope::encode(&long_token),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "hello_agent_too_long",
            "hello",
            "live",
            &envelope::encode(&long_agent),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "hello_five_chats",
            "hello",
            "live",
            &resume(&[1, 2, 3, 4, 5]),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "hello_same_chat_twice",
            "hello",
            "live",
            &resume(&[1, 1]),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "hello_newer_versions",
            "hello",
            "live",
            &versions(2, 3),
            CloseCode::VERSION_UNSUPPORTED,
        ),
        misstep(
            "hello_older_versions",
            "hello",
            "live",
            &versions(0, 0),
            CloseCode::VERSION_UNSUPPORTED,
        ),
        misstep(
            "request_before_welcome",
            "verdict",
            "live",
            &leave,
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "bulk_before_welcome",
            "verdict",
            "bulk",
            &[64],
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "second_hello",
            "ready",
            "live",
            &greeting,
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "servers_frame",
            "ready",
            "live",
            &done,
            CloseCode::OUT_OF_PHASE,
        ),
        misstep(
            "live_frame_on_bulk",
            "ready",
            "bulk",
            &leave,
            CloseCode::WRONG_LANE,
        ),
        misstep(
            "signal_on_bulk",
            "ready",
            "bulk",
            &typing,
            CloseCode::WRONG_LANE,
        ),
        misstep(
            "type_marker_255",
            "ready",
            "live",
            &[255],
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "body_cut",
            "ready",
            "live",
            &raw(39, &[1, 2]),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "bool_two",
            "ready",
            "live",
            &raw(80, &[2; 17]),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "string_not_utf8",
            "ready",
            "live",
            &raw(16, &[1, 1, 0xff, 0]),
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "frame_over_65536_bytes",
            "ready",
            "live",
            &[32, 252, 1, 0, 1, 0],
            CloseCode::FRAME_TOO_LARGE,
        ),
        misstep(
            "empty_message",
            "ready",
            "message",
            &[],
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "message_cut",
            "ready",
            "message",
            &leave[..leave.len() - 1],
            CloseCode::BAD_FRAME,
        ),
        misstep(
            "message_with_a_cut_second_frame",
            "ready",
            "message",
            &[&leave[..], &[39]].concat(),
            CloseCode::BAD_FRAME,
        ),
    ]
}

#[test]
fn every_misstep_costs_what_the_file_says() {
    hold("missteps.json", &missteps());
    for case in load("missteps.json") {
        let now = Instant::now();
        let mut talk = ServerConversation::new(now);
        if case["phase"] != "hello" {
            talk.handle_input(server::Input::LiveBytes(&envelope::encode(&hello())), now);
        }
        if case["phase"] == "ready" {
            talk.handle_input(server::Input::Admit(Box::new(welcome())), now);
        }
        let bytes = unhex(&case["hex"]);
        let input = match case["lane"].as_str().unwrap() {
            "live" => server::Input::LiveBytes(&bytes),
            "bulk" => server::Input::BulkBytes(&bytes),
            _ => server::Input::Message(bytes.clone().into()),
        };
        talk.handle_input(input, now);
        let code = std::iter::from_fn(|| talk.poll_output()).find_map(|output| match output {
            server::Output::Transmit(_, ServerFrame::Bye(bye)) => Some(bye.code),
            _ => None,
        });
        assert_eq!(
            code.map(|code| json!(code.0)),
            Some(case["code"].clone()),
            "{}",
            case["name"]
        );
    }
}
