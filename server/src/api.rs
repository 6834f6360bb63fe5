//! REST: accounts, tokens, categories, and what is needed to open a connection.
//!
//! [`router`] is the whole HTTP interface except for the WebSocket, which is merged into it. These
//! rules hold for every response: errors are RFC 9457 problem documents ([`problem`]); request
//! bodies are bounded by [`BODY_BYTES_MAX`] and the time by [`DEADLINE`]; security headers are
//! always set; only the configured web origins may read anything under `/v1`. No address, name or
//! token is ever logged here. Start reading at [`router`].
//!
//! Any response may be lost, so this is what the same request does when it comes again:
//!
//! | request | again |
//! |---|---|
//! | `POST /v1/users` with a key | the same account, other good tokens |
//! | `POST /v1/users` without | `NAME_TAKEN`: the server cannot know who asks (only where no proof of work is asked for) |
//! | `POST /v1/auth/refresh` | the same refresh token, until it was used |
//! | `POST /v1/auth/logout` | nothing more |
//! | `POST /v1/auth/recover` | other good tokens; the ones before are revoked |
//! | `POST /v1/me/recovery` | another code, which replaces the one before |
//! | `DELETE /v1/me/recovery` | nothing more |
//! | `POST /v1/connect` | another connect token; unused ones lapse after 30 s |
//! | `PATCH /v1/me` | nothing more |
//! | `GET /v1/me/export` | the document again, one of six an hour |
//! | `DELETE /v1/me` | `UNAUTHENTICATED`: the account is gone |
//!
//! What makes something over a connection is repeatable as well: `Send` by its client message id,
//! `Join` (`ALREADY_QUEUED` or `ALREADY_IN_CHAT` names what there is), `Block` (one block), `Leave` and
//! `Delete` (done is done).

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, extract::DefaultBodyLimit};
use nowrong_base::privacy::PseudonymKey;
use nowrong_core::text::ReservedNames;
use nowrong_protocol::UserId;
use nowrong_store::StoreError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::AccessTokens,
    config::{Addresses, ClientLimits},
    environment::Environment,
};

mod auth;
mod body;
mod caller;
mod categories;
mod connect;
mod docs;
mod export;
mod headers;
mod health;
mod me;
mod openapi;
pub mod problem;
mod proof;
mod recovery;
mod site;
#[cfg(test)]
mod tests;
mod users;

pub use categories::CategoryList;
pub use headers::{sole_origin, with_headers};
pub use openapi::openapi;
pub use proof::Crowd;

/// Longest request body in bytes: the longest valid one has about 2,000.
pub const BODY_BYTES_MAX: usize = 16 * 1_024;

/// Time from the head of a request to the head of its response; after that the response is
/// `OVERLOADED`.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The state of the REST side.
#[derive(Clone)]
pub struct ApiState {
    /// Accounts; connect tokens, limits and counts; the time.
    pub env: Environment,
    /// The topics that people can talk about.
    pub categories: Arc<CategoryList>,
    /// Issues and checks access tokens.
    pub access: Arc<AccessTokens>,
    /// Removes a user from everything that is running, before the account is erased.
    pub departure: Arc<dyn Departure>,
    /// The addresses for clients, and the origins that may ask.
    pub addresses: Arc<Addresses>,
    /// How many requests one client may make.
    pub limits: ClientLimits,
    /// How many accounts this node has made lately.
    pub crowd: Crowd,
    /// Turns addresses into pseudonyms, and signs challenges.
    pub pseudonyms: Arc<PseudonymKey>,
    /// How long an unused account is kept.
    pub account_idle: Duration,
    /// Names that nobody can have.
    pub reserved_names: Arc<ReservedNames>,
    /// A folder of static files to serve at `/`.
    pub web_root: Option<PathBuf>,
    /// What is never served, whatever `web_root` leads to: absolute paths without `..`.
    pub never_served: Arc<[PathBuf]>,
    /// Inline scripts that pages may run, as `sha256-…`.
    pub script_hashes: Arc<[String]>,
}

/// Removes a user from everything that is running: chat, queue, connections.
#[async_trait]
pub trait Departure: Send + Sync + 'static {
    /// Cancels all tickets of the user, also those to come, ends the chat, closes the connections with
    /// `ACCOUNT_GONE`. `Ok` means that all of this is done; idempotent. Who erases an account calls it
    /// before, so that the chat ends while it can be read, and again afterwards: a connection that was
    /// admitted in between has seen the account.
    async fn depart(&self, user: UserId) -> Result<(), StoreError>;

    /// Closes the connections that were opened under an earlier generation of the account than it has
    /// now, on all nodes, with `TOKEN_REFUSED`. Its chat and its place in the queue are held as for
    /// everybody who loses the connection. Idempotent. Who raises the generation calls it afterwards: a
    /// connection that is being admitted meanwhile sees the new one.
    async fn end_revoked(&self, user: UserId) -> Result<(), StoreError>;
}

/// The HTTP interface. What serves it notes in each request who asks ([`crate::peer`]); otherwise all
/// clients share one limit.
pub fn router(state: ApiState) -> Router {
    let state = Arc::new(state);
    let (described, _document) = described().split_for_parts();
    let router = described
        .merge(docs::router())
        .merge(problem::router())
        .fallback(site::serve)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::Extension(health::Probe::default()))
        .layer(axum::Extension(export::Turns::default()));
    headers::protect(router, &state.addresses, &state.script_hashes).with_state(state)
}

/// The part for a node that accepts connections but serves no REST: its own health.
pub fn health_router(env: Environment, addresses: &Arc<Addresses>) -> Router {
    let router = health::router()
        .fallback(problem::nowhere)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    headers::protect(router, addresses, &[]).with_state(env)
}

/// The routes that the OpenAPI document describes.
fn described() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(users::register))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::log_out))
        .routes(routes!(recovery::recover))
        .routes(routes!(recovery::make, recovery::remove))
        .routes(routes!(me::show, me::change, me::erase))
        .routes(routes!(export::export))
        .routes(routes!(categories::list))
        .routes(routes!(connect::connect))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}
