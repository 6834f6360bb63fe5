//! Decodes any bytes as the body of any frame: no panic, no more memory than a fixed multiple of
//! the bytes received, and each frame is accepted only from the side that the table names.
//!
//! Input: one byte type number, then the body.

use nowrong_protocol::{
    ClientFrame, ServerFrame,
    frame::{self, Sender},
    limits::FRAME_BYTES_MAX,
};

use crate::memory;

/// Memory allowed for each byte of a body: a list of empty strings takes 24 bytes for one, and
/// twice that while the list grows.
const BYTES_FOR_A_BYTE: usize = 64;

/// Memory allowed for any body: a string may claim a whole frame, and a list gets room for 16
/// items.
const BYTES_AHEAD: usize = FRAME_BYTES_MAX + 4_096;

/// Decodes `data` for both sides.
pub fn run(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else {
        return;
    };
    let kind = u32::from(kind);
    if body.len() > FRAME_BYTES_MAX {
        return;
    }
    let (client, largest) = memory::largest_of(|| ClientFrame::decode(kind, body));
    check_memory(largest, body);
    let (server, largest) = memory::largest_of(|| ServerFrame::decode(kind, body));
    check_memory(largest, body);
    let sender = frame::info(kind).map(|info| info.sender);
    let is_client = matches!(sender, Some(Sender::Client | Sender::Both));
    let is_server = matches!(sender, Some(Sender::Server | Sender::Both));
    assert_eq!(!matches!(client, Ok(None)), is_client, "type {kind}");
    assert_eq!(!matches!(server, Ok(None)), is_server, "type {kind}");
}

fn check_memory(largest: usize, body: &[u8]) {
    let allowed = BYTES_AHEAD + BYTES_FOR_A_BYTE * body.len();
    assert!(
        largest <= allowed,
        "{largest} bytes for a body of {}",
        body.len()
    );
}
