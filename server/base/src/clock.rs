//! The only clock of the server. Everything that expires uses it, so that a test can move time.
//!
//! Wall-clock milliseconds decide what expires; waiting (`tokio::time`) is up to the callers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nowrong_core::record::UnixMs;

/// A shared clock: the system's, moved ahead by an offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicU64>,
}

impl Clock {
    /// The system's clock, moved ahead by `ahead`: zero outside tests.
    pub fn ahead_by(ahead: Duration) -> Self {
        let clock = Self::default();
        clock.advance(ahead);
        clock
    }

    /// Moves every copy of this clock ahead.
    pub fn advance(&self, by: Duration) {
        self.ahead_ms
            .fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// The system's time, never moved: for certificates, which other machines check too.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn system(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Milliseconds since the Unix epoch. A system clock before 1970 reads as 0.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else uses"
    )]
    pub fn now(&self) -> UnixMs {
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        system.as_millis() as u64 + self.ahead_ms.load(Ordering::Relaxed)
    }
}
