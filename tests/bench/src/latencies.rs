//! Latencies of many messages, in a histogram of microseconds. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency that is recorded exactly, in microseconds: a message that takes longer than a
/// minute is lost.
const LONGEST_US: u64 = 60_000_000;

/// Three significant digits: 10.0 ms and 10.1 ms differ, and a histogram takes 200 KB.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A distribution of latencies.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LONGEST_US, SIGNIFICANT_DIGITS);
        Self(histogram.expect("the bounds are constants that hdrhistogram takes"))
    }
}

impl Latencies {
    /// Counts one latency; one over a minute counts as a minute.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_micros() as u64);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in milliseconds that `share` of all (0 to 1) do not exceed; 0 when there are
    /// none.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1_000.0
    }

    /// Share of all (0 to 1) that took longer than this; 0 when there are none.
    pub fn share_above(&self, limit: Duration) -> f64 {
        match self.0.len() {
            0 => 0.0,
            all => 1.0 - self.0.count_between(0, limit.as_micros() as u64) as f64 / all as f64,
        }
    }

    /// The longest, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(milliseconds: u64) -> Latencies {
        let mut latencies = Latencies::default();
        for value in 1..=milliseconds {
            latencies.record(Duration::from_millis(value));
        }
        latencies
    }

    fn is_about(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected * 0.001
    }

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let latencies = up_to(1_000);
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0)] {
            let quantile = latencies.quantile_ms(share);
            assert!(is_about(quantile, expected), "{share}: {quantile}");
        }
        assert!(is_about(latencies.max_ms(), 1_000.0));
    }

    #[test]
    fn merging_counts_both() {
        let (mut all, mut slow) = (up_to(99), Latencies::default());
        slow.record(Duration::from_secs(5));
        slow.record(Duration::from_secs(500));
        all.merge(&slow);
        assert_eq!(all.count(), 101);
        assert!(is_about(all.quantile_ms(0.5), 51.0));
        assert!(is_about(all.max_ms(), 60_000.0), "a minute is the longest");
        assert_eq!(Latencies::default().quantile_ms(0.99), 0.0);
    }
}
