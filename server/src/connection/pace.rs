//! How fast one client may go: a bucket for messages, one for all frames.
//!
//! Who is over the message rate is told when to try again; who sends frames of any kind far faster
//! than a person could cause is closed.

use std::time::{Duration, Instant};

use nowrong_protocol::ClientFrame;

/// Messages and other requests at once, and then per second. A fast typist sends two a second; a
/// client that comes back resends its whole outbox.
const REQUESTS: Rate = Rate {
    burst: 200.0,
    per_second: 20.0,
};

/// Frames of any kind: typing, cursors and pings come on top of requests.
const FRAMES: Rate = Rate {
    burst: 2_000.0,
    per_second: 200.0,
};

/// Whether a frame may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes.
    Granted,
    /// Not now; after this many milliseconds.
    RetryAfter(u32),
    /// No, and the connection ends.
    Flooding,
}

#[derive(Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

/// What is left of a [`Rate`].
struct Bucket {
    rate: Rate,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            left: rate.burst,
            at: now,
        }
    }

    /// Takes one; else answers how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let refill = now.saturating_duration_since(self.at).as_secs_f64() * self.rate.per_second;
        self.left = (self.left + refill).min(self.rate.burst);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - self.left) / self.rate.per_second,
        ))
    }
}

/// The pace of one client.
pub(super) struct Pace {
    requests: Bucket,
    frames: Bucket,
}

impl Pace {
    /// A client that has sent nothing.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            requests: Bucket::new(REQUESTS, now),
            frames: Bucket::new(FRAMES, now),
        }
    }

    /// Counts a frame.
    pub(super) fn take(&mut self, frame: &ClientFrame, now: Instant) -> Verdict {
        if self.frames.take(now).is_err() {
            return Verdict::Flooding;
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
        match self.requests.take(now) {
            Ok(()) => Verdict::Granted,
            Err(wait) => Verdict::RetryAfter(wait.as_millis() as u32 + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::{
        ChatId,
        frame::{Leave, Typing},
    };

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
        assert_eq!(pace.take(&leave, start), Verdict::RetryAfter(51));
        let later = start + Duration::from_millis(51);
        assert_eq!(pace.take(&leave, later), Verdict::Granted);

        let typing = ClientFrame::from(Typing {
            chat,
            is_typing: true,
        });
        let verdicts: Vec<_> = (0..2_000).map(|_| pace.take(&typing, later)).collect();
        assert!(verdicts.contains(&Verdict::Granted));
        assert_eq!(verdicts.last(), Some(&Verdict::Flooding));
    }
}
