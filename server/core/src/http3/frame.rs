//! Frames of a stream (RFC 9114 §7), cut out of bytes that arrive in any pieces.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{
    H3Error,
    varint::{self, put_varint},
};

/// Longest payload of a frame that is kept: header sections and settings are far shorter.
pub const PAYLOAD_MAX: usize = 8 * 1024;

pub(super) const DATA: u64 = 0x00;
pub(super) const HEADERS: u64 = 0x01;
pub(super) const SETTINGS: u64 = 0x04;

/// Begins a lane: not a frame with a length, but the front of the lane's bytes.
const WEBTRANSPORT_STREAM: u64 = 0x41;

/// A frame that means something here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of the capsule protocol.
    Data(Bytes),
    /// A header section.
    Headers(Bytes),
    /// Settings.
    Settings(Bytes),
    /// From here on the stream is a lane of the session with this id: see [`Frames::into_rest`].
    Lane(u64),
}

/// Cuts frames out of the bytes of one stream.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
    /// Bytes of an unknown frame that are still to come.
    skip: u64,
}

impl Frames {
    /// Takes the next bytes. Call [`Self::next`] until it answers `None` before the next ones.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` when more bytes are needed. Unknown frames are skipped.
    ///
    /// # Errors
    /// [`H3Error`] for a frame that is too long or was HTTP/2's.
    #[allow(clippy::should_implement_trait, reason = "it may go on after `None`")]
    pub fn next(&mut self) -> Result<Option<Frame>, H3Error> {
        loop {
            let skipped = self.skip.min(self.buffer.len() as u64);
            self.buffer.advance(skipped as usize);
            self.skip -= skipped;
            let Some((kind, kind_bytes)) = varint::read(&self.buffer) else {
                return Ok(None);
            };
            let Some((length, length_bytes)) = varint::read(&self.buffer[kind_bytes..]) else {
                return Ok(None);
            };
            let front = kind_bytes + length_bytes;
            match kind {
                WEBTRANSPORT_STREAM => {
                    self.buffer.advance(front);
                    return Ok(Some(Frame::Lane(length)));
                }
                DATA | HEADERS | SETTINGS => return self.known(kind, front, length),
                // Frames of HTTP/2 that have no place in HTTP/3 (RFC 9114 §7.2.8).
                0x02 | 0x06 | 0x08 | 0x09 => return Err(H3Error::FRAME_UNEXPECTED),
                _ => {
                    self.buffer.advance(front);
                    self.skip = length;
                }
            }
        }
    }

    fn known(&mut self, kind: u64, front: usize, length: u64) -> Result<Option<Frame>, H3Error> {
        if length > PAYLOAD_MAX as u64 {
            return Err(H3Error::EXCESSIVE_LOAD);
        }
        let length = length as usize;
        if self.buffer.len() < front + length {
            return Ok(None);
        }
        self.buffer.advance(front);
        let payload = self.buffer.split_to(length).freeze();
        Ok(Some(match kind {
            DATA => Frame::Data(payload),
            HEADERS => Frame::Headers(payload),
            _ => Frame::Settings(payload),
        }))
    }

    /// The bytes after the last frame: the first ones of a lane.
    pub fn into_rest(self) -> Bytes {
        self.buffer.freeze()
    }
}

/// Appends a frame.
pub(super) fn put(out: &mut BytesMut, kind: u64, payload: &[u8]) {
    put_varint(out, kind);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}
