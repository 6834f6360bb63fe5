//! Bytes that must be refused, and the envelopes around good ones.

use nowrong_protocol::{
    ClientFrame, ServerFrame,
    envelope::{Decoder, EnvelopeError, put_varint, read_varint},
    frame::{Frame, *},
    limits::FRAME_BYTES_MAX,
};
use serde_json::{Value, json};

use crate::{hex, hold, load, unhex};

fn refused<F: Frame>(name: &str, why: &str, body: &[u8]) -> Value {
    json!({ "name": name, "frame": F::NAME, "kind": F::KIND, "hex": hex(body), "why": why })
}

/// A body: these parts one after the other.
fn parts(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn decode_errors() -> Vec<Value> {
    let id = &[0x11; 16][..];
    let position = &[1, 1][..];
    let message =
        |kind: &[u8], data: &[u8]| parts(&[id, position, &[0], id, &[1], &[0], kind, data]);
    vec![
        refused::<Done>("empty", "a field is missing", &[]),
        refused::<Ping>("u32_cut_after_marker", "a varint ends early", &[251]),
        refused::<Ping>("u32_cut_inside", "a varint ends early", &[252, 1, 2, 3]),
        refused::<Ping>(
            "u32_as_u64",
            "marker 253 is wider than a u32",
            &[253, 1, 0, 0, 0, 0, 0, 0, 0],
        ),
        refused::<Ping>(
            "u32_marker_254",
            "marker 254 is not allowed",
            &parts(&[&[254], &[0; 16]]),
        ),
        refused::<Ping>("u32_marker_255", "marker 255 is not allowed", &[255]),
        refused::<Bye>(
            "u16_as_u32",
            "marker 252 is wider than a u16",
            &[252, 1, 0, 0, 0, 0, 0],
        ),
        refused::<Ack>(
            "u64_marker_254",
            "marker 254 is not allowed",
            &parts(&[&[1, 1, 254], &[0; 16], &[1]]),
        ),
        refused::<Gone>("id_cut", "an id has 16 bytes", &id[..15]),
        refused::<Typing>("bool_two", "a bool is 0 or 1", &parts(&[id, &[2]])),
        refused::<Typing>("bool_missing", "a field is missing", id),
        refused::<History>(
            "option_two",
            "an option is 0 or 1",
            &parts(&[&[1], id, &[2, 1, 1, 50]]),
        ),
        refused::<History>(
            "option_without_value",
            "a field is missing",
            &parts(&[&[1], id, &[1, 1]]),
        ),
        refused::<Bye>("string_cut", "a string ends early", &[1, 0, 3, b'a', b'b']),
        refused::<Bye>(
            "string_not_utf8",
            "a string is UTF-8",
            &[1, 0, 2, 0xc3, 0x28],
        ),
        refused::<Bye>(
            "string_surrogate",
            "a string is UTF-8",
            &[1, 0, 3, 0xed, 0xa0, 0x80],
        ),
        refused::<Bye>(
            "string_overlong",
            "a string is UTF-8",
            &[1, 0, 2, 0xc0, 0x80],
        ),
        refused::<Bye>(
            "string_length_huge",
            "a length is over the frame limit",
            &[1, 0, 253, 255, 255, 255, 255, 255, 255, 255, 127],
        ),
        refused::<Join>(
            "list_cut",
            "a list ends early",
            &[1, 1, b'a', 3, 1, b'x', 1, b'y'],
        ),
        refused::<Join>(
            "list_length_huge",
            "a list ends early",
            &[1, 1, b'a', 253, 255, 255, 255, 255, 255, 255, 255, 255],
        ),
        refused::<Hello>(
            "resume_cut",
            "a list ends early",
            &parts(&[&[1, 1, 0, 0, 1], id, &[1]]),
        ),
        refused::<GoAway>("record_cut", "a record ends early", &[1, 1, 5, 0, 0]),
        refused::<GoAway>(
            "record_too_short",
            "a field of a record is missing",
            &[1, 1, 1, 0],
        ),
        refused::<GoAway>("record_empty", "a field of a record is missing", &[1, 1, 0]),
        refused::<Message>(
            "text_not_utf8",
            "the bytes of a text body are UTF-8",
            &message(&[1], &[1, 0xff]),
        ),
        refused::<Message>(
            "body_cut",
            "a byte string ends early",
            &message(&[1], &[4, b'a']),
        ),
        refused::<Message>(
            "body_kind_wide",
            "marker 253 is wider than a u32",
            &message(&[253, 1, 0, 0, 0, 0, 0, 0, 0], &[0]),
        ),
        refused::<Page>(
            "message_cut",
            "a field of a record is missing",
            &parts(&[&[1, 1, 16], id, &[0]]),
        ),
    ]
}

#[test]
fn bad_bodies_are_refused() {
    hold("decode_errors.json", &decode_errors());
    for value in load("decode_errors.json") {
        let kind = u32::try_from(value["kind"].as_u64().unwrap()).unwrap();
        let body = unhex(&value["hex"]);
        let outcomes = [
            ClientFrame::decode(kind, &body).map(|frame| frame.map(drop)),
            ServerFrame::decode(kind, &body).map(|frame| frame.map(drop)),
        ];
        let count = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert!(count >= 1, "{} was taken", value["name"]);
        assert!(
            !outcomes.iter().any(|o| matches!(o, Ok(Some(())))),
            "{}",
            value["name"]
        );
    }
}

fn name_of(error: EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::Malformed => "Malformed",
        EnvelopeError::TooLarge { .. } => "TooLarge",
        EnvelopeError::Truncated => "Truncated",
        _ => "?",
    }
}

fn varints() -> Vec<Value> {
    let values = [
        0,
        1,
        250,
        251,
        252,
        255,
        256,
        65_534,
        65_535,
        65_536,
        16_777_216,
        4_294_967_295,
        4_294_967_296,
        (1 << 53) - 1,
        u64::MAX,
    ];
    let canonical = values.map(|value| {
        let mut bytes = Vec::new();
        put_varint(value, &mut bytes);
        json!({ "name": format!("varint_{value}"), "hex": hex(&bytes), "value": value, "is_shortest": true })
    });
    let wide: [(&[u8], u64); 4] = [
        (&[251, 5, 0], 5),
        (&[252, 5, 0, 0, 0], 5),
        (&[253, 5, 0, 0, 0, 0, 0, 0, 0], 5),
        (&[253, 255, 255, 0, 0, 0, 0, 0, 0], 65_535),
    ];
    let wide = wide.map(|(bytes, value)| {
        json!({ "name": format!("varint_{value}_in_{}", bytes.len()), "hex": hex(bytes), "value": value, "is_shortest": false })
    });
    canonical.into_iter().chain(wide).collect()
}

/// The vector of what a stream decoder with the usual limit reads from `bytes`.
fn stream(name: &str, bytes: &[u8]) -> Value {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    let mut frames = Vec::new();
    let error = loop {
        match decoder.next_frame(FRAME_BYTES_MAX) {
            Ok(Some(frame)) => frames.push(json!({ "kind": frame.kind, "hex": hex(frame.body) })),
            Ok(None) => break None,
            Err(error) => break Some(name_of(error)),
        }
    };
    let is_partial = error.is_none() && decoder.is_partial();
    json!({ "name": name, "stream_hex": hex(bytes), "frames": frames, "is_partial": is_partial, "error": error })
}

fn streams() -> Vec<Value> {
    let two = parts(&[&[7, 1, 9], &[5, 0]]);
    vec![
        stream("stream_empty", &[]),
        stream("stream_one_frame", &[7, 1, 9]),
        stream("stream_empty_body", &[200, 0]),
        stream("stream_two_frames", &two),
        stream("stream_type_in_three_bytes", &[251, 251, 0, 1, 9]),
        stream(
            "stream_type_in_five_bytes",
            &[252, 255, 255, 255, 255, 1, 9],
        ),
        stream(
            "stream_type_in_nine_bytes",
            &[253, 7, 0, 0, 0, 0, 0, 0, 0, 1, 9],
        ),
        stream(
            "stream_length_in_nine_bytes",
            &[7, 253, 1, 0, 0, 0, 0, 0, 0, 0, 9],
        ),
        stream("stream_cut_in_type", &[251, 7]),
        stream("stream_cut_in_length", &[7, 251, 1]),
        stream("stream_cut_in_body", &[7, 2, 9]),
        stream("stream_second_frame_cut", &parts(&[&two, &[32]])),
        stream("stream_length_at_limit", &[7, 252, 0, 0, 1, 0]),
        stream("stream_length_over_limit", &[7, 252, 1, 0, 1, 0]),
        stream("stream_length_huge", &parts(&[&[7, 253], &[255; 8]])),
        stream(
            "stream_type_over_32_bits",
            &[253, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        ),
        stream("stream_type_marker_254", &[254]),
        stream("stream_type_marker_255", &[255, 1]),
        stream("stream_length_marker_254", &[7, 254]),
        stream("stream_good_then_bad", &parts(&[&[7, 1, 9], &[7, 255]])),
    ]
}

#[test]
fn envelopes_are_cut_as_the_file_says() {
    hold("varint.json", &varints());
    hold("envelope.json", &streams());
    for value in load("varint.json") {
        let bytes = unhex(&value["hex"]);
        let expected = value["value"].as_u64().map(|number| (number, bytes.len()));
        assert_eq!(read_varint(&bytes), Ok(expected), "{}", value["name"]);
    }
    let errors: Vec<_> = load("envelope.json")
        .iter()
        .filter_map(|v| v["error"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(errors.iter().filter(|e| *e == "TooLarge").count(), 2);
    assert_eq!(errors.iter().filter(|e| *e == "Malformed").count(), 5);
}
