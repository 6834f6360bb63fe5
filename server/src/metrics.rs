//! What an operator watches: counts and times of this node, as text that Prometheus reads.
//!
//! Parts register what they count ([`Metrics::register`]) or what can be asked of them
//! ([`Metrics::gauge`]). No label comes from a user, so the text is bounded. It is served on a
//! listener of its own, `listen_metrics`, which is off unless it is set: never on the one that
//! clients reach.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text, metrics::gauge::Gauge, registry::Registry};

/// Upper bounds of times in seconds: fine around 10 ms, which is what a commit may take.
pub const LATENCY_BUCKETS: [f64; 12] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

/// What [`text::encode`] writes.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the node counts.
#[derive(Default)]
pub struct Metrics(Mutex<Registered>);

struct Registered {
    registry: Registry,
    asked: Vec<Asked>,
}

/// A number that is asked for whenever someone looks.
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

impl Metrics {
    /// Adds metrics of a part; their names get `nowrong_` in front.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.lock().registry);
    }

    /// Adds a number that is asked for whenever someone looks; `ask` must not wait.
    pub fn gauge(&self, name: &str, text: &str, ask: impl Fn() -> i64 + Send + 'static) {
        let (gauge, mut registered) = (Gauge::default(), self.lock());
        registered.registry.register(name, text, gauge.clone());
        let ask = Box::new(ask);
        registered.asked.push(Asked { gauge, ask });
    }

    /// All of it, now.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /metrics`, for `listen_metrics`.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(metrics)
}

async fn show(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        ChatStore as _, MessageStore as _, UserStore as _,
        conformance::{NOW, chat, tickets, user_id},
        embedded::EmbeddedStore,
        measured::MeasuredStore,
    };

    #[tokio::test]
    async fn calls_of_the_store_are_timed_and_their_errors_counted() {
        let metrics = Metrics::default();
        metrics.gauge("connections", "Clients that are here", || 7);
        let store = Arc::new(EmbeddedStore::in_memory().unwrap());
        let store = MeasuredStore::new(store, &metrics);
        let opened = chat(1, &[1, 2]);
        store.open_chat(&opened, &tickets()).await.unwrap();
        let seat = store.seat(user_id(1), NOW).await.unwrap();
        assert_eq!(seat, Some(opened.id));
        store.close().await;
        store.user(user_id(1), NOW).await.unwrap_err();
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
