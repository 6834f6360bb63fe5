//! The metrics for an operator: counts and times of this node, as text that Prometheus reads.
//!
//! Parts of the server register their counters ([`Metrics::register`]) or values to be asked for
//! ([`Metrics::gauge`]). No label comes from a user, so the text is bounded. It is served on a
//! listener of its own, `listen_metrics`, which is off unless it is set: never on the one that
//! clients reach.

use std::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

pub use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::{encoding::text, metrics::histogram::Histogram, registry::Registry};

use crate::lock::lock;

/// Upper bounds of times in seconds: fine around 10 ms, the usual time of a commit.
pub const LATENCY_BUCKETS: [f64; 12] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of the node.
pub struct Metrics {
    registered: Mutex<Registered>,
    refusals: Family<Limit, Counter>,
}

struct Registered {
    registry: Registry,
    asked: Vec<Asked>,
}

/// A value that is computed for each scrape.
struct Asked {
    gauge: Gauge,
    ask: Box<dyn Fn() -> i64 + Send>,
}

impl Default for Registered {
    fn default() -> Self {
        Self {
            registry: Registry::with_prefix("nowrong"),
            asked: Vec::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let (mut registered, refusals) = (Registered::default(), Family::default());
        let text = "How often a limit refused somebody";
        let registry = &mut registered.registry;
        registry.register("limit_refusals", text, refusals.clone());
        Self {
            registered: Mutex::new(registered),
            refusals,
        }
    }
}

impl Metrics {
    /// Counts that the limit of this name refused somebody: `nowrong_limit_refusals_total`. Who it was is
    /// not noted.
    pub fn count_refusal(&self, limit: &'static str) {
        self.refusals.get_or_create(&[("limit", limit)]).inc();
    }

    /// Adds metrics of a part; their names get `nowrong_` in front.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.lock().registry);
    }

    /// Adds a value that is computed for each scrape; `ask` must not wait.
    pub fn gauge(&self, name: &str, text: &str, ask: impl Fn() -> i64 + Send + 'static) {
        let (gauge, mut registered) = (Gauge::default(), self.lock());
        registered.registry.register(name, text, gauge.clone());
        let ask = Box::new(ask);
        registered.asked.push(Asked { gauge, ask });
    }

    /// Adds a count that exists already; its name gets `_total` at its end.
    pub fn count(&self, name: &str, text: &str, counter: &Counter) {
        self.register(|registry| registry.register(name, text, counter.clone()));
    }

    /// All metrics as text, now.
    pub fn text(&self) -> String {
        let registered = self.lock();
        for Asked { gauge, ask } in &registered.asked {
            gauge.set(ask());
        }
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &registered.registry);
        out
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        lock(&self.registered)
    }
}

/// `limit="register"`. The names are those of the configuration, so their number is bounded.
type Limit = [(&'static str, &'static str); 1];

/// `call="append"`.
type Call = [(&'static str, &'static str); 1];

/// How long the calls of a part take, and how many of them fail. The labels are the names of
/// methods, so their number is bounded; there are no other labels. Clones share their counts.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    seconds: Family<Call, Histogram, fn() -> Histogram>,
    errors: Family<Call, Counter>,
}

impl Default for CallMetrics {
    /// Metrics that are not published.
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(LATENCY_BUCKETS);
        Self {
            seconds: Family::new_with_constructor(histogram),
            errors: Family::default(),
        }
    }
}

impl CallMetrics {
    /// The metrics of `part`, such as `store`: `nowrong_store_call_seconds`,
    /// `nowrong_store_call_errors_total`.
    pub fn registered(metrics: &Metrics, part: &str) -> Self {
        let calls = Self::default();
        metrics.register(|registry| {
            let text = format!("How long calls of the {part} take");
            registry.register(format!("{part}_call_seconds"), text, calls.seconds.clone());
            let text = format!("How many calls of the {part} fail");
            registry.register(format!("{part}_call_errors"), text, calls.errors.clone());
        });
        calls
    }

    /// Runs `work` and measures it.
    ///
    /// # Cancel safety
    /// The outcome of `work`; a dropped call is not measured.
    ///
    /// # Errors
    /// The errors of `work`.
    pub async fn measure<T, E>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let outcome = work.await;
        self.note(call, begun, outcome.is_ok());
        outcome
    }

    /// Counts a call that began at that time and has just ended.
    pub fn note(&self, call: &'static str, begun: Instant, is_ok: bool) {
        let call = [("call", call)];
        let seconds = begun.elapsed().as_secs_f64();
        self.seconds.get_or_create(&call).observe(seconds);
        if !is_ok {
            self.errors.get_or_create(&call).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_limit() {
        let metrics = Metrics::default();
        for limit in ["register", "handshakes", "register"] {
            metrics.count_refusal(limit);
        }
        let text = metrics.text();
        for line in [
            "nowrong_limit_refusals_total{limit=\"register\"} 2",
            "nowrong_limit_refusals_total{limit=\"handshakes\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn calls_are_timed_and_their_errors_counted() {
        let metrics = Metrics::default();
        metrics.gauge("connections", "Connected clients", || 7);
        let calls = CallMetrics::registered(&metrics, "store");
        calls.note("open_chat", Instant::now(), true);
        calls.note("seat", Instant::now(), true);
        calls.note("user", Instant::now(), false);
        let text = metrics.text();
        for line in [
            "nowrong_store_call_seconds_count{call=\"open_chat\"} 1",
            "nowrong_store_call_seconds_bucket{le=\"+Inf\",call=\"seat\"} 1",
            "nowrong_store_call_errors_total{call=\"user\"} 1",
            "nowrong_connections 7",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(!text.contains("errors_total{call=\"seat\"}"), "{text}");
    }
}
