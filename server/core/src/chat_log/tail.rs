//! The newest frames of a chat, for connections that are a little behind; older messages come from
//! the store.

use std::collections::VecDeque;

use bytes::Bytes;

/// Most frames in a tail: over four minutes at a message a second, far more than a phone misses
/// while its seat is held. A connection that missed more is served from the store.
pub const TAIL_FRAMES_MAX: usize = 256;

/// Most bytes in a tail, so that 256 long messages do not cost 2 MB: ten thousand chats with only
/// long messages hold 640 MB. The newest frame stays even if it alone is longer.
pub const TAIL_BYTES_MAX: usize = 64 * 1024;

/// The newest frames, ascending by seq without a gap. A frame is just bytes: its content is not
/// known here.
#[derive(Debug, Default)]
pub struct Tail {
    /// The seq of the newest message.
    head: u64,
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Tail {
    /// An empty tail of a chat whose newest message has this seq; 0 when it has none.
    pub fn after(head: u64) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }

    /// Appends the frame of the next message.
    pub fn push(&mut self, frame: Bytes) {
        self.head += 1;
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.trim();
    }

    /// Frames with a seq after `after`, ascending; `None` when the first of them is no longer held.
    pub fn frames_after(&self, after: u64) -> Option<impl Iterator<Item = (u64, &Bytes)>> {
        let skipped = match after < self.head {
            true => after.checked_sub(self.base())? as usize,
            false => self.frames.len(),
        };
        Some((after.saturating_add(1)..).zip(self.frames.iter().skip(skipped)))
    }

    /// Replaces a held frame; `false` when none is held at this seq.
    pub fn replace(&mut self, seq: u64, frame: Bytes) -> bool {
        let index = seq.checked_sub(self.base() + 1);
        let Some(held) = index.and_then(|index| self.frames.get_mut(index as usize)) else {
            return false;
        };
        self.bytes = self.bytes - held.len() + frame.len();
        *held = frame;
        self.trim();
        true
    }

    /// The seq before the first frame that is held.
    fn base(&self) -> u64 {
        self.head - self.frames.len() as u64
    }

    fn trim(&mut self) {
        while self.frames.len() > TAIL_FRAMES_MAX
            || (self.bytes > TAIL_BYTES_MAX && self.frames.len() > 1)
        {
            let dropped = self.frames.pop_front().map_or(0, |frame| frame.len());
            self.bytes -= dropped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u64) -> Bytes {
        Bytes::from(n.to_be_bytes().to_vec())
    }

    fn tail(head: u64, frames: u64) -> Tail {
        let mut tail = Tail::after(head);
        for n in head + 1..=head + frames {
            tail.push(frame(n));
        }
        tail
    }

    fn after(tail: &Tail, seq: u64) -> Option<Vec<(u64, Bytes)>> {
        let frames = tail.frames_after(seq)?;
        Some(frames.map(|(seq, frame)| (seq, frame.clone())).collect())
    }

    #[test]
    fn it_returns_what_it_holds_and_leaves_the_rest_to_the_store() {
        let tail = tail(4, 3);
        assert_eq!(after(&tail, 3), None);
        let expected = vec![(5, frame(5)), (6, frame(6)), (7, frame(7))];
        assert_eq!(after(&tail, 4), Some(expected));
        assert_eq!(after(&tail, 7), Some(vec![]));
        assert_eq!(after(&tail, u64::MAX), Some(vec![]));
    }

    #[test]
    fn g10_it_is_bounded_in_frames() {
        let tail = tail(0, 600);
        assert_eq!(after(&tail, 600 - 257), None);
        let frames = after(&tail, 600 - 256).expect("held");
        assert_eq!(frames.len(), TAIL_FRAMES_MAX);
        assert_eq!(frames[0], (345, frame(345)));
    }

    #[test]
    fn g10_it_is_bounded_in_bytes_but_keeps_the_newest() {
        let mut tail = Tail::default();
        for _ in 0..40 {
            tail.push(Bytes::from(vec![0; 8_000]));
        }
        assert_eq!(after(&tail, 40 - 9), None);
        assert_eq!(after(&tail, 40 - 8).map(|f| f.len()), Some(8));
        tail.push(Bytes::from(vec![0; TAIL_BYTES_MAX + 1]));
        assert_eq!(after(&tail, 40).map(|f| f.len()), Some(1));
        assert_eq!(after(&tail, 39), None);
    }

    #[test]
    fn a_frame_that_is_replaced_takes_the_room_of_the_old_one() {
        let mut tail = tail(0, 8);
        for seq in (1..=8).cycle().take(80) {
            assert!(tail.replace(seq, Bytes::from(vec![0; 8_000])), "{seq}");
        }
        assert_eq!(after(&tail, 0).map(|frames| frames.len()), Some(8));
    }

    #[test]
    fn a_frame_is_replaced_while_it_is_held() {
        let mut tail = tail(3, 2);
        assert!(tail.replace(4, Bytes::from_static(b"gone")));
        for seq in [0, 3, 6, u64::MAX] {
            assert!(!tail.replace(seq, Bytes::new()), "{seq}");
        }
        let frames = after(&tail, 3).expect("held");
        assert_eq!(frames, [(4, Bytes::from_static(b"gone")), (5, frame(5))]);
        assert!(tail.replace(5, Bytes::from(vec![0; TAIL_BYTES_MAX])));
        assert_eq!(
            after(&tail, 3),
            None,
            "the bound holds for replaced frames too"
        );
    }
}
