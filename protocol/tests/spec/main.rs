//! Compares the tables of `SPEC.md` with the code.
//!
//! A table stands between `<!-- table NAME -->` and `<!-- end -->`.
//! `UPDATE_SPEC=1 cargo test -p nowrong-protocol --test spec` rewrites them. The prose around them
//! is written by hand; the tests at least find a frame, code or bound that it names wrongly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod source;
mod tables;

use std::{collections::BTreeSet, fs, path::PathBuf};

use nowrong_protocol::{
    code::{CLOSE_CODES, ERROR_CODES},
    frame::FRAMES,
    limits::*,
};

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "SPEC.md"].iter().collect()
}

const BEGIN: &str = "<!-- table ";
const END: &str = "<!-- end -->";

/// `text` with every table replaced by the one from the code.
fn filled(text: &str) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, marked) = rest.split_at(at);
        let line_end = marked.find('\n').unwrap() + 1;
        let name = marked[BEGIN.len()..].split(" -->").next().unwrap();
        let end = marked
            .find(END)
            .unwrap_or_else(|| panic!("table {name} has no end"));
        out.push_str(before);
        out.push_str(&marked[..line_end]);
        out.push_str(&tables::table(name).replace("\n\n\n", "\n\n"));
        names.push(name.to_owned());
        rest = &marked[end..];
    }
    out.push_str(rest);
    (out, names)
}

#[test]
fn the_tables_say_what_the_code_says() {
    let text = fs::read_to_string(path()).unwrap();
    let (fresh, names) = filled(&text);
    if std::env::var_os("UPDATE_SPEC").is_some() {
        fs::write(path(), fresh).unwrap();
        return;
    }
    for (line, (old, new)) in text.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(
            old,
            new,
            "SPEC.md line {}: run with UPDATE_SPEC=1",
            line + 1
        );
    }
    assert_eq!(text.len(), fresh.len());
    let expected: BTreeSet<_> = tables::names().into_iter().collect();
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// Every frame and every code is mentioned in the prose or a table, by its correct name.
#[test]
fn the_prose_names_only_what_exists() {
    let text = fs::read_to_string(path()).unwrap();
    for row in FRAMES {
        assert!(
            text.contains(&format!("`{}`", row.name)),
            "{} is not in SPEC.md",
            row.name
        );
    }
    let codes = || CLOSE_CODES.iter().chain(ERROR_CODES).map(|row| row.name);
    let known: BTreeSet<_> = codes().chain(source::limit_names()).collect();
    let names = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| is_constant(word));
    for name in names {
        assert!(
            known.contains(name),
            "SPEC.md names {name}, which does not exist"
        );
    }
}

/// Where the prose gives a bound as a number, it is the number from the code.
#[test]
fn the_prose_says_the_bounds_of_the_code() {
    let text = fs::read_to_string(path()).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let bytes = |count: usize| thousands(count);
    let phrases = [
        format!(
            "message has at most {} bytes",
            bytes(WEBSOCKET_MESSAGE_BYTES_MAX)
        ),
        format!("a server's at most {}.", bytes(WEBSOCKET_BATCH_BYTES_MAX)),
        format!("{} bytes before `Welcome`", bytes(HELLO_BYTES_MAX)),
        format!("always {} from server to client", bytes(FRAME_BYTES_MAX)),
        format!("at most {} bytes together", bytes(DATAGRAM_BYTES_MAX)),
        format!("sends `Hello` within {} s", HELLO_DEADLINE.as_secs()),
        format!(
            "gives up {} s after it opened",
            2 * HELLO_DEADLINE.as_secs()
        ),
        format!("closes {} s later", CLOSE_DEADLINE.as_secs()),
        format!("After {} of them", thousands(UNKNOWN_FRAMES_MAX as usize)),
        format!("at most {} s may pass", PARTIAL_FRAME_DEADLINE.as_secs()),
        format!("(of `Welcome.limits`; {} s)", PING_INTERVAL.as_secs()),
        format!("live lane for {} s after a `Ping`", PONG_DEADLINE.as_secs()),
        format!("has not heard for {} s", IDLE_TIMEOUT.as_secs()),
        format!("pings after {} s of silence", QUICK_PING_INTERVAL.as_secs()),
        format!(
            "and waits {} s for the `Pong`",
            QUICK_PONG_DEADLINE.as_secs_f64()
        ),
        format!("said in the last {} minutes", QUICK_FOR.as_secs() / 60),
        format!("takes no bytes for {} s", SLOW_DEADLINE.as_secs()),
        format!("without a reply after {} s", REPLY_DEADLINE.as_secs()),
        format!("at most {UNACKED_SENDS_MAX} sends without an `Ack`"),
        format!("outlives a lost connection by {} s", TICKET_HOLD.as_secs()),
        format!("until it is held ({} s)", SEAT_HOLD.as_secs()),
        format!("lets it lapse after {} s", TYPING_LIFETIME.as_secs()),
        format!(
            "for one connection and lives {} s",
            CONNECT_TOKEN_LIFETIME.as_secs()
        ),
        format!("{} h after its start", RETENTION_MAX.as_secs() / 3_600),
        format!("(at most {CONNECT_TOKEN_BYTES_MAX} bytes, ASCII)"),
        format!("`agent` (at most {AGENT_BYTES_MAX} bytes)"),
        format!("`resume` (at most {RESUME_CHATS_MAX} chats, each once)"),
    ];
    for phrase in phrases {
        assert!(text.contains(&phrase), "SPEC.md does not say: {phrase}");
    }
}

/// A number as the prose writes it.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn is_constant(word: &str) -> bool {
    word.len() > 4
        && word.contains('_')
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
