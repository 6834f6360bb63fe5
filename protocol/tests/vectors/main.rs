//! Compares `vectors/*.json` with the code.
//!
//! Each frame file is a list of `{ name, frame, kind, hex, envelope_hex, json }`: the body, the body
//! in its stream envelope, and the same frame as JSON (ids as UUID text, byte strings as lists of
//! numbers, a message body as `{ kind, data }`). Numbers over 2^53 - 1 appear only in vectors whose
//! name ends in `u64_max`. `decode_errors.json` holds bodies that must be refused, `varint.json`
//! and `envelope.json` the layers below, `conversation.json` a whole conversation,
//! `missteps.json` the cost of a client's mistakes and `proof.json` solved challenges.
//!
//! The files freeze the bytes of the protocol for every implementation, so changing one is a change
//! of the protocol. `UPDATE_VECTORS=1 cargo test -p nowrong-protocol --test vectors` rewrites them
//! from the samples beside this file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]

mod conversation;
mod errors;
mod proof;
mod samples;

use std::{fmt::Debug, fs, path::PathBuf};

use nowrong_protocol::{
    ClientFrame, ServerFrame, codec,
    envelope::{self, Decoder, decode_datagram},
    frame::{FRAMES, Frame},
    limits::FRAME_BYTES_MAX,
};
use serde_json::{Value, json};

/// One vector: a frame, its bytes, and its JSON.
pub(crate) struct Vector {
    frame: &'static str,
    value: Value,
}

/// The vector of `frame`, after checking that its bytes and its JSON decode to it.
pub(crate) fn vector<F: Frame + PartialEq + Debug>(name: &str, frame: F) -> Vector {
    let body = codec::encode(&frame);
    assert!(body.len() <= FRAME_BYTES_MAX, "{name}");
    let json = serde_json::to_value(&frame).unwrap();
    assert_eq!(codec::decode::<F>(&body).unwrap(), frame, "{name}");
    assert_eq!(
        serde_json::from_value::<F>(json.clone()).unwrap(),
        frame,
        "{name}"
    );
    let value = json!({
        "name": format!("{}_{name}", snake(F::NAME)),
        "frame": F::NAME,
        "kind": F::KIND,
        "hex": hex(&body),
        "envelope_hex": hex(&envelope::encode(&frame)),
        "json": json,
    });
    Vector {
        frame: F::NAME,
        value,
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn path(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "vectors", file]
        .iter()
        .collect()
}

/// Asserts that `file` holds `values`, or writes it.
pub(crate) fn hold(file: &str, values: &[Value]) {
    let lines: Vec<_> = values.iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(path(file), text).unwrap();
        return;
    }
    let found = load(file);
    for (index, value) in values.iter().enumerate() {
        let name = &value["name"];
        assert_eq!(found.get(index), Some(value), "{file}: {name} has changed");
    }
    assert_eq!(
        fs::read_to_string(path(file)).unwrap(),
        text,
        "{file} differs in form"
    );
}

pub(crate) fn load(file: &str) -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(path(file)).unwrap()).unwrap()
}

type Samples = fn() -> Vec<Vector>;

const FAMILIES: [(&str, Samples); 5] = [
    ("connect.json", samples::connect),
    ("queue.json", samples::queue),
    ("chat.json", samples::chat),
    ("history.json", samples::history),
    ("signal.json", samples::signal),
];

#[test]
fn the_files_say_what_the_code_says() {
    for (file, samples) in FAMILIES {
        let values: Vec<_> = samples().into_iter().map(|vector| vector.value).collect();
        hold(file, &values);
    }
}

#[test]
fn every_frame_has_at_least_two_vectors() {
    let all: Vec<_> = FAMILIES.iter().flat_map(|(_, samples)| samples()).collect();
    for row in FRAMES {
        let count = all.iter().filter(|vector| vector.frame == row.name).count();
        assert!(count >= 2, "{} has {count} vectors", row.name);
    }
}

/// Reads the files as another implementation would, with only the file and the decoder.
#[test]
fn the_files_decode() {
    for (file, _) in FAMILIES {
        for value in load(file) {
            let name = value["name"].as_str().unwrap();
            let kind = u32::try_from(value["kind"].as_u64().unwrap()).unwrap();
            let body = unhex(&value["hex"]);
            let mut decoder = Decoder::new();
            decoder.push(&unhex(&value["envelope_hex"]));
            let raw = decoder.next_frame(FRAME_BYTES_MAX).unwrap().unwrap();
            assert_eq!((raw.kind, raw.body), (kind, &body[..]), "{name}");
            let as_client = ClientFrame::decode(kind, &body).unwrap();
            let as_server = ServerFrame::decode(kind, &body).unwrap();
            let datagrams = [
                as_client.as_ref().map(ClientFrame::encode_datagram),
                as_server.as_ref().map(ServerFrame::encode_datagram),
            ];
            let found = as_client.map(|f| f.name()).or(as_server.map(|f| f.name()));
            assert_eq!(found, value["frame"].as_str(), "{name}");
            for datagram in datagrams.into_iter().flatten() {
                let raw = decode_datagram(&datagram, FRAME_BYTES_MAX).unwrap();
                assert_eq!((raw.kind, raw.body), (kind, &body[..]), "{name}");
            }
        }
    }
}
