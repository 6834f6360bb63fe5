//! The envelope around a frame.
//!
//! On a stream and inside a WebSocket message: `varint type · varint length · body`. In a datagram:
//! `varint type · body`. The varint is the same as in bodies: below 251 one byte; 251 and a `u16`,
//! 252 and a `u32`, 253 and a `u64`, all little-endian. 254 and 255 are errors here.
//!
//! [`Decoder`] cuts a stream into frames. It never holds more than one frame of the allowed length
//! and one read, whatever the peer claims.

use bytes::Bytes;

use crate::{codec, frame::Frame};

/// Longest header in bytes: two varints of nine.
pub const HEADER_BYTES_MAX: usize = 18;

/// Bytes allocated for a frame before it is written: most frames fit.
const ROOM: usize = 64;

/// Largest value whose varint is one byte.
const SHORT_MAX: usize = 250;

/// How many bytes an empty [`Decoder`] keeps allocated: enough for a short message, little enough
/// to hold for every idle connection.
const RETAINED_BYTES_MAX: usize = 128;

/// A frame as it lies on the wire: its type and the bytes of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// Type number, known or not.
    pub kind: u32,
    /// Encoded body.
    pub body: &'a [u8],
}

/// Why bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The header does not consist of two varints within their bounds.
    #[error("the frame header is malformed")]
    Malformed,
    /// The body is longer than the limit in force.
    #[error("a frame of {claimed} bytes is over the limit of {limit}")]
    TooLarge {
        /// Length that the header claims, in bytes.
        claimed: u64,
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// A WebSocket message or datagram ended inside a frame.
    #[error("the bytes end inside a frame")]
    Truncated,
}

/// Appends `value` as a varint.
pub fn put_varint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..=250 => out.push(value as u8),
        251..=0xffff => {
            out.push(251);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(252);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(253);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Reads a varint at the front of `bytes`: its value and its width, or `None` when bytes are missing.
///
/// # Errors
/// [`EnvelopeError::Malformed`] for the markers 254 and 255.
pub fn read_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, EnvelopeError> {
    let Some((&marker, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let width = match marker {
        0..=250 => return Ok(Some((u64::from(marker), 1))),
        251 => 2,
        252 => 4,
        253 => 8,
        _ => return Err(EnvelopeError::Malformed),
    };
    let Some(value) = rest.get(..width) else {
        return Ok(None);
    };
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(value);
    Ok(Some((u64::from_le_bytes(wide), 1 + width)))
}

/// Appends the stream envelope of `frame`.
pub fn encode_into<F: Frame>(frame: &F, out: &mut Vec<u8>) {
    out.reserve(ROOM);
    put_varint(u64::from(F::KIND), out);
    let at = out.len();
    // One byte for the length, enough for nearly all bodies; a longer body is moved.
    out.push(0);
    codec::encode_into(frame, out);
    let length = out.len() - at - 1;
    if length <= SHORT_MAX {
        out[at] = length as u8;
    } else {
        let mut wide = Vec::with_capacity(HEADER_BYTES_MAX);
        put_varint(length as u64, &mut wide);
        out.splice(at..=at, wide);
    }
}

/// The stream envelope of `frame`.
pub fn encode<F: Frame>(frame: &F) -> Bytes {
    let mut out = Vec::with_capacity(96);
    encode_into(frame, &mut out);
    out.into()
}

/// The datagram envelope of `frame`.
pub fn encode_datagram<F: Frame>(frame: &F) -> Bytes {
    let mut out = Vec::with_capacity(48);
    put_varint(u64::from(F::KIND), &mut out);
    codec::encode_into(frame, &mut out);
    out.into()
}

/// Reads a datagram.
///
/// # Errors
/// [`EnvelopeError`] when there is no type, or the datagram is over `limit` bytes.
pub fn decode_datagram(bytes: &[u8], limit: usize) -> Result<RawFrame<'_>, EnvelopeError> {
    if bytes.len() > limit {
        return Err(EnvelopeError::TooLarge {
            claimed: bytes.len() as u64,
            limit,
        });
    }
    let (kind, width) = read_kind(bytes)?.ok_or(EnvelopeError::Truncated)?;
    let body = &bytes[width..];
    Ok(RawFrame { kind, body })
}

/// Splits the first frame, with a body of at most `limit` bytes, off the front of `bytes`. Returns
/// the frame and how many bytes it took, or `None` when bytes are missing.
///
/// # Errors
/// [`EnvelopeError`]; nothing after it can be read either.
pub fn split_frame(
    bytes: &[u8],
    limit: usize,
) -> Result<Option<(RawFrame<'_>, usize)>, EnvelopeError> {
    let Some((kind, kind_width)) = read_kind(bytes)? else {
        return Ok(None);
    };
    let Some((claimed, length_width)) = read_varint(&bytes[kind_width..])? else {
        return Ok(None);
    };
    let length = usize::try_from(claimed)
        .ok()
        .filter(|length| *length <= limit)
        .ok_or(EnvelopeError::TooLarge { claimed, limit })?;
    let start = kind_width + length_width;
    let frame = bytes
        .get(start..start + length)
        .map(|body| (RawFrame { kind, body }, start + length));
    Ok(frame)
}

fn read_kind(bytes: &[u8]) -> Result<Option<(u32, usize)>, EnvelopeError> {
    let Some((kind, width)) = read_varint(bytes)? else {
        return Ok(None);
    };
    let kind = u32::try_from(kind).map_err(|_| EnvelopeError::Malformed)?;
    Ok(Some((kind, width)))
}

/// Cuts the bytes of one lane into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of the front of `buffer` was handed out.
    taken: usize,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the lane. Call [`Self::next_frame`] until it returns `None` before
    /// the next push, so that the buffer stays within one frame and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the lane is in the middle of a frame.
    pub fn is_partial(&self) -> bool {
        self.taken < self.buffer.len()
    }

    /// The next whole frame with a body of at most `limit` bytes, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`EnvelopeError`]; the lane cannot be read any further after it.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<RawFrame<'_>>, EnvelopeError> {
        if !self.is_partial() {
            self.release();
            return Ok(None);
        }
        let Some((frame, width)) = split_frame(&self.buffer[self.taken..], limit)? else {
            return Ok(None);
        };
        self.taken += width;
        Ok(Some(frame))
    }

    fn release(&mut self) {
        self.taken = 0;
        if self.buffer.capacity() > RETAINED_BYTES_MAX {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ChatId, ClientMessageId,
        frame::{Body, Send},
    };

    #[test]
    fn the_length_is_that_of_the_body_and_one_byte_if_it_can_be() {
        let frame = |text: usize| Send {
            request: 7,
            chat: ChatId::from_bytes([1; 16]),
            client_message_id: ClientMessageId::from_bytes([2; 16]),
            reply_to: None,
            body: Body::Text("x".repeat(text)),
        };
        for text in (190..240).chain([4_000]) {
            let body = codec::encode(&frame(text));
            let mut expected = b"before".to_vec();
            put_varint(u64::from(Send::KIND), &mut expected);
            put_varint(body.len() as u64, &mut expected);
            expected.extend_from_slice(&body);
            let mut encoded = b"before".to_vec();
            encode_into(&frame(text), &mut encoded);
            assert_eq!(encoded, expected, "a body of {} bytes", body.len());
        }
    }

    #[test]
    fn an_empty_decoder_keeps_room_for_a_short_message_alone() {
        let mut decoder = Decoder::new();
        for length in [2, 500] {
            let mut bytes = vec![1];
            put_varint(length as u64, &mut bytes);
            bytes.resize(bytes.len() + length, 0);
            decoder.push(&bytes);
            assert!(matches!(decoder.next_frame(length), Ok(Some(_))));
            assert!(matches!(decoder.next_frame(length), Ok(None)));
            assert!(decoder.buffer.capacity() <= RETAINED_BYTES_MAX);
        }
    }
}
