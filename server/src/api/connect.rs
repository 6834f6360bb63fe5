//! `POST /v1/connect`: where to connect, and the token to say `Hello` with.

use std::sync::Arc;

use axum::{Json, extract::State};
use nowrong_protocol::limits::CONNECT_TOKEN_LIFETIME;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    caller::Caller,
    caller::millis,
    problem::{Problem, ProblemDocument},
};
use crate::{auth::issue_connect, privacy::ClientIp};

/// The way to a connection.
#[derive(Serialize, ToSchema)]
pub(super) struct Connect {
    /// For the first frame; good once.
    connect_token: String,
    /// Its life, in milliseconds from now.
    expires_in_ms: u64,
    /// Where to.
    endpoint: EndpointView,
}

/// The addresses of a node.
#[derive(Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(super) struct EndpointView {
    /// URL for WebTransport; null when the node has none.
    #[schema(required, example = "https://chat.example:4433/v1/webtransport")]
    webtransport: Option<String>,
    /// URL for WebSocket.
    #[schema(example = "wss://chat.example/v1/websocket")]
    websocket: String,
    /// SHA-256 of a development certificate in base64, for `serverCertificateHashes`; null when the
    /// certificate is an ordinary one.
    #[schema(required)]
    certificate_hash: Option<String>,
}

/// Connect
///
/// Call it before each connection: the token is good once, for 30 seconds.
#[utoipa::path(
    post,
    path = "/v1/connect",
    tag = "Connection",
    operation_id = "connect",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The way to a connection.", body = Connect),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn connect(
    State(api): State<Arc<ApiState>>,
    ip: ClientIp,
    Caller(user): Caller,
) -> Result<Json<Connect>, Problem> {
    api.take("connect", api.limits.requests, ip).await?;
    let token = issue_connect(&*api.broker, user.id, api.clock.now()).await?;
    api.touch(user).await?;
    Ok(Json(Connect {
        connect_token: token.into_exposed(),
        expires_in_ms: millis(CONNECT_TOKEN_LIFETIME),
        endpoint: EndpointView {
            webtransport: api.addresses.webtransport.clone(),
            websocket: api.addresses.websocket.clone(),
            certificate_hash: api.identity.pinned_hash().map(|hash| hash.to_base64()),
        },
    }))
}
