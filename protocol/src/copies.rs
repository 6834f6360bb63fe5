//! Copies: bytes of the live lane sent again, in datagrams, over a link that loses packets.
//!
//! A stream detects a lost packet by a timer, about two round trips after it was sent, because in
//! sparse chat no later packet shows the loss. A copy that follows a few milliseconds later arrives
//! instead, or a second, later copy when the link was dead for a moment. A copy names its place in
//! the lane, so the receiver takes each byte once and in order, whichever arrives first, and the
//! stream remains authoritative. [`CopyWriter`] says what to send when, [`CopyReader`] which bytes
//! of an arrival are new. Copies cost two datagrams for each write, so they are sent only over
//! links that lost a packet within [`LOSSY_FOR`] and whose round trip is long enough to gain by it
//! ([`COPY_ROUND_TRIP_MIN`]).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    frame::LaneCopy,
    limits::{
        COPY_BYTES_MAX, COPY_DELAY, COPY_ROUND_TRIP_MIN, COPY_TAIL, LOSSY_FOR, SECOND_COPY_DELAY,
    },
};

/// Time between two looks at the path of a busy link.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);

/// How long the shortest round trip remains valid: a client may move to another network.
const SHORTEST_FOR: Duration = Duration::from_secs(60);

/// What a transport knows of its path to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Packets that it declared lost since it began to use the path.
    pub lost_packets: u64,
    /// Its estimate of the round trip.
    pub round_trip: Duration,
}

/// One side's record of its recent writes to its live lane. Holds nothing for a clean link.
#[derive(Debug, Default)]
pub struct CopyWriter {
    /// Bytes written to the lane since it was opened.
    written: u64,
    /// The newest writes, oldest first, no gap between them; at most [`COPY_BYTES_MAX`] bytes.
    tail: VecDeque<(Instant, Vec<u8>)>,
    due: Option<NextCopy>,
    lossy_until: Option<Instant>,
    /// Lost packets of the link, by the newest count.
    losses: u64,
    observed_at: Option<Instant>,
    /// The shortest recent round trip, and when it was seen.
    shortest: Option<(Duration, Instant)>,
}

/// The copy that is sent next.
#[derive(Clone, Copy, Debug)]
struct NextCopy {
    at: Instant,
    /// When the one after it is sent, unless more is written.
    second: Option<Instant>,
}

impl CopyWriter {
    /// A lane with no writes yet, over a link that has lost nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is time for [`Self::observe`]: it costs a look into the transport.
    pub fn wants_path(&self, now: Instant) -> bool {
        self.observed_at.is_none_or(|at| at + OBSERVE_EVERY <= now)
    }

    /// Looks at the path: more losses than last time make a long link lossy. A busy machine
    /// acknowledges late and so seems to lose packets, but must not be given more of them: a short
    /// round trip within the last minute tells it from a long link.
    pub fn observe(&mut self, path: Path, now: Instant) {
        self.observed_at = Some(now);
        let shortest = self.shortest.filter(|(_, at)| now < *at + SHORTEST_FOR);
        let shortest = shortest.filter(|(shortest, _)| *shortest < path.round_trip);
        let (shortest, at) = shortest.unwrap_or((path.round_trip, now));
        self.shortest = Some((shortest, at));
        if path.lost_packets > self.losses {
            self.losses = path.lost_packets;
            if shortest >= COPY_ROUND_TRIP_MIN {
                self.lossy_until = Some(now + LOSSY_FOR);
            }
        }
    }

    /// These bytes were written to the lane.
    pub fn wrote(&mut self, bytes: &[u8], now: Instant) {
        self.written += bytes.len() as u64;
        let is_lossy = self.lossy_until.is_some_and(|until| now < until);
        if !is_lossy || bytes.len() > COPY_BYTES_MAX {
            self.tail.clear();
            self.due = None;
            return;
        }
        self.tail.push_back((now, bytes.to_vec()));
        while self.is_tail_over(now) {
            self.tail.pop_front();
        }
        self.due = Some(NextCopy {
            at: now + COPY_DELAY,
            second: Some(now + SECOND_COPY_DELAY),
        });
    }

    /// When [`Self::take`] will have a copy; `None` while none is planned.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.map(|due| due.at)
    }

    /// The copy that is due; each is returned once.
    pub fn take(&mut self, now: Instant) -> Option<LaneCopy> {
        let due = self.due.filter(|due| due.at <= now)?;
        self.due = due.second.map(|at| NextCopy { at, second: None });
        let bytes: Vec<u8> = self
            .tail
            .iter()
            .flat_map(|(_, bytes)| bytes)
            .copied()
            .collect();
        Some(LaneCopy {
            offset: self.written - bytes.len() as u64,
            bytes: bytes.into(),
        })
    }

    fn is_tail_over(&self, now: Instant) -> bool {
        let length: usize = self.tail.iter().map(|(_, bytes)| bytes.len()).sum();
        let oldest = self.tail.front().map(|(at, _)| *at);
        length > COPY_BYTES_MAX || oldest.is_some_and(|at| at + COPY_TAIL < now)
    }
}

/// How far a lane was received, by stream and by copies. Holds no bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyReader {
    /// Bytes that came on the stream.
    streamed: u64,
    /// Bytes that were passed on; never less than `streamed`.
    taken: u64,
}

impl CopyReader {
    /// A lane from which nothing has arrived.
    pub fn new() -> Self {
        Self::default()
    }

    /// The part of the stream's next bytes that is new.
    pub fn stream<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let fresh = fresh(self.streamed, bytes, self.taken);
        self.streamed += bytes.len() as u64;
        self.taken = self.taken.max(self.streamed);
        fresh.unwrap_or_default()
    }

    /// The part of a copy that is new; `None` when the copy begins after bytes that have not
    /// arrived yet. Those still arrive, in the stream at the latest.
    pub fn copy<'a>(&mut self, offset: u64, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let fresh = fresh(offset, bytes, self.taken)?;
        self.taken += fresh.len() as u64;
        Some(fresh)
    }
}

/// The part of `bytes`, which begin at `offset`, from `taken` on; `None` when they begin after it.
fn fresh(offset: u64, bytes: &[u8], taken: u64) -> Option<&[u8]> {
    let known = taken.checked_sub(offset)?;
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    Some(&bytes[known.min(bytes.len())..])
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test starts its clock somewhere, then moves it by hand"
)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A link across a country.
    fn far(lost_packets: u64) -> Path {
        Path {
            lost_packets,
            round_trip: 4 * COPY_ROUND_TRIP_MIN,
        }
    }

    fn lossy(now: Instant) -> CopyWriter {
        let mut writer = CopyWriter::new();
        writer.observe(far(1), now);
        writer
    }

    #[test]
    fn a_clean_link_pays_nothing() {
        let now = Instant::now();
        let mut writer = CopyWriter::new();
        writer.observe(far(0), now);
        writer.wrote(b"hello", now);
        assert_eq!(
            (writer.poll_timeout(), writer.take(now + COPY_DELAY)),
            (None, None)
        );
        assert!(writer.tail.is_empty());
    }

    #[test]
    fn a_write_is_copied_twice_and_later() {
        let now = Instant::now();
        let mut writer = CopyWriter::new();
        writer.wrote(b"before", now);
        writer.observe(far(1), now);
        writer.wrote(b"hello", now);
        assert_eq!(writer.poll_timeout(), Some(now + COPY_DELAY));
        assert_eq!(
            writer.take(now),
            None,
            "in one packet with the stream it would be lost with it"
        );
        let copy = writer.take(now + COPY_DELAY).unwrap();
        assert_eq!((copy.offset, &copy.bytes[..]), (6, &b"hello"[..]));
        assert_eq!(writer.take(now + COPY_DELAY), None);
        assert_eq!(writer.poll_timeout(), Some(now + SECOND_COPY_DELAY));
        assert_eq!(writer.take(now + SECOND_COPY_DELAY), Some(copy));
        assert_eq!(writer.poll_timeout(), None);
    }

    #[test]
    fn a_copy_holds_what_was_written_shortly_before() {
        let now = Instant::now();
        let mut writer = lossy(now);
        writer.wrote(b"old", now);
        let later = now + COPY_TAIL + MS;
        writer.wrote(b"one", later);
        writer.wrote(b"two", later + MS);
        assert_eq!(
            writer.take(later + COPY_DELAY),
            None,
            "the newest write puts it off"
        );
        let copy = writer.take(later + MS + COPY_DELAY).unwrap();
        assert_eq!((copy.offset, &copy.bytes[..]), (3, &b"onetwo"[..]));
    }

    #[test]
    fn a_copy_fits_a_datagram() {
        let now = Instant::now();
        let mut writer = lossy(now);
        writer.wrote(&[1; COPY_BYTES_MAX], now);
        writer.wrote(&[2; 10], now);
        let copy = writer.take(now + COPY_DELAY).unwrap();
        assert_eq!((copy.offset, copy.bytes.len()), (COPY_BYTES_MAX as u64, 10));

        writer.wrote(&[3; COPY_BYTES_MAX + 1], now);
        assert_eq!(writer.poll_timeout(), None, "too long to copy");
        writer.wrote(&[4; 10], now);
        let copy = writer.take(now + COPY_DELAY).unwrap();
        assert_eq!(
            (copy.offset, copy.bytes.len()),
            (2 * COPY_BYTES_MAX as u64 + 11, 10)
        );
    }

    #[test]
    fn a_link_is_clean_again_after_a_while() {
        let now = Instant::now();
        let mut writer = lossy(now);
        let late = now + LOSSY_FOR;
        writer.observe(far(1), late);
        writer.wrote(b"hello", late);
        assert_eq!(writer.poll_timeout(), None);
        writer.observe(far(2), late);
        writer.wrote(b"hello", late);
        assert!(writer.poll_timeout().is_some());
    }

    #[test]
    fn a_busy_machine_nearby_is_not_a_lossy_link() {
        let near = |lost_packets, round_trip| Path {
            lost_packets,
            round_trip,
        };
        let now = Instant::now();
        let mut writer = CopyWriter::new();
        writer.observe(near(0, MS), now);
        writer.observe(near(7, 10 * COPY_ROUND_TRIP_MIN), now + MS);
        writer.wrote(b"hello", now + MS);
        assert_eq!(writer.poll_timeout(), None);

        let moved = now + SHORTEST_FOR;
        writer.observe(near(7, COPY_ROUND_TRIP_MIN), moved);
        writer.wrote(b"hello", moved);
        assert_eq!(writer.poll_timeout(), None, "its losses were nearby");
        writer.observe(near(8, COPY_ROUND_TRIP_MIN), moved + MS);
        writer.wrote(b"hello", moved + MS);
        assert!(writer.poll_timeout().is_some());
    }

    #[test]
    fn the_shortest_round_trip_counts_from_when_it_was_last_seen() {
        let now = Instant::now();
        let at = |lost_packets, round_trip| Path {
            lost_packets,
            round_trip,
        };
        let mut writer = CopyWriter::new();
        writer.observe(at(0, MS), now);
        writer.observe(at(0, MS), now + SHORTEST_FOR / 2);
        writer.observe(at(1, COPY_ROUND_TRIP_MIN), now + SHORTEST_FOR);
        writer.wrote(b"hello", now + SHORTEST_FOR);
        assert_eq!(writer.poll_timeout(), None, "it was seen half the time ago");
        let lapsed = now + SHORTEST_FOR / 2 + SHORTEST_FOR;
        writer.observe(at(2, COPY_ROUND_TRIP_MIN), lapsed);
        writer.wrote(b"hello", lapsed);
        assert!(
            writer.poll_timeout().is_some(),
            "it counts no longer than that"
        );
    }

    #[test]
    fn the_path_is_looked_at_now_and_then() {
        let now = Instant::now();
        let mut writer = CopyWriter::new();
        assert!(writer.wants_path(now), "nothing is known yet");
        writer.observe(far(0), now);
        assert!(!writer.wants_path(now + OBSERVE_EVERY - MS));
        assert!(writer.wants_path(now + OBSERVE_EVERY));
    }

    #[test]
    fn the_longest_copy_is_whole() {
        let now = Instant::now();
        let mut writer = lossy(now);
        writer.wrote(&[1; COPY_BYTES_MAX - 10], now);
        writer.wrote(&[2; 10], now);
        let copy = writer.take(now + COPY_DELAY).unwrap();
        assert_eq!((copy.offset, copy.bytes.len()), (0, COPY_BYTES_MAX));
    }

    #[test]
    fn whichever_comes_first_counts_once() {
        let mut reader = CopyReader::new();
        assert_eq!(reader.stream(b"ab"), b"ab");
        assert_eq!(reader.copy(1, b"bcd"), Some(&b"cd"[..]));
        assert_eq!(reader.copy(1, b"bcd"), Some(&b""[..]), "again");
        assert_eq!(reader.copy(5, b"fg"), None, "behind a gap");
        assert_eq!(reader.copy(u64::MAX, b"x"), None);
        assert_eq!(reader.stream(b"c"), b"");
        assert_eq!(reader.stream(b"de"), b"e");
        assert_eq!(reader.copy(5, b"fg"), Some(&b"fg"[..]));
        assert_eq!(reader.stream(b"fgh"), b"h");
    }
}
