//! The metrics: one row for each figure, with its unit and its significant digits.

/// A figure that cases report.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its key in the JSON.
    pub key: &'static str,
    /// Its heading in tables and plots.
    pub title: &'static str,
    /// Its unit; empty for counts.
    pub unit: &'static str,
    /// Digits after the point.
    pub digits: usize,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident $title:literal $unit:literal $digits:literal;)*) => {$(
        $(#[$doc])*
        pub static $name: Metric = Metric {
            key: stringify!($name),
            title: $title,
            unit: $unit,
            digits: $digits,
        };
    )*};
}

metrics! {
    /// Messages that reached the partner, per second.
    DELIVERED "delivered" "/s" 0;
    /// From the scheduled send to the receipt: median.
    DELIVERY_P50 "delivery p50" "ms" 2;
    /// 90th percentile.
    DELIVERY_P90 "p90" "ms" 2;
    /// 99th percentile.
    DELIVERY_P99 "p99" "ms" 2;
    /// 99.9th percentile.
    DELIVERY_P999 "p99.9" "ms" 2;
    /// From the scheduled send to the ack: median.
    ACK_P50 "ack p50" "ms" 2;
    /// 90th percentile.
    ACK_P90 "ack p90" "ms" 2;
    /// 99th percentile.
    ACK_P99 "ack p99" "ms" 2;
    /// 99.9th percentile.
    ACK_P999 "ack p99.9" "ms" 2;
    /// Processor time of all processes of the target, per delivered message.
    CPU_PER_MESSAGE "CPU/message" "µs" 1;
    /// IP bytes over loopback, both hops and acks, per delivered message.
    BYTES_PER_MESSAGE "bytes/message" "B" 0;
    /// IP packets over loopback, per delivered message.
    PACKETS_PER_MESSAGE "packets/message" "" 2;
    /// Resident memory of the target under load.
    RESIDENT "RSS" "MB" 1;
    /// Resident memory of the target, per connection.
    RESIDENT_PER_CONNECTION "RSS/connection" "KB" 1;
    /// Growth of buffers and small objects in the kernel, both ends, per connection.
    KERNEL_PER_CONNECTION "kernel/connection" "KB" 2;
    /// Processor time of the target while nobody does anything, share of a core.
    CPU_IDLE "CPU idle" "%" 2;
    /// Processor time of the target to take one connection in, registration included.
    CPU_PER_CONNECTION "CPU/connect" "µs" 0;
    /// Connections taken in per second.
    CONNECTS "connects" "/s" 0;
    /// How late the generator itself was.
    LAG_P99 "generator lag p99" "ms" 2;
    /// Processor time of the target, share of a core.
    TARGET_CPU "CPU" "%" 0;
    /// Share of its core that the generator used.
    GENERATOR_CPU "generator CPU" "%" 0;
    /// Messages that took longer than 100 ms.
    LATE_100 "later than 100 ms" "%" 2;
    /// Messages that took longer than 250 ms.
    LATE_250 "later than 250 ms" "%" 2;
    /// Highest rate that passed.
    CEILING "ceiling" "/s" 0;
    /// From the wish to join to `Matched`, for the person who came second: median.
    MATCH_P50 "join to match p50" "ms" 2;
    /// 99th percentile.
    MATCH_P99 "p99 (join to match)" "ms" 2;
    /// Longest.
    MATCH_MAX "longest" "ms" 1;
    /// People who were matched.
    MATCHED "matched" "" 0;
    /// People who still waited at the end.
    WAITING "still waiting" "" 0;
    /// `POST /v1/users`, 99th percentile.
    REGISTER_P99 "register p99" "ms" 2;
    /// `GET /v1/categories`, 99th percentile.
    CATEGORIES_P99 "categories p99" "ms" 2;
    /// `POST /v1/connect`, 99th percentile.
    CONNECT_P99 "connect p99" "ms" 2;
    /// `GET /v1/categories` flat out.
    CATEGORIES_RATE "categories" "/s" 0;
    /// Clients that came back.
    RESUMED "resumed" "" 0;
    /// From the drop to everything caught up: median.
    RESUME_P50 "resume p50" "ms" 0;
    /// 99th percentile.
    RESUME_P99 "resume p99" "ms" 0;
    /// Longest.
    RESUME_MAX "resume longest" "ms" 0;
    /// Attempts to connect, for each client; over 1, work was wasted.
    ATTEMPTS "attempts/client" "" 2;
    /// Messages lost over all.
    LOST "lost" "" 0;
    /// Messages repeated over all.
    REPEATED "repeated" "" 0;
    /// Processor instructions for one operation, counted by callgrind.
    INSTRUCTIONS "instructions" "" 0;
    /// Time for one operation.
    TIME_PER_OPERATION "time" "ns" 0;
}

/// The figures of one round of one case on one target, with notes.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Figures, in the order in which they are shown.
    pub figures: Vec<(&'static Metric, f64)>,
    /// Faults, for people.
    pub notes: Vec<String>,
}

impl Sample {
    /// Adds a figure.
    pub fn push(&mut self, metric: &'static Metric, value: f64) {
        self.figures.push((metric, value));
    }

    /// One line for people: the first figures, and the faults.
    pub fn summary(&self) -> String {
        let figure = |(metric, value): &(&Metric, f64)| {
            format!(
                "{} {:.*} {}",
                metric.title, metric.digits, value, metric.unit
            )
        };
        let figures: Vec<_> = self.figures.iter().take(5).map(figure).collect();
        let notes = self.notes.iter().map(|note| format!(" [{note}]"));
        figures.join(", ") + &notes.collect::<String>()
    }

    /// Adds a note, if there is one.
    pub fn note(&mut self, note: Option<String>) {
        self.notes.extend(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_order_and_faults() {
        let mut sample = Sample::default();
        sample.push(&DELIVERED, 2.0);
        sample.push(&ACK_P50, 1.0);
        sample.note(None);
        sample.note(Some("late".to_owned()));
        let keys: Vec<_> = sample
            .figures
            .iter()
            .map(|(metric, _)| metric.key)
            .collect();
        assert_eq!(
            (keys, sample.notes),
            (vec!["DELIVERED", "ACK_P50"], vec!["late".to_owned()])
        );
    }
}
