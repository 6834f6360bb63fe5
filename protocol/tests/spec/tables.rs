//! The tables of `SPEC.md`, as Markdown.

use std::{fmt::Write as _, time::Duration};

use nowrong_protocol::{
    code::{CLOSE_CODES, CodeInfo, ERROR_CODES},
    frame::{FRAMES, FrameInfo, Lane, Sender},
    limits::*,
};
use serde_json::Value;

use crate::source::{self, Record};

/// The value of a bound.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    Count(usize),
    Time(Duration),
}

macro_rules! bounds {
    (counts { $($count:ident)* } times { $($time:ident)* }) => {
        /// All bounds of the code with their values.
        pub(crate) const BOUNDS: &[(&str, Bound)] = &[
            $((stringify!($count), Bound::Count($count as usize)),)*
            $((stringify!($time), Bound::Time($time)),)*
        ];
    };
}

bounds! {
    counts {
        FRAME_BYTES_MAX HELLO_BYTES_MAX DATAGRAM_BYTES_MAX COPY_BYTES_MAX
        WEBSOCKET_MESSAGE_BYTES_MAX
        WEBSOCKET_BATCH_BYTES_MAX TEXT_BYTES_MAX TEXT_GRAPHEMES_MAX NAME_GRAPHEMES_MIN
        NAME_GRAPHEMES_MAX NAME_BYTES_MAX INTERESTS_MAX INTEREST_BYTES_MAX CATEGORY_BYTES_MAX PROOF_SEARCHES PROOF_WORK_MAX
        CONNECT_TOKEN_BYTES_MAX AGENT_BYTES_MAX RESUME_CHATS_MAX PAGE_MESSAGES_MAX PAGE_BYTES_MAX
        CHAT_MESSAGES_MAX CHAT_TEXT_BYTES_MAX UNACKED_SENDS_MAX UNKNOWN_FRAMES_MAX
    }
    times {
        HELLO_DEADLINE PARTIAL_FRAME_DEADLINE PING_INTERVAL IDLE_TIMEOUT PONG_DEADLINE
        QUICK_PING_INTERVAL QUICK_PONG_DEADLINE QUICK_FOR REPLY_DEADLINE COPY_DELAY SECOND_COPY_DELAY COPY_TAIL COPY_ROUND_TRIP_MIN LOSSY_FOR CLOSE_DEADLINE
        SLOW_DEADLINE SEAT_HOLD TICKET_HOLD TYPING_LIFETIME
        CONNECT_TOKEN_LIFETIME RETENTION_MAX
    }
}

/// The families of frames and the records that stand in them, in the order of SPEC.
const FAMILIES: [(&str, std::ops::RangeInclusive<u32>); 5] = [
    ("fields connect", 1..=15),
    ("fields queue", 16..=31),
    ("fields chat", 32..=63),
    ("fields history", 64..=79),
    ("fields signal", 80..=95),
];

/// The names of all tables.
pub(crate) fn names() -> Vec<String> {
    let fixed = [
        "frames",
        "records",
        "enums",
        "close codes",
        "error codes",
        "limits",
        "deadlines",
        "example",
    ];
    let families = FAMILIES.map(|(name, _)| name);
    fixed
        .into_iter()
        .chain(families)
        .map(str::to_owned)
        .collect()
}

/// The table with this name.
pub(crate) fn table(name: &str) -> String {
    match name {
        "frames" => frames(),
        "records" => records(),
        "enums" => enums(),
        "close codes" => codes(CLOSE_CODES, |number| {
            if number < 4_500 { "reconnect" } else { "stop" }
        }),
        "error codes" => codes(ERROR_CODES, |number| {
            if number < 500 {
                "permanent"
            } else {
                "temporary"
            }
        }),
        "limits" => bounds(false),
        "deadlines" => bounds(true),
        "example" => example(),
        _ => {
            let family = FAMILIES.iter().find(|(family, _)| *family == name);
            let (_, kinds) = family.unwrap_or_else(|| panic!("there is no table {name}"));
            let rows = by_number()
                .into_iter()
                .filter(|row| kinds.contains(&row.kind));
            rows.map(|row| fields(&record(row.name), &title(&row)))
                .collect()
        }
    }
}

fn by_number() -> Vec<FrameInfo> {
    let mut rows = FRAMES.to_vec();
    rows.sort_by_key(|row| row.kind);
    rows
}

fn sender(row: &FrameInfo) -> &'static str {
    match row.sender {
        Sender::Client => "client",
        Sender::Server => "server",
        Sender::Both => "both",
    }
}

fn lane(row: &FrameInfo) -> &'static str {
    match row.lane {
        Lane::Live => "live",
        Lane::Bulk => "bulk",
        Lane::Datagram => "datagram",
    }
}

fn title(row: &FrameInfo) -> String {
    format!(
        "#### {} `{}`: {}, {} lane",
        row.kind,
        row.name,
        sender(row),
        lane(row)
    )
    .replace("both,", "client and server,")
}

fn frames() -> String {
    let mut out = "\n| number | frame | from | lane |\n|---:|---|---|---|\n".to_owned();
    for row in by_number() {
        writeln!(
            out,
            "| {} | `{}` | {} | {} |",
            row.kind,
            row.name,
            sender(&row),
            lane(&row)
        )
        .unwrap();
    }
    out.push('\n');
    out
}

fn record(name: &str) -> Record {
    let found = source::records()
        .into_iter()
        .find(|record| record.name == name);
    found.unwrap_or_else(|| panic!("no record {name}"))
}

fn fields(record: &Record, title: &str) -> String {
    let mut out = format!(
        "\n{title}\n\n{}\n\n| field | type | meaning |\n|---|---|---|\n",
        record.comment
    );
    for field in &record.fields {
        writeln!(
            out,
            "| `{}` | {} | {} |",
            field.name, field.kind, field.comment
        )
        .unwrap();
    }
    out.push('\n');
    out
}

fn records() -> String {
    let is_inner = |record: &Record| FRAMES.iter().all(|row| row.name != record.name);
    let inner = source::records().into_iter().filter(is_inner);
    inner
        .map(|record| fields(&record, &format!("#### Record `{}`", record.name)))
        .collect()
}

fn enums() -> String {
    let mut out = String::new();
    for item in source::open_enums() {
        write!(
            out,
            "\n#### Enum `{}`\n\n{}\n\n| number | name | meaning |\n|---:|---|---|\n",
            item.name, item.comment
        )
        .unwrap();
        for (name, number, comment) in item.rows {
            writeln!(out, "| {number} | {name} | {comment} |").unwrap();
        }
    }
    out.push('\n');
    out
}

fn codes(rows: &[CodeInfo], class: fn(u16) -> &'static str) -> String {
    let mut out = "\n| number | name | class | text |\n|---:|---|---|---|\n".to_owned();
    for row in rows {
        writeln!(
            out,
            "| {} | `{}` | {} | {} |",
            row.number,
            row.name,
            class(row.number),
            row.text
        )
        .unwrap();
    }
    out.push('\n');
    out
}

fn bounds(are_times: bool) -> String {
    let comments = source::limits();
    let known: Vec<_> = BOUNDS.iter().map(|(name, _)| *name).collect();
    let found: Vec<_> = comments.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        known, found,
        "a bound is missing from the list of this test"
    );
    let unit = if are_times { "milliseconds" } else { "value" };
    let mut out = format!("\n| name | {unit} | meaning |\n|---|---:|---|\n");
    for ((name, bound), (_, comment)) in BOUNDS.iter().zip(&comments) {
        let value = match bound {
            Bound::Count(count) if !are_times => count.to_string(),
            Bound::Time(time) if are_times => time.as_millis().to_string(),
            _ => continue,
        };
        writeln!(out, "| `{name}` | {value} | {comment} |").unwrap();
    }
    out.push('\n');
    out
}

fn example() -> String {
    let text = include_str!("../../vectors/conversation.json");
    let steps: Vec<Value> = serde_json::from_str(text).unwrap();
    let mut out = String::from("\n");
    for (index, step) in steps.iter().enumerate() {
        let word = |key: &str| step[key].as_str().unwrap().to_owned();
        let arrow = if word("from") == "client" {
            "client → server"
        } else {
            "server → client"
        };
        let hex = word("hex");
        write!(
            out,
            "{}. {arrow}, {}: **{}**. {}\n\n",
            index + 1,
            word("lane"),
            word("frame"),
            word("note")
        )
        .unwrap();
        let lines = hex.as_bytes().chunks(64).map(|line| {
            let pairs = line
                .chunks(2)
                .map(|pair| String::from_utf8_lossy(pair).into_owned());
            format!("   {}\n", pairs.collect::<Vec<_>>().join(" "))
        });
        write!(out, "   ```text\n{}   ```\n\n", lines.collect::<String>()).unwrap();
    }
    out
}
