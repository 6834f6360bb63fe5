//! The view for an operator: `GET /metrics`, on a separate listener, and the log ([`log`]).

pub mod log;

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use nowrong_base::metrics::{CONTENT_TYPE, Metrics};

/// `GET /metrics`, for `listen_metrics`.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(metrics)
}

async fn show(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text())
}
