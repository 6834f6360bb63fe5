//! Records `kind · length · payload`, cut out of bytes that arrive in any pieces: what frames (RFC
//! 9114 §7.1) and capsules (RFC 9297 §3.2) have in common.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::varint;

/// Cuts records out of the bytes of one stream. The caller looks at each front and decides whether its
/// payload is kept; a payload that is kept has to be bounded there.
#[derive(Debug, Default)]
pub(crate) struct Records {
    buffer: BytesMut,
    /// Bytes of a skipped payload that are still to come.
    skip: u64,
}

/// Kind and length, which stand before a payload.
pub(crate) struct Front {
    pub(crate) kind: u64,
    pub(crate) length: u64,
    /// How many bytes the front itself takes.
    bytes: usize,
}

impl Records {
    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The front of the next record; `None` when more bytes are needed.
    pub(crate) fn front(&mut self) -> Option<Front> {
        let skipped = self.skip.min(self.buffer.len() as u64);
        self.buffer.advance(skipped as usize);
        self.skip -= skipped;
        self.let_go();
        let (kind, kind_bytes) = varint::read(&self.buffer)?;
        let (length, length_bytes) = varint::read(&self.buffer[kind_bytes..])?;
        Some(Front {
            kind,
            length,
            bytes: kind_bytes + length_bytes,
        })
    }

    /// The payload after this front; `None` when it is not whole yet.
    pub(crate) fn payload(&mut self, front: &Front) -> Option<Bytes> {
        let end = usize::try_from(front.length)
            .ok()?
            .checked_add(front.bytes)?;
        if self.buffer.len() < end {
            return None;
        }
        self.pass(front);
        let payload = self.buffer.split_to(end - front.bytes).freeze();
        self.let_go();
        Some(payload)
    }

    /// An empty buffer keeps no memory: a stream has a few records at its beginning, and then is silent for
    /// as long as its connection lives.
    fn let_go(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Passes over the whole record, also over bytes of it that are still to come.
    pub(crate) fn skip(&mut self, front: &Front) {
        self.pass(front);
        self.skip = front.length;
    }

    /// Passes over the front alone.
    pub(crate) fn pass(&mut self, front: &Front) {
        self.buffer.advance(front.bytes);
        self.let_go();
    }

    /// The bytes that were not looked at yet.
    pub(crate) fn into_rest(self) -> Bytes {
        self.buffer.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_were_taken_keep_no_memory() {
        let mut records = Records::default();
        records.feed(&[1, 2, b'h', b'i', 7, 3, 0]);
        let front = records.front().expect("a whole front");
        assert_eq!(records.payload(&front).as_deref(), Some(&b"hi"[..]));
        let skipped = records.front().expect("another one");
        records.skip(&skipped);
        records.feed(&[0, 0]);
        assert!(records.front().is_none());
        assert_eq!(records.buffer.capacity(), 0, "after a skipped record");
        records.feed(&[1, 0]);
        let last = records.front().expect("the last one");
        assert_eq!(records.payload(&last).as_deref(), Some(&b""[..]));
        assert_eq!(records.buffer.capacity(), 0, "after a kept one");
        records.feed(&[1, 0]);
        let passed = records.front().expect("one more");
        records.pass(&passed);
        assert_eq!(records.buffer.capacity(), 0, "after a front alone");
    }
}
