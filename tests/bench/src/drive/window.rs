//! Resources that target, generator and machine used in the measured time.

use std::time::{Duration, Instant};

use crate::{
    counters::{MachineTime, Traffic, processor_time},
    target::Running,
};

/// Processor time of other programs, as a share of a core, above which figures are doubtful.
const OTHERS_SHARE_MAX: f64 = 0.10;

/// The counters at one time.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    at: Instant,
    delivered: u64,
    target: Duration,
    generator: Duration,
    machine: MachineTime,
    traffic: Traffic,
    resident_bytes: u64,
}

impl Snapshot {
    /// The counters now, when `delivered` messages have been received.
    ///
    /// # Errors
    /// When the target has ended.
    pub fn take(running: &dyn Running, delivered: u64) -> anyhow::Result<Self> {
        let mut target = Duration::ZERO;
        let mut resident_bytes = 0;
        for process in running.processes() {
            target += process.processor_time()?;
            resident_bytes += process.resident_bytes()?;
        }
        Ok(Self {
            at: Instant::now(),
            delivered,
            target,
            generator: processor_time(std::process::id())?,
            machine: MachineTime::now()?,
            traffic: Traffic::now()?,
            resident_bytes,
        })
    }

    /// Resident memory of the target in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    /// The resources used since `earlier`.
    pub fn since(&self, earlier: &Self) -> Window {
        let stolen = self.machine.stolen.saturating_sub(earlier.machine.stolen);
        Window {
            time: self.at - earlier.at,
            delivered: self.delivered - earlier.delivered,
            target: self.target.saturating_sub(earlier.target),
            generator: self.generator.saturating_sub(earlier.generator),
            machine: self.machine.used.saturating_sub(earlier.machine.used) + stolen,
            traffic: self.traffic.since(earlier.traffic),
            resident_bytes: self.resident_bytes,
        }
    }
}

/// Resources used in a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// How long it was.
    pub time: Duration,
    /// Messages received in it.
    pub delivered: u64,
    /// Processor time of the target.
    pub target: Duration,
    /// Processor time of the generator.
    pub generator: Duration,
    /// Processor time of the whole machine, including the part that other machines took.
    pub machine: Duration,
    /// The traffic over loopback.
    pub traffic: Traffic,
    /// Resident memory of the target at the end.
    pub resident_bytes: u64,
}

impl Window {
    /// Messages received per second.
    pub fn delivered_per_second(&self) -> f64 {
        self.delivered as f64 / self.time.as_secs_f64()
    }

    /// A total divided by the messages received; 0 when there were none.
    pub fn per_message(&self, whole: f64) -> f64 {
        if self.delivered == 0 {
            return 0.0;
        }
        whole / self.delivered as f64
    }

    /// Share of its core that the target used.
    pub fn target_share(&self) -> f64 {
        self.target.as_secs_f64() / self.time.as_secs_f64()
    }

    /// Share of its core that the generator used.
    pub fn generator_share(&self) -> f64 {
        self.generator.as_secs_f64() / self.time.as_secs_f64()
    }

    /// Share of a core that everything else used.
    pub fn others_share(&self) -> f64 {
        let others = self.machine.saturating_sub(self.target + self.generator);
        others.as_secs_f64() / self.time.as_secs_f64()
    }

    /// A complaint if other programs disturbed the measurement.
    pub fn complaint(&self) -> Option<String> {
        let share = self.others_share();
        (share > OTHERS_SHARE_MAX).then(|| {
            format!(
                "the machine was not quiet: others used {:.0} % of a core",
                share * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(machine_ms: u64) -> Window {
        Window {
            time: Duration::from_secs(2),
            delivered: 1_000,
            target: Duration::from_millis(400),
            generator: Duration::from_millis(600),
            machine: Duration::from_millis(machine_ms),
            ..Window::default()
        }
    }

    #[test]
    fn shares_are_of_the_time_and_figures_of_a_message() {
        let window = window(1_000);
        assert_eq!(window.delivered_per_second(), 500.0);
        assert_eq!(
            (window.target_share(), window.generator_share()),
            (0.2, 0.3)
        );
        assert_eq!(window.per_message(5_000.0), 5.0);
        assert_eq!(Window::default().per_message(5_000.0), 0.0);
    }

    #[test]
    fn others_are_noticed() {
        assert_eq!(window(1_100).complaint(), None);
        let complaint = window(2_000).complaint().unwrap();
        assert_eq!(
            complaint,
            "the machine was not quiet: others used 50 % of a core"
        );
    }
}
