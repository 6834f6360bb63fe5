//! How fast one person may go: a bucket for requests, one for the bytes of texts, one for all frames, one for
//! datagrams.
//!
//! A client over the rate of requests or texts is told when to try again; one that sends frames of any kind far faster
//! than a person could cause is closed; datagrams over their rate are dropped unread. The buckets belong to the
//! person: they outlive a connection for as long as something is owed.

use std::time::{Duration, Instant};

use nowrong_protocol::{
    ClientFrame,
    frame::{Body, Send},
};

use crate::limiter::Rate;

/// Messages and other requests: 200 at once, and then 20 per second. A fast typist sends two a second; a
/// client that comes back resends its whole outbox.
const REQUESTS: Rate = Rate {
    burst: 200,
    period_ms: 10_000,
};

/// Frames of any kind: typing, cursors, pings, and pings of a WebSocket come on top of requests.
const FRAMES: Rate = Rate {
    burst: 2_000,
    period_ms: 10_000,
};

/// Bytes of texts: 250 of the longest at once, and then one in two and a half seconds. Somebody who types writes
/// ten bytes in a second; what is stored for a person is bounded by this.
const TEXT_BYTES: Rate = Rate {
    burst: 2_000_000,
    period_ms: 600_000,
};

/// Datagrams. Twenty messages of the longest text in a second, sent again twice in pieces, are some 320.
const DATAGRAMS: Rate = Rate {
    burst: 4_000,
    period_ms: 4_000,
};

/// Whether a frame may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Granted,
    /// Not now, but after this many milliseconds.
    RetryAfter(u32),
    /// No, and the connection ends.
    Flooding,
}

/// The bytes of texts that all people of one network may send to a node.
#[derive(Debug)]
pub struct TextShare {
    rate: Rate,
    began: Instant,
    full_at_ns: u64,
}

impl TextShare {
    /// A network that has sent nothing, and may send this many bytes.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            began: now,
            full_at_ns: 0,
        }
    }

    /// Counts the bytes of a text.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Verdict {
        let now_ns = elapsed_ns(self.began, now);
        match self.rate.spend_units(bytes, self.full_at_ns, now_ns) {
            Ok(full_at_ns) => {
                self.full_at_ns = full_at_ns;
                Verdict::Granted
            }
            Err(wait_ns) => retry_after(wait_ns),
        }
    }

    /// Whether nothing is owed any more, so that a new one is as good.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at_ns <= elapsed_ns(self.began, now)
    }
}

/// How many bytes of text a frame carries.
pub fn text_bytes(frame: &ClientFrame) -> u64 {
    match frame {
        ClientFrame::Send(Send {
            body: Body::Text(text),
            ..
        }) => text.len() as u64,
        _ => 0,
    }
}

fn elapsed_ns(began: Instant, now: Instant) -> u64 {
    // 584 years of one connection.
    u64::try_from(now.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX)
}

fn retry_after(wait_ns: u64) -> Verdict {
    let wait = Duration::from_nanos(wait_ns);
    Verdict::RetryAfter(wait.as_micros().div_ceil(1_000) as u32)
}

/// The pace of one person.
#[derive(Clone, Debug)]
pub struct Pace {
    began: Instant,
    /// When the bucket of requests is full again, in nanoseconds since `began`.
    requests_full_at_ns: u64,
    /// The same of the bytes of texts.
    texts_full_at_ns: u64,
    /// The same of all frames.
    frames_full_at_ns: u64,
    /// The same of datagrams.
    datagrams_full_at_ns: u64,
}

impl Pace {
    /// A person who has sent nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            requests_full_at_ns: 0,
            texts_full_at_ns: 0,
            frames_full_at_ns: 0,
            datagrams_full_at_ns: 0,
        }
    }

    fn now_ns(&self, now: Instant) -> u64 {
        elapsed_ns(self.began, now)
    }

    /// Whether nothing is owed any more, so that a new pace is as good.
    pub fn is_full(&self, now: Instant) -> bool {
        let now_ns = self.now_ns(now);
        let times = [
            self.requests_full_at_ns,
            self.texts_full_at_ns,
            self.frames_full_at_ns,
            self.datagrams_full_at_ns,
        ];
        times.into_iter().all(|full_at_ns| full_at_ns <= now_ns)
    }

    /// Counts `count` frames of which nothing needs to be carried out; `false` for a flood.
    pub fn take_frames(&mut self, count: u32, now: Instant) -> bool {
        let now_ns = self.now_ns(now);
        let spent = FRAMES.spend_units(count.into(), self.frames_full_at_ns, now_ns);
        spent.is_ok_and(|full_at_ns| {
            self.frames_full_at_ns = full_at_ns;
            true
        })
    }

    /// Counts a datagram; `false` when it should be dropped.
    pub fn take_datagram(&mut self, now: Instant) -> bool {
        let spent = DATAGRAMS.spend(self.datagrams_full_at_ns, self.now_ns(now));
        spent.is_ok_and(|full_at_ns| {
            self.datagrams_full_at_ns = full_at_ns;
            true
        })
    }

    /// Counts a frame.
    pub fn take(&mut self, frame: &ClientFrame, now: Instant) -> Verdict {
        let now_ns = self.now_ns(now);
        match FRAMES.spend(self.frames_full_at_ns, now_ns) {
            Ok(full_at_ns) => self.frames_full_at_ns = full_at_ns,
            Err(_) => return Verdict::Flooding,
        }
        let is_free = matches!(
            frame,
            ClientFrame::Typing(_)
                | ClientFrame::Presence(_)
                | ClientFrame::Delivered(_)
                | ClientFrame::Read(_)
        );
        if is_free {
            return Verdict::Granted;
        }
        let spent = self.take_text(frame, now_ns).and_then(|texts_full_at_ns| {
            self.requests_full_at_ns = REQUESTS.spend(self.requests_full_at_ns, now_ns)?;
            self.texts_full_at_ns = texts_full_at_ns;
            Ok(())
        });
        match spent {
            Ok(()) => Verdict::Granted,
            Err(wait_ns) => retry_after(wait_ns),
        }
    }

    /// When the bucket of texts would be full again after this frame.
    fn take_text(&self, frame: &ClientFrame, now_ns: u64) -> Result<u64, u64> {
        match text_bytes(frame) {
            0 => Ok(self.texts_full_at_ns),
            bytes => TEXT_BYTES.spend_units(bytes, self.texts_full_at_ns, now_ns),
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some time to start from"
)]
mod tests {
    use nowrong_protocol::{ChatId, ClientMessageId, frame::Leave, frame::Typing};

    use super::*;

    #[test]
    fn requests_are_told_to_wait_and_floods_end() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let chat = ChatId::from_bytes([0; 16]);
        let leave = ClientFrame::from(Leave { request: 1, chat });
        for _ in 0..200 {
            assert_eq!(pace.take(&leave, start), Verdict::Granted);
        }
        assert_eq!(pace.take(&leave, start), Verdict::RetryAfter(50));
        let later = start + Duration::from_millis(50);
        assert_eq!(pace.take(&leave, later), Verdict::Granted);

        let typing = ClientFrame::from(Typing {
            chat,
            is_typing: true,
        });
        let verdicts: Vec<_> = (0..2_000).map(|_| pace.take(&typing, later)).collect();
        assert!(verdicts.contains(&Verdict::Granted));
        assert_eq!(verdicts.last(), Some(&Verdict::Flooding));
    }

    #[test]
    fn frames_that_need_nothing_and_datagrams_have_a_price_that_is_paid_back() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(pace.is_full(start));
        assert!(pace.take_frames(2_000, start));
        assert!(!pace.is_full(start));
        assert!(!pace.take_frames(1, start));
        assert!((0..4_000).all(|_| pace.take_datagram(start)));
        assert!(!pace.take_datagram(start));
        let later = start + Duration::from_millis(5);
        assert!(pace.take_frames(1, later) && !pace.take_frames(1, later));
        assert_eq!((0..9).filter(|_| pace.take_datagram(later)).count(), 5);
        assert!(!pace.is_full(start + Duration::from_millis(9_999)));
        assert!(pace.is_full(start + Duration::from_millis(10_005)));
    }

    #[test]
    fn all_people_of_a_network_share_its_bytes_of_texts() {
        let start = Instant::now();
        let rate = Rate {
            burst: 10_000,
            period_ms: 10_000,
        };
        let mut share = TextShare::new(rate, start);
        assert!(share.is_full(start));
        assert_eq!(share.take(8_000, start), Verdict::Granted);
        assert_eq!(share.take(8_000, start), Verdict::RetryAfter(6_000));
        assert_eq!(share.take(2_000, start), Verdict::Granted);
        let later = start + Duration::from_secs(10);
        assert!(!share.is_full(start + Duration::from_secs(9)) && share.is_full(later));
        assert_eq!(share.take(8_000, later), Verdict::Granted);
    }

    #[test]
    fn long_texts_are_told_to_wait_and_short_ones_are_not() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let text = |length: usize| {
            ClientFrame::from(Send {
                request: 1,
                chat: ChatId::from_bytes([0; 16]),
                client_message_id: ClientMessageId::from_bytes([0; 16]),
                reply_to: None,
                body: Body::Text("a".repeat(length)),
            })
        };
        // One of 8,000 bytes is paid back in 2.4 s.
        let mut say = |length: usize| {
            now += Duration::from_millis(50);
            pace.take(&text(length), now)
        };
        let longest = (0..260).map(|_| say(8_000));
        let refused = longest.filter(|verdict| *verdict != Verdict::Granted);
        assert!((1..10).contains(&refused.count()));
        assert!(matches!(say(8_000), Verdict::RetryAfter(1..=2_400)));
        assert_eq!(say(100), Verdict::Granted);
    }
}
