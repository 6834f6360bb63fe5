//! Bytes that arrived on the lanes of one connection and are not judged yet.
//!
//! Holds at most one frame and one read per lane, and knows since when a frame is incomplete.

use std::time::Instant;

use bytes::{Buf, Bytes};

use crate::{
    copies::CopyReader,
    envelope::{Decoder, EnvelopeError, RawFrame, split_frame},
    frame::{Lane, LaneCopy},
    limits::PARTIAL_FRAME_DEADLINE,
};

/// The bytes of a connection that arrived and are not judged yet.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    live: LaneBuffer,
    copies: CopyReader,
    bulk: LaneBuffer,
    message: Bytes,
}

impl Arrived {
    pub(super) fn push_live(&mut self, bytes: &[u8], now: Instant) {
        self.live.push(self.copies.stream(bytes), now);
    }

    /// Takes a copy of bytes of the live lane; `false` when they cannot be used yet.
    pub(super) fn push_copy(&mut self, copy: &LaneCopy, now: Instant) -> bool {
        let fresh = self.copies.copy(copy.offset, &copy.bytes);
        self.live.push(fresh.unwrap_or_default(), now);
        fresh.is_some()
    }

    pub(super) fn push_bulk(&mut self, bytes: &[u8], now: Instant) {
        self.bulk.push(bytes, now);
    }

    /// The bulk stream ended: an unfinished frame is dropped, and the next stream begins with a new
    /// frame.
    pub(super) fn end_bulk(&mut self) {
        self.bulk = LaneBuffer::default();
    }

    /// Takes a WebSocket message of at most `limit` bytes; the one before it must have been read.
    pub(super) fn push_message(
        &mut self,
        message: Bytes,
        limit: usize,
    ) -> Result<(), EnvelopeError> {
        if message.is_empty() {
            return Err(EnvelopeError::Truncated);
        }
        if message.len() > limit {
            return Err(EnvelopeError::TooLarge {
                claimed: message.len() as u64,
                limit,
            });
        }
        self.message = message;
        Ok(())
    }

    /// Hands the next whole frame to `judge` and returns its verdict; `None` when no lane has one.
    pub(super) fn next<T>(
        &mut self,
        limit: usize,
        judge: impl FnOnce(Lane, RawFrame<'_>) -> T,
    ) -> Result<Option<T>, EnvelopeError> {
        if !self.message.is_empty() {
            let (frame, width) =
                split_frame(&self.message, limit)?.ok_or(EnvelopeError::Truncated)?;
            let verdict = judge(Lane::Live, frame);
            self.message.advance(width);
            return Ok(Some(verdict));
        }
        if let Some(frame) = self.live.next_frame(limit)? {
            return Ok(Some(judge(Lane::Live, frame)));
        }
        let frame = self.bulk.next_frame(limit)?;
        Ok(frame.map(|frame| judge(Lane::Bulk, frame)))
    }

    /// When the oldest incomplete frame is late.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let begun = super::earliest([self.live.begun, self.bulk.begun]);
        begun.map(|begun| begun + PARTIAL_FRAME_DEADLINE)
    }

    /// Forgets everything and frees its memory.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// One stream.
#[derive(Debug, Default)]
struct LaneBuffer {
    decoder: Decoder,
    /// When the first byte of the incomplete frame came.
    begun: Option<Instant>,
    /// When the last bytes came.
    fed: Option<Instant>,
}

impl LaneBuffer {
    fn push(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.decoder.push(bytes);
        self.begun.get_or_insert(now);
        self.fed = Some(now);
    }

    fn next_frame(&mut self, limit: usize) -> Result<Option<RawFrame<'_>>, EnvelopeError> {
        let fed = self.fed;
        let begun = &mut self.begun;
        if !self.decoder.is_partial() {
            *begun = None;
        }
        let frame = self.decoder.next_frame(limit)?;
        if frame.is_some() {
            // Bytes after this frame came with the last read; if there are none, the next call
            // clears this.
            *begun = fed;
        }
        Ok(frame)
    }
}
