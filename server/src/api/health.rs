//! `/healthz` and `/readyz`: for the supervisor of the process.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{FromRef, State},
    routing::get,
};
use nowrong_broker::Broker;
use nowrong_core::record::UnixMs;
use nowrong_protocol::ErrorCode;
use serde::Serialize;
use tokio::sync::Mutex;
use tracing::warn;
use utoipa::ToSchema;

use super::{
    ApiState,
    problem::{Problem, ProblemDocument},
};
use crate::{alarm::Alarm, environment::Environment};

impl FromRef<Arc<ApiState>> for Environment {
    fn from_ref(api: &Arc<ApiState>) -> Self {
        api.env.clone()
    }
}

fn is_draining(broker: &dyn Broker) -> bool {
    let (own, nodes) = (broker.id(), broker.nodes());
    let own = nodes.iter().find(|node| node.id == own);
    own.is_some_and(|own| own.status.is_draining)
}

/// Both routes, for a node that serves no other REST.
pub(super) fn router() -> Router<Environment> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .layer(Extension(Probe::default()))
}

/// For how many milliseconds `/readyz` repeats what was found: a check writes to store and broker, and
/// anybody may ask.
const FOUND_FOR_MS: u64 = 1_000;

/// What the last check of store and broker found. Many who ask at once cause one check.
#[derive(Clone, Default)]
pub(super) struct Probe(Arc<Mutex<Option<Found>>>);

/// When it was found, and what.
type Found = (UnixMs, Result<(), Missing>);

/// What cannot be written to.
#[derive(Clone, Copy)]
enum Missing {
    Store,
    Broker,
}

impl Probe {
    async fn check(&self, env: &Environment) -> Result<(), Missing> {
        let mut found = self.0.lock().await;
        if let Some((at, outcome)) = *found
            && env.clock.now() < at + FOUND_FOR_MS
        {
            return outcome;
        }
        let outcome = check(env).await;
        *found = Some((env.clock.now(), outcome));
        outcome
    }
}

async fn check(env: &Environment) -> Result<(), Missing> {
    if let Err(error) = env.store.check().await {
        warn!(%error, "not ready: the store");
        return Err(Missing::Store);
    }
    if let Err(error) = env.broker.check().await {
        warn!(%error, "not ready: the broker");
        return Err(Missing::Broker);
    }
    Ok(())
}

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        let (code, detail) = match missing {
            Missing::Store => (
                ErrorCode::STORAGE_UNAVAILABLE,
                "The store cannot be written to.",
            ),
            Missing::Broker => (ErrorCode::OVERLOADED, "The broker cannot be written to."),
        };
        Self::new(code).detail(detail)
    }
}

/// The answer of a healthy node.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// The answer of a ready node.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// How many live nodes take connections of clients. At 0 a node that serves REST is ready all the
    /// same: accounts can be looked after, and `POST /v1/connect` says when to try again.
    #[schema(example = 2)]
    nodes_for_clients: usize,
}

/// Alive
///
/// The process responds, and no part of it has ended by itself. If one has, the node drains and then
/// exits with an error, and a supervisor should start it again.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "Operation",
    operation_id = "healthz",
    responses(
        (status = 200, description = "It answers.", body = Health),
        (status = 503, description = "A part of it has ended.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn healthz(alarm: Option<Extension<Alarm>>) -> Result<Json<Health>, Problem> {
    match alarm.and_then(|Extension(alarm)| alarm.about()) {
        None => Ok(Json(OK)),
        Some(part) => {
            let detail = format!("A part of the node has ended: {part}.");
            Err(Problem::draining().detail(detail))
        }
    }
}

/// Ready
///
/// The store and the broker could be written to within the last second, the disk has room, and the node is not about
/// to stop; otherwise the problem says which of these fails.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Operation",
    operation_id = "readyz",
    responses(
        (status = 200, description = "It can serve.", body = Readiness),
        (status = 503, description = "A part it needs is missing.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn readyz(
    State(env): State<Environment>,
    Extension(probe): Extension<Probe>,
) -> Result<Json<Readiness>, Problem> {
    if is_draining(&*env.broker) {
        return Err(Problem::draining());
    }
    if env.disk.is_full() {
        return Err(Problem::disk_full());
    }
    probe.check(&env).await?;
    let nodes = env.broker.nodes();
    Ok(Json(Readiness {
        status: "ok",
        nodes_for_clients: nodes.iter().filter(|node| node.takes_clients()).count(),
    }))
}
