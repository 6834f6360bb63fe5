//! Who is at the other end of an HTTP connection: the one place that finds it out, for REST and WebSocket.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use nowrong_base::privacy::ClientIp;

/// The address of the client, as a key of limits and nothing else. Unknown, and one for all, when the router is
/// served without [`ConnectInfo`].
pub struct Peer(pub ClientIp);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ip = peer.map_or_else(ClientIp::default, |ConnectInfo(address)| {
            ClientIp::from(*address)
        });
        Ok(Self(ip))
    }
}
