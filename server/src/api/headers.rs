//! The layers around every request: deadline, catching of panics, origin check, CORS, security
//! headers.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use nowrong_protocol::ErrorCode;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};
use tracing::error;

use super::{DEADLINE, problem::Problem};
use crate::config::Addresses;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(10 * 60);

/// The key under which a registration can be sent again.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Headers whose value never changes.
const FIXED: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    // No page of another site shows what comes from here; those that may ask for it use CORS.
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=()",
    ),
];

/// Puts all layers around `router`, the outermost last.
pub(super) fn protect<S>(
    router: Router<S>,
    addresses: &Arc<Addresses>,
    script_hashes: &[String],
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let router = router
        .layer(from_fn_with_state(Arc::clone(addresses), check_origin))
        .layer(cors(addresses))
        .layer(from_fn(hold_deadline))
        .layer(CatchPanicLayer::custom(after_panic));
    with_headers(router, addresses, script_hashes)
}

/// Gives every response of `router` the security headers, and nothing else: for what has deadlines and rules
/// about origins of its own.
pub fn with_headers<S>(
    router: Router<S>,
    addresses: &Arc<Addresses>,
    script_hashes: &[String],
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let policy = Arc::new(content_security_policy(addresses, script_hashes));
    router.layer(from_fn_with_state(policy, secure))
}

/// Refuses requests of a foreign page under `/v1`. Without CORS headers the page could not read the
/// response anyway; this way the request has no effect either.
async fn check_origin(
    State(addresses): State<Arc<Addresses>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = sole_origin(request.headers());
    let is_api = request.uri().path().starts_with("/v1/");
    if is_api && !addresses.allows(origin) {
        return Problem::new(ErrorCode::ORIGIN_REFUSED).into_response();
    }
    next.run(request).await
}

/// The web origin of a request. A value that is not text, or one of several, is not an origin of ours: it
/// counts as `null`.
pub fn sole_origin(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next()?.to_str().unwrap_or("null");
    Some(match origins.next() {
        Some(_) => "null",
        None => origin,
    })
}

async fn hold_deadline(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(DEADLINE, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        Problem::new(ErrorCode::OVERLOADED)
            .detail("The request took too long.")
            .into_response()
    })
}

/// The panic's own text stays where the panic hook wrote it: it may contain text of a person.
fn after_panic(_panic: Box<dyn Any + Send>) -> Response {
    error!("a request panicked");
    Problem::new(ErrorCode::INTERNAL).into_response()
}

fn cors(addresses: &Addresses) -> CorsLayer {
    let origins = addresses.origins.iter();
    let origins = origins.filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            IDEMPOTENCY_KEY,
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}

async fn secure(State(policy): State<Arc<HeaderValue>>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/v1/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::clone(&policy));
    if is_api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Pages load nothing from elsewhere, run nothing inline but what the operator listed, and connect to
/// this server's endpoints only.
fn content_security_policy(addresses: &Addresses, script_hashes: &[String]) -> HeaderValue {
    let scripts: String = script_hashes
        .iter()
        .map(|hash| format!(" '{hash}'"))
        .collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self' {}; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        addresses.connect_sources().join(" ")
    );
    // The configuration lets only plain URLs and hashes through.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
