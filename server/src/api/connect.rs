//! `POST /v1/connect`: where to connect, and the token for the `Hello`.

use std::sync::Arc;

use axum::{Json, extract::State};
use nowrong_base::random;
use nowrong_core::{
    node::{NodeEndpoint, NodeId, NodeView},
    placement,
    record::User,
};
use nowrong_protocol::limits::CONNECT_TOKEN_LIFETIME;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    caller::Caller,
    caller::millis,
    problem::{Problem, ProblemDocument},
};
use crate::auth::{Holder, connect::issue_connect};

/// The way to a connection.
#[derive(Serialize, ToSchema)]
pub(super) struct Connect {
    /// For the first frame; it can be used once.
    connect_token: String,
    /// Its lifetime, in milliseconds from now.
    expires_in_ms: u64,
    /// Where to connect.
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
    /// certificate is signed by a public authority.
    #[schema(required)]
    certificate_hash: Option<String>,
}

/// Connect
///
/// Call it before each connection: the token can be used once, within 30 seconds, and the endpoint
/// is that of the best node for the client at the moment. Calling it again, after a lost response,
/// is harmless: an unused token lapses.
#[utoipa::path(
    post,
    path = "/v1/connect",
    tag = "Connection",
    operation_id = "connect",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The way to a connection.", body = Connect),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No node takes clients now; ask again after the time given.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn connect(
    State(api): State<Arc<ApiState>>,
    Caller(user): Caller,
) -> Result<Json<Connect>, Problem> {
    let endpoint = api.endpoint_for(&user).await?;
    let token = issue_connect(&*api.env.broker, Holder::from(&user), api.env.clock.now()).await?;
    Ok(Json(Connect {
        connect_token: token.into_exposed(),
        expires_in_ms: millis(CONNECT_TOKEN_LIFETIME),
        endpoint: EndpointView {
            webtransport: endpoint.webtransport,
            websocket: endpoint.websocket,
            certificate_hash: endpoint.certificate_hash,
        },
    }))
}

impl ApiState {
    /// The best node for this user.
    async fn endpoint_for(&self, user: &User) -> Result<NodeEndpoint, Problem> {
        let nodes = self.env.broker.nodes();
        let is_choice = nodes.iter().filter(|node| node.takes_clients()).count() > 1;
        let wished = match is_choice {
            true => self.wished(user, &nodes).await?,
            false => Vec::new(),
        };
        let dice = [random::below(u32::MAX), random::below(u32::MAX)];
        if let Some(node) = placement::choose(&nodes, &wished, dice) {
            return Ok(node.status.endpoint.clone());
        }
        let own = nodes.iter().find(|node| node.id == self.env.broker.id());
        Err(match own.is_some_and(|own| own.status.is_draining) {
            true => Problem::draining(),
            false => Problem::no_node(),
        })
    }

    /// The nodes that already work for this user: the one with a connection that is perhaps about
    /// to be replaced, and the one with the partner of the chat.
    async fn wished(&self, user: &User, nodes: &[NodeView]) -> Result<Vec<NodeId>, Problem> {
        let is_open = |id| {
            nodes
                .iter()
                .any(|node| node.id == id && node.takes_clients())
        };
        let own = self.env.broker.place(user.id).await?;
        if let Some(own) = own.filter(|own| is_open(*own)) {
            return Ok(vec![own]);
        }
        let now = self.env.clock.now();
        let Some(chat) = self.env.store.seat(user.id, now).await? else {
            return Ok(Vec::new());
        };
        let chat = self.env.store.chat(chat, now).await?;
        let members = chat.into_iter().flat_map(|chat| chat.members);
        let mut nodes = Vec::new();
        for partner in members.filter(|member| member.user != user.id) {
            nodes.extend(self.env.broker.place(partner.user).await?);
        }
        Ok(nodes)
    }
}
