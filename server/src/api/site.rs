//! The fallback for all other addresses: the files of `web_root`, or one small page that says what
//! this is.
//!
//! Of the folder only what is meant to be public is served ([`public`]), compressed where `FILE.br` or
//! `FILE.gz` lies beside a file and the client accepts it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use super::{ApiState, problem};

mod public;

use public::Public;

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
        Some(root) => file(root, &api.never_served, request).await,
        None if path == "/" => Html(include_str!("assets/index.html")).into_response(),
        None => problem::not_found().into_response(),
    }
}

async fn file(root: &Path, never: &Arc<[PathBuf]>, request: Request) -> Response {
    let path = request.uri().path();
    // A folder is redirected to its path with a slash, and `//name/` would be another host.
    if path.starts_with("//") {
        return problem::not_found().into_response();
    }
    let is_hashed = HASHED.iter().any(|folder| path.starts_with(folder));
    let folder = ServeDir::with_backend(root, Public::of(root, never));
    let folder = folder.precompressed_br().precompressed_gzip();
    let Ok(response) = folder.oneshot(request).await;
    if !is_of_a_file(response.status()) {
        return problem::not_found().into_response();
    }
    let mut response = response.map(Body::new);
    let cache = if is_hashed { IMMUTABLE } else { ASK_AGAIN };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Whether a response is about a file that there is; otherwise a problem document says what is wrong.
fn is_of_a_file(status: StatusCode) -> bool {
    let refusals = [
        StatusCode::RANGE_NOT_SATISFIABLE,
        StatusCode::PRECONDITION_FAILED,
    ];
    status.is_success() || status.is_redirection() || refusals.contains(&status)
}
