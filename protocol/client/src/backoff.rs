//! How long to wait before connecting again. Pure.

use std::time::Duration;

/// How long to wait before the next attempt to connect: twice as long each time, and randomised so
/// that many clients do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Longest first wait: short, since most interruptions are short.
    const FIRST: Duration = Duration::from_millis(200);
    /// Longest wait of all: a person may be looking at the screen.
    const LONGEST: Duration = Duration::from_secs(15);

    /// The next wait, for a `chance` of 0 to 1: at least half of the longest it may be.
    pub fn next(&mut self, chance: f64) -> Duration {
        let longest = Self::FIRST * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        longest
            .min(Self::LONGEST)
            .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// A connection was opened.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(
            waits,
            [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]
        );
        backoff.reset();
        assert_eq!(backoff.next(0.0).as_millis(), 100);
    }
}
