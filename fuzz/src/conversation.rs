//! Operation sequences against both conversations. Checked are the order of their outputs, exactly
//! one `Bye` and one end, phases that only go forward, an end within a bounded number of deadlines,
//! and the same outputs however the bytes are cut into pieces.
//!
//! Input: one byte of flags (bit 0: the client's side instead of the server's; bit 1: it was greeted),
//! then operations. An operation is one byte (modulo 10) and its argument: for 0 live, 1 bulk,
//! 2 datagram, 3 message a varint length and that many bytes; for 9 wait a varint of milliseconds;
//! for 4 agree, 5 refuse, 6 drain, 7 close, 8 link closed nothing. See [`Op`].

use std::time::{Duration, Instant};

use nowrong_protocol::{
    ConnectionId, Framed,
    envelope::read_varint,
    frame::{Hello, Limits, Welcome},
    version::VersionRange,
};

mod client;
mod server;

/// Something that happens to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Bytes on the live lane.
    Live(&'a [u8]),
    /// Bytes on the bulk lane.
    Bulk(&'a [u8]),
    /// A datagram.
    Datagram(&'a [u8]),
    /// A WebSocket message.
    Message(&'a [u8]),
    /// `Admit` to a server, `Sent` to a client.
    Agree,
    /// `Refuse` to a server, `Sent` to a client.
    Refuse,
    /// `Drain` to a server, `Sent` to a client.
    Drain,
    /// The shell closes.
    Close,
    /// The link was lost.
    LinkClosed,
    /// Time passes, in milliseconds; then deadlines are checked.
    Wait(u64),
}

/// Longest wait of one operation in milliseconds: beyond every deadline.
const WAIT_MS_MAX: u64 = 100_000;

/// Most operations of one run.
const OPS_MAX: usize = 2_000;

/// Runs the operations in `data`.
pub fn run(data: &[u8]) {
    let Some((&flags, rest)) = data.split_first() else {
        return;
    };
    let ops = parse(rest);
    let is_greeted = flags & 2 != 0;
    let started = Instant::now();
    if flags & 1 == 0 {
        let whole = server::run(&ops, is_greeted, usize::MAX, started);
        assert_eq!(
            whole,
            server::run(&ops, is_greeted, 1, started),
            "pieces matter"
        );
    } else {
        let whole = client::run(&ops, is_greeted, usize::MAX, started);
        assert_eq!(
            whole,
            client::run(&ops, is_greeted, 1, started),
            "pieces matter"
        );
    }
}

fn parse(mut bytes: &[u8]) -> Vec<Op<'_>> {
    let mut ops = Vec::new();
    while ops.len() < OPS_MAX {
        let Some((op, rest)) = parse_one(bytes) else {
            break;
        };
        ops.push(op);
        bytes = rest;
    }
    ops
}

fn parse_one(bytes: &[u8]) -> Option<(Op<'_>, &[u8])> {
    let (&code, rest) = bytes.split_first()?;
    let code = code % 10;
    let simple = match code {
        4 => Op::Agree,
        5 => Op::Refuse,
        6 => Op::Drain,
        7 => Op::Close,
        8 => Op::LinkClosed,
        _ => return parse_argument(code, rest),
    };
    Some((simple, rest))
}

fn parse_argument(code: u8, bytes: &[u8]) -> Option<(Op<'_>, &[u8])> {
    let (value, width) = read_varint(bytes).ok()??;
    let rest = &bytes[width..];
    if code == 9 {
        return Some((Op::Wait(value.min(WAIT_MS_MAX)), rest));
    }
    let length = usize::try_from(value).unwrap_or(usize::MAX).min(rest.len());
    let (argument, rest) = rest.split_at(length);
    let op = match code {
        0 => Op::Live(argument),
        1 => Op::Bulk(argument),
        2 => Op::Datagram(argument),
        _ => Op::Message(argument),
    };
    Some((op, rest))
}

/// Moves the clock on.
fn wait(now: &mut Instant, ms: u64) {
    *now += Duration::from_millis(ms);
}

fn hello() -> Hello {
    Hello {
        versions: VersionRange::SUPPORTED,
        connect_token: "token".into(),
        agent: "fuzz".into(),
        resume: vec![],
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        connection: ConnectionId::from_bytes([1; 16]),
        server_time_ms: 1,
        limits: Framed(Limits {
            frame_bytes_max: 65_536,
            text_bytes_max: 8_000,
            text_graphemes_max: 2_000,
            ping_interval_ms: 20_000,
            idle_timeout_ms: 50_000,
            seat_hold_ms: 90_000,
        }),
        ticket: None,
        chat: None,
    }
}
