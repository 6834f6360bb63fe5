//! The encoding of frame bodies: bincode 2's `standard` configuration over serde.
//!
//! This module is the only place that names bincode, and it always sets a limit. bincode is no
//! longer maintained (RUSTSEC-2025-0141), so `vectors/` freezes the bytes, and a fuzz target
//! compares them with those of `wincode`, which writes the same bytes and can replace it. The
//! encoding: integers over one byte are little-endian varints (see [`crate::envelope`]), `u8` and
//! `bool` are one byte, strings and lists carry a varint length, options a 0 or 1, structs are
//! their fields.
//!
//! Bytes after the last known field are ignored: that is how a frame grows. Encodings are not
//! canonical (a varint may be wider than it must be), so never compare or sign them.

use serde::{Serialize, de::DeserializeOwned};

use crate::limits::FRAME_BYTES_MAX;

/// Why a body could not be decoded. The cause is for the receiver's log, never for the peer.
#[derive(Debug, thiserror::Error)]
#[error("the frame body cannot be decoded: {0}")]
pub struct DecodeError(String);

/// Appends the encoding of `value` to `out`.
///
/// # Panics
/// Never for the types of this crate: a `Vec` accepts every byte, and no type fails to serialise.
pub fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, out, bincode::config::standard())
        .expect("a Vec accepts every byte and wire types always serialise");
}

/// The encoding of `value`.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    encode_into(value, &mut out);
    out
}

/// Decodes a `T` from the front of `bytes`; bytes after it are ignored.
///
/// # Errors
/// [`DecodeError`] when the bytes end early, hold an invalid value, or claim more than
/// [`FRAME_BYTES_MAX`] bytes. Claimed lengths are checked before anything is allocated. Every
/// length and `u64` counts as eight bytes and every `u32` as four, however few bytes they occupy: a
/// body near the limit that is full of tiny items is refused.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_within::<FRAME_BYTES_MAX, T>(bytes)
}

/// As [`decode`], with a limit of `LIMIT` bytes: for what is longer than a frame and comes from no peer.
///
/// # Errors
/// Those of [`decode`], with that limit.
pub fn decode_within<const LIMIT: usize, T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    bincode::serde::decode_from_slice(bytes, config)
        .map(|(value, _read)| value)
        .map_err(|error| DecodeError(error.to_string()))
}
