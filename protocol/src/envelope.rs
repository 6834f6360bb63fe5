//! The envelope around a frame.
//!
//! On a stream and inside a WebSocket message: `varint type · varint length · body`. In a datagram:
//! `varint type · body`. The varint is the one of the bodies: below 251 one byte; 251 and a `u16`,
//! 252 and a `u32`, 253 and a `u64`, all little-endian. 254 and 255 are errors here.
//!
//! [`Decoder`] cuts a stream into frames. It never holds more than one frame of the allowed length
//! plus its header, whatever the peer claims.

use bytes::{Buf, Bytes, BytesMut};

use crate::{codec, frame::Frame};

/// Longest header: two varints of nine bytes.
const HEADER_BYTES_MAX: usize = 18;

/// A frame as it lies on the wire: its type and the bytes of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Type number, known or not.
    pub kind: u32,
    /// Encoded body.
    pub body: Bytes,
}

/// Why bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The header is not two varints that fit.
    #[error("the frame header is malformed")]
    Malformed,
    /// The body is longer than the bound in force.
    #[error("a frame of {claimed} bytes is over the limit of {limit}")]
    TooLarge {
        /// Length that the header claims, in bytes.
        claimed: u64,
        /// The bound in force, in bytes.
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
    let body = codec::encode(frame);
    put_varint(u64::from(F::KIND), out);
    put_varint(body.len() as u64, out);
    out.extend_from_slice(&body);
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
pub fn decode_datagram(mut bytes: Bytes, limit: usize) -> Result<RawFrame, EnvelopeError> {
    if bytes.len() > limit {
        return Err(EnvelopeError::TooLarge {
            claimed: bytes.len() as u64,
            limit,
        });
    }
    let (kind, width) = read_varint(&bytes)?.ok_or(EnvelopeError::Truncated)?;
    let kind = u32::try_from(kind).map_err(|_| EnvelopeError::Malformed)?;
    bytes.advance(width);
    Ok(RawFrame { kind, body: bytes })
}

/// Cuts the bytes of one lane into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the lane. Call [`Self::next_frame`] until it answers `None` before
    /// the next push, so that the buffer stays within one frame and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the lane stands inside a frame.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole frame with a body of at most `limit` bytes, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`EnvelopeError`]; the lane cannot be read on after it.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<RawFrame>, EnvelopeError> {
        let Some(header) = read_header(&self.buffer)? else {
            debug_assert!(self.buffer.len() < HEADER_BYTES_MAX);
            return Ok(None);
        };
        let length = header.length_within(limit)?;
        if self.buffer.len() < header.width + length {
            return Ok(None);
        }
        self.buffer.advance(header.width);
        let body = self.buffer.split_to(length).freeze();
        Ok(Some(RawFrame {
            kind: header.kind,
            body,
        }))
    }
}

struct Header {
    kind: u32,
    length: u64,
    width: usize,
}

impl Header {
    fn length_within(&self, limit: usize) -> Result<usize, EnvelopeError> {
        usize::try_from(self.length)
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(EnvelopeError::TooLarge {
                claimed: self.length,
                limit,
            })
    }
}

fn read_header(bytes: &[u8]) -> Result<Option<Header>, EnvelopeError> {
    let Some((kind, kind_width)) = read_varint(bytes)? else {
        return Ok(None);
    };
    let kind = u32::try_from(kind).map_err(|_| EnvelopeError::Malformed)?;
    let Some((length, length_width)) = read_varint(&bytes[kind_width..])? else {
        return Ok(None);
    };
    Ok(Some(Header {
        kind,
        length,
        width: kind_width + length_width,
    }))
}
