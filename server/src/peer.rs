//! Finds the address at the other end of an HTTP connection, for REST and WebSocket.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use nowrong_base::privacy::ClientIp;

/// The address of the client, usable only as a key of limits. If the router is served without
/// [`ConnectInfo`], it is unknown and the same for all clients.
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
