//! Replays every corpus on any toolchain, and keeps the seeds in step with the vectors.
//!
//! `UPDATE_CORPUS=1 cargo test` rewrites the seeds. Inputs that fuzzing found keep their own names;
//! a crash also gets a test of its own, named after the fault.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nowrong_fuzz::TARGETS;
use serde_json::Value;

/// Longest seed in bytes: this is the fuzzer's own default, and long texts teach it nothing.
const SEED_BYTES_MAX: usize = 4_096;

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus", target]
        .iter()
        .collect()
}

fn vectors(file: &str) -> Vec<Value> {
    let path = [env!("CARGO_MANIFEST_DIR"), "../protocol/vectors", file];
    let text = fs::read_to_string(path.iter().collect::<PathBuf>()).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap().to_owned()
}

const FRAME_FILES: [&str; 5] = [
    "connect.json",
    "queue.json",
    "chat.json",
    "history.json",
    "signal.json",
];

/// Type and body of every vector, good ones and bad ones.
fn bodies() -> Vec<(String, Vec<u8>)> {
    let files = FRAME_FILES.iter().chain(&["decode_errors.json"]);
    let values = files.flat_map(|file| vectors(file));
    values
        .map(|value| {
            let kind = u8::try_from(value["kind"].as_u64().unwrap()).unwrap();
            let name = format!("{}_{}", value["frame"].as_str().unwrap(), name(&value));
            (name, [vec![kind], hex(&value["hex"])].concat())
        })
        .collect()
}

fn streams() -> Vec<(String, Vec<u8>)> {
    let values = vectors("envelope.json");
    let seed = |value: &Value| [vec![3, 255], hex(&value["stream_hex"])].concat();
    values
        .iter()
        .map(|value| (name(value), seed(value)))
        .collect()
}

/// An operation of the conversation target.
fn op(code: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![code];
    nowrong_protocol::envelope::put_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn lane(value: &Value) -> u8 {
    match value.as_str().unwrap() {
        "live" => 0,
        "bulk" => 1,
        "datagram" => 2,
        _ => 3,
    }
}

/// The whole conversation from both sides, and every misstep.
fn conversations() -> Vec<(String, Vec<u8>)> {
    let steps = vectors("conversation.json");
    let side = |from: &str, flags: u8, after_first: &[u8]| {
        let mut seed = vec![flags];
        let own = steps.iter().filter(|step| step["from"] == from);
        for (index, step) in own.enumerate() {
            seed.extend(op(lane(&step["lane"]), &hex(&step["hex"])));
            if index == 0 {
                seed.extend(after_first);
            }
        }
        seed
    };
    let mut seeds = vec![
        ("example_server".to_owned(), side("client", 0, &[4])),
        ("example_client".to_owned(), side("server", 1, &[])),
        (
            "deadlines_server".to_owned(),
            vec![2, 9, 251, 0, 100, 0, 1, 32, 9, 251, 16, 39],
        ),
        (
            "deadlines_client".to_owned(),
            vec![3, 9, 251, 32, 78, 9, 251, 16, 39],
        ),
        ("drain_server".to_owned(), vec![2, 6, 0, 3, 5, 1, 9, 7]),
        (
            "refused".to_owned(),
            [vec![0], op(0, &hex(&steps[0]["hex"])), vec![5]].concat(),
        ),
    ];
    let hello = op(0, &hex(&steps[0]["hex"]));
    for case in vectors("missteps.json") {
        let before = match case["phase"].as_str().unwrap() {
            "hello" => vec![0],
            "verdict" => [&[0], &hello[..]].concat(),
            _ => vec![2],
        };
        let bytes = op(lane(&case["lane"]), &hex(&case["hex"]));
        seeds.push((format!("misstep_{}", name(&case)), [before, bytes].concat()));
    }
    seeds
}

/// The bytes of an HTTP/3 client and server, in pieces of 7 bytes.
fn http3() -> Vec<(String, Vec<u8>)> {
    use nowrong_http3::{close_capsule, control_preface, response};
    let seeds: [(&str, Vec<u8>); 6] = [
        ("control", control_preface().to_vec()),
        ("headers", response(200).to_vec()),
        ("close", close_capsule(4_003, "replaced").to_vec()),
        ("lane", b"\x40\x41\x00hello".to_vec()),
        ("unknown", b"\x21\x03abc\x00\x01x".to_vec()),
        ("datagram", b"\x00hello".to_vec()),
    ];
    let in_pieces = |(name, bytes): (&str, Vec<u8>)| (name.to_owned(), [vec![7], bytes].concat());
    seeds.into_iter().map(in_pieces).collect()
}

/// Headers and first bytes as proxies write them.
fn forwarding() -> Vec<(String, Vec<u8>)> {
    let four = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\0\x71\x07\x0a\0\0\x01\x01\xbb\x01\xbb";
    let six = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".as_slice(),
        &[0x20; 36],
    ]
    .concat();
    let seeds: [(&str, &[u8]); 6] = [
        ("list", b"X6.6.6.6, 203.0.113.8:80, 10.0.0.9"),
        ("lines", b"X[2001:db8::1]:80\nX10.0.0.9\nFfor=203.0.113.8"),
        (
            "standard",
            b"Ffor=\"[2001:db8::1]:_p\";proto=https;by=10.0.0.1, for=unknown, for=10.0.0.9",
        ),
        (
            "quotes",
            b"Ffor=6.6.6.6;x=\"\\\", for=7.7.7.7\";host=\"a, b\"",
        ),
        ("proxy_four", four),
        ("proxy_six", &six),
    ];
    let owned = |(name, bytes): (&str, &[u8])| (name.to_owned(), bytes.to_vec());
    seeds.into_iter().map(owned).collect()
}

/// Names of people, names that look like words of authority, and what costs most.
fn names() -> Vec<(String, Vec<u8>)> {
    let stack = format!("bb{}", "\u{335}".repeat(6));
    let seeds: [(&str, &str); 9] = [
        ("plain", "Robin"),
        ("blanks", "  Anna \u{3000} Maria "),
        ("mixed_scripts", "\u{410}dm\u{456}n"),
        ("full_width", "\u{ff21}\u{ff44}\u{ff4d}\u{ff49}\u{ff4e}"),
        ("words", "Chat-Moderator 2"),
        ("signs", "$upp0rt @dm|n"),
        ("invisible", "ad\u{200b}m\u{202e}in\u{feff}"),
        ("marks", &stack),
        ("ligatures", &"\u{fdfa}".repeat(24)),
    ];
    let owned = |(name, text): (&str, &str)| (name.to_owned(), text.as_bytes().to_vec());
    seeds.into_iter().map(owned).collect()
}

/// Proofs of work, and texts that are nearly one.
fn proofs() -> Vec<(String, Vec<u8>)> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    let mut seeds: Vec<_> = vectors("proof.json")
        .iter()
        .map(|value| {
            let bytes = format!("{}\n{}", text(value, "proof"), text(value, "key"));
            (name(value), bytes.into_bytes())
        })
        .collect();
    let good = seeds[3].1.clone();
    seeds.push(("another_key".to_owned(), [&good[..], b"x"].concat()));
    seeds.push(("cut_off".to_owned(), good[..40].to_vec()));
    seeds
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = match target {
        "envelope" => streams(),
        "conversation" => conversations(),
        "http3" => http3(),
        "forwarding" => forwarding(),
        "names" => names(),
        "proof" => proofs(),
        _ => bodies(),
    };
    seeds
        .into_iter()
        .filter(|(_, seed)| seed.len() <= SEED_BYTES_MAX)
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_seeds_are_in_the_corpora() {
    for (target, _) in TARGETS {
        let folder = corpus(target);
        for (name, seed) in seeds(target) {
            let path = folder.join(&name);
            if std::env::var_os("UPDATE_CORPUS").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &seed).unwrap();
            }
            let found = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            assert_eq!(found, seed, "{target}/{name}: run with UPDATE_CORPUS=1");
        }
    }
}

#[test]
fn every_input_of_the_corpora_holds() {
    for (target, run) in TARGETS {
        let inputs = files(&corpus(target));
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let outcome = std::panic::catch_unwind(|| run(&bytes));
            assert!(outcome.is_ok(), "{} broke a promise", input.display());
        }
    }
}

#[test]
fn a_target_survives_next_to_nothing() {
    for (_, run) in TARGETS {
        run(&[]);
        (0..=255).for_each(|byte| run(&[byte]));
        (0..=255).for_each(|byte| run(&[byte, 0]));
    }
}
