//! Capsules on the CONNECT stream (RFC 9297 §3): one kind ends a session, all others are skipped.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::{Frame, Frames, H3Error, frame, records::Records, varint::put_varint};

/// `CLOSE_WEBTRANSPORT_SESSION`.
const CLOSE: u64 = 0x2843;

/// Longest reason of a close (draft-ietf-webtrans-http3 §6).
const REASON_MAX: usize = 1_024;

/// How the other side ended the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its code.
    pub code: u32,
}

/// Waits for the end of a session on its CONNECT stream.
#[derive(Debug, Default)]
pub struct Capsules {
    frames: Frames,
    capsules: Records,
}

impl Capsules {
    /// The capsules on a stream whose request has been read with `frames`.
    pub fn after(frames: Frames) -> Self {
        Self {
            frames,
            ..Self::default()
        }
    }

    /// Takes the next bytes of the stream; returns the close when it is there.
    ///
    /// # Errors
    /// [`H3Error`] for a frame or a close that is not allowed on the stream.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Closed>, H3Error> {
        self.frames.feed(bytes);
        while let Some(frame) = self.frames.next()? {
            match frame {
                Frame::Data(data) => {
                    self.capsules.feed(&data);
                    if let Some(closed) = self.next()? {
                        return Ok(Some(closed));
                    }
                }
                // Nothing but data may follow a CONNECT, trailers neither (RFC 9114, section 4.4).
                Frame::Headers(_) | Frame::Settings(_) | Frame::Lane(_) => {
                    return Err(H3Error::FRAME_UNEXPECTED);
                }
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Result<Option<Closed>, H3Error> {
        while let Some(front) = self.capsules.front() {
            if front.kind != CLOSE {
                self.capsules.skip(&front);
                continue;
            }
            if !(4..=4 + REASON_MAX as u64).contains(&front.length) {
                return Err(H3Error::MESSAGE);
            }
            let payload = self.capsules.payload(&front);
            return Ok(payload.map(|mut payload| Closed {
                code: payload.get_u32(),
            }));
        }
        Ok(None)
    }
}

/// The whole frame that ends a session. A reason longer than 1,024 bytes is cut, as it may not be longer.
pub fn close_capsule(code: u32, reason: &str) -> Bytes {
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut capsule = BytesMut::new();
    put_varint(&mut capsule, CLOSE);
    put_varint(&mut capsule, 4 + end as u64);
    capsule.put_u32(code);
    capsule.put_slice(&reason.as_bytes()[..end]);
    let mut out = BytesMut::new();
    frame::put(&mut out, frame::DATA, &capsule);
    out.freeze()
}
