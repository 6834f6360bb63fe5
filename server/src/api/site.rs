//! The fallback for all other addresses: the files of `web_root`, or one small page that says what
//! this is.

use std::{path::Path, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use super::{ApiState, problem};

/// Folders whose files have a hash in their name, as Vite and Next.js write them.
const HASHED: [&str; 2] = ["/assets/", "/_next/static/"];

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The fallback of the router.
pub(super) async fn serve(State(api): State<Arc<ApiState>>, request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/v1/") {
        return problem::not_found().into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return problem::method_not_allowed().await.into_response();
    }
    match &api.web_root {
        Some(root) => file(root, request).await,
        None if path == "/" => Html(include_str!("assets/index.html")).into_response(),
        None => problem::not_found().into_response(),
    }
}

async fn file(root: &Path, request: Request) -> Response {
    let is_hashed = HASHED
        .iter()
        .any(|folder| request.uri().path().starts_with(folder));
    let Ok(response) = ServeDir::new(root).oneshot(request).await;
    let status = response.status();
    let is_file = status.is_success() || status.is_redirection();
    if !is_file && status != StatusCode::RANGE_NOT_SATISFIABLE {
        return problem::not_found().into_response();
    }
    let mut response = response.map(Body::new);
    let cache = if is_hashed { IMMUTABLE } else { ASK_AGAIN };
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}
