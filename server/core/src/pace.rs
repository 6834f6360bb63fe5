//! How fast one client may go: a bucket for messages, one for all frames.
//!
//! A client over the message rate is told when to try again; one that sends frames of any kind far faster
//! than a person could cause is closed.

use std::time::{Duration, Instant};

use nowrong_protocol::ClientFrame;

use crate::limiter::Rate;

/// Messages and other requests: 200 at once, and then 20 per second. A fast typist sends two a second; a
/// client that comes back resends its whole outbox.
const REQUESTS: Rate = Rate {
    burst: 200,
    period_ms: 10_000,
};

/// Frames of any kind: typing, cursors and pings come on top of requests.
const FRAMES: Rate = Rate {
    burst: 2_000,
    period_ms: 10_000,
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

/// The pace of one client.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    /// When the bucket of requests is full again, in nanoseconds since `began`.
    requests_full_at_ns: u64,
    /// The same of all frames.
    frames_full_at_ns: u64,
}

impl Pace {
    /// A client that has sent nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            requests_full_at_ns: 0,
            frames_full_at_ns: 0,
        }
    }

    /// Counts a frame.
    pub fn take(&mut self, frame: &ClientFrame, now: Instant) -> Verdict {
        let now_ns = now.saturating_duration_since(self.began).as_nanos();
        // 584 years of one connection.
        let now_ns = u64::try_from(now_ns).unwrap_or(u64::MAX);
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
        match REQUESTS.spend(self.requests_full_at_ns, now_ns) {
            Ok(full_at_ns) => {
                self.requests_full_at_ns = full_at_ns;
                Verdict::Granted
            }
            Err(wait_ns) => {
                let wait = Duration::from_nanos(wait_ns);
                Verdict::RetryAfter(wait.as_micros().div_ceil(1_000) as u32)
            }
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some time to start from"
)]
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
}
