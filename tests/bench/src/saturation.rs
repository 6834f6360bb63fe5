//! Whether the generator kept up: if not, its figures say more about itself than about the target.
//! Pure.

use std::time::Duration;

/// A generator that sends this late at the 99th percentile shows its own queue.
const LAG_MAX: Duration = Duration::from_millis(5);

/// A generator that uses more of its core than this has no time left to receive on time.
const CPU_SHARE_MAX: f64 = 0.92;

/// The generator's effort in the measured time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The longest delay between schedule and socket for 99 % of the messages.
    pub lag_p99: Duration,
    /// Share of one core that it used.
    pub cpu_share: f64,
}

impl Effort {
    /// A complaint for a person to read; `None` when it kept up.
    pub fn complaint(&self) -> Option<String> {
        let is_late = self.lag_p99 > LAG_MAX;
        let is_busy = self.cpu_share > CPU_SHARE_MAX;
        (is_late || is_busy).then(|| {
            format!(
                "the generator was saturated: p99 of its lag {:.1} ms, {:.0} % of its core",
                self.lag_p99.as_secs_f64() * 1_000.0,
                self.cpu_share * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_and_a_full_core_are_saturation() {
        let cases = [
            (1, 0.5, false),
            (6, 0.5, true),
            (1, 0.95, true),
            (5, 0.92, false),
        ];
        for (milliseconds, cpu_share, is_saturated) in cases {
            let lag_p99 = Duration::from_millis(milliseconds);
            let effort = Effort { lag_p99, cpu_share };
            assert_eq!(effort.complaint().is_some(), is_saturated, "{effort:?}");
        }
    }
}
