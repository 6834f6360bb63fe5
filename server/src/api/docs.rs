//! `/openapi.json` and `/docs`: a description of the interface, for programs and for people. The
//! page is part of the binary and loads nothing from elsewhere.

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};

use super::{ApiState, openapi};

pub(super) fn router() -> Router<Arc<ApiState>> {
    let document: Arc<str> = openapi().into();
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { typed("application/json", document) }),
        )
        .route(
            "/docs",
            get(|| async { Html(include_str!("assets/docs.html")) }),
        )
        .route(
            "/docs/docs.js",
            get(|| async {
                typed(
                    "text/javascript; charset=utf-8",
                    include_str!("assets/docs.js"),
                )
            }),
        )
        .route(
            "/docs/page.css",
            get(|| async { typed("text/css; charset=utf-8", include_str!("assets/page.css")) }),
        )
}

fn typed(kind: &'static str, body: impl AsRef<str>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body.as_ref().to_owned())
}
