//! Frames of a stream (RFC 9114 §7), cut out of bytes that arrive in any pieces.

use bytes::{Bytes, BytesMut};

use crate::{
    H3Error,
    records::{Front, Records},
    varint::put_varint,
};

/// Longest payload of a frame that is kept: header sections and settings are far shorter. A longer one ends
/// the connection.
pub const PAYLOAD_MAX: usize = 8 * 1024;

pub(crate) const DATA: u64 = 0x00;
pub(crate) const HEADERS: u64 = 0x01;
pub(crate) const SETTINGS: u64 = 0x04;

/// Begins a lane: not a frame with a length, but the front of the lane, whose bytes follow.
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
pub struct Frames(Records);

impl Frames {
    /// Takes the next bytes. Call [`Self::next`] until it returns `None` before the next ones.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// The next frame; `None` when more bytes are needed. Unknown frames are skipped.
    ///
    /// # Errors
    /// [`H3Error`] for a frame that is too long or exists in HTTP/2 only.
    #[allow(
        clippy::should_implement_trait,
        reason = "there may be a next frame after `None`"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, H3Error> {
        while let Some(front) = self.0.front() {
            match front.kind {
                WEBTRANSPORT_STREAM => {
                    self.0.pass(&front);
                    return Ok(Some(Frame::Lane(front.length)));
                }
                DATA => return Ok(self.known(&front)?.map(Frame::Data)),
                HEADERS => return Ok(self.known(&front)?.map(Frame::Headers)),
                SETTINGS => return Ok(self.known(&front)?.map(Frame::Settings)),
                // Frames of HTTP/2 that have no place in HTTP/3 (RFC 9114 §7.2.8).
                0x02 | 0x06 | 0x08 | 0x09 => return Err(H3Error::FRAME_UNEXPECTED),
                _ => self.0.skip(&front),
            }
        }
        Ok(None)
    }

    fn known(&mut self, front: &Front) -> Result<Option<Bytes>, H3Error> {
        if front.length > PAYLOAD_MAX as u64 {
            return Err(H3Error::EXCESSIVE_LOAD);
        }
        Ok(self.0.payload(front))
    }

    /// The bytes after the last frame: the first ones of a lane.
    pub fn into_rest(self) -> Bytes {
        self.0.into_rest()
    }
}

/// Appends a frame.
pub(crate) fn put(out: &mut BytesMut, kind: u64, payload: &[u8]) {
    put_varint(out, kind);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}
