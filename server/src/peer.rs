//! Finds who is behind an HTTP request, for REST and WebSocket.
//!
//! [`Peers`] decides it once for each request, by the peer of the connection and the word of trusted
//! proxies, and says in the log, once each, what an operator should know about proxies: never an address.
//! [`Peer`] is what handlers take.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
};
use nowrong_base::{lock::lock, privacy::ClientIp};
use nowrong_core::network::{
    Hop, TrustedProxies, Word, forwarded::Headers, sole_address::SoleAddress,
};

/// Where people register.
const REGISTRATION: &str = "/v1/users";

/// The address of the client, usable only as a key of limits. Without [`Peers::note`] it is that of the
/// [`ConnectInfo`], without both unknown and the same for all clients.
pub struct Peer(pub ClientIp);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        if let Some(client) = parts.extensions.get::<ClientIp>() {
            return Ok(Self(*client));
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ip = peer.map_or_else(ClientIp::default, |ConnectInfo(address)| {
            ClientIp::from(*address)
        });
        Ok(Self(ip))
    }
}

/// Which peers are believed about others, and what was said about it.
#[derive(Default)]
pub struct Peers {
    proxies: TrustedProxies,
    has_told_stranger: AtomicBool,
    has_told_unreadable: AtomicBool,
    has_told_unnamed: AtomicBool,
    sole: Mutex<SoleAddress>,
    is_settled: AtomicBool,
}

impl Peers {
    /// Believes these proxies.
    pub fn new(proxies: TrustedProxies) -> Self {
        Self {
            proxies,
            ..Self::default()
        }
    }

    /// Whether the word of this peer about others counts.
    pub fn trusts(&self, peer: Hop) -> bool {
        self.proxies.believes(peer)
    }

    /// Notes in the request who is behind it, for [`Peer`]. `peer` is the other end of the connection.
    pub fn note<B>(&self, peer: Hop, request: &mut Request<B>) {
        let headers = request.headers();
        let forwarded = values(headers, header::FORWARDED.as_str());
        let x_forwarded_for = values(headers, "x-forwarded-for");
        let client = self.proxies.client(
            peer,
            Headers {
                forwarded: &forwarded,
                x_forwarded_for: &x_forwarded_for,
            },
        );
        match (peer, client.word) {
            (Hop::Unnamed(_), _) => self.tell_unnamed(),
            (Hop::Named(peer), Word::OfStranger) => self.tell_stranger(peer),
            (_, Word::Unreadable) => self.tell_unreadable(),
            (_, Word::Silent | Word::Believed) => {}
        }
        let path = request.uri().path();
        if path.starts_with("/v1/") && !self.is_settled.load(Ordering::Relaxed) {
            let is_registration = path == REGISTRATION && request.method() == Method::POST;
            self.look_for_others(client.address, is_registration);
        }
        request
            .extensions_mut()
            .insert(ClientIp::from(client.address));
    }

    fn look_for_others(&self, address: IpAddr, is_registration: bool) {
        let mut sole = lock(&self.sole);
        let is_sole = sole.note(address, is_registration);
        self.is_settled.store(sole.is_settled(), Ordering::Relaxed);
        drop(sole);
        if is_sole {
            tracing::warn!(
                "everybody so far came from one address, so all people share its limits: if that is a proxy, \
                 list it in `trusted_proxies` and let it write X-Forwarded-For"
            );
        }
    }

    fn tell_stranger(&self, peer: IpAddr) {
        if !self.has_told_stranger.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                peer = kind(peer),
                "forwarding headers of a peer that `trusted_proxies` does not list are ignored: if it is your proxy, \
                 list it there; otherwise somebody pretends to be a proxy, without effect"
            );
        }
    }

    fn tell_unnamed(&self) {
        if !self.has_told_unnamed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a trusted proxy hands on a client by PROXY protocol without its address (family UNSPEC or UNIX): \
                 such clients count for the proxy itself, and share its limits"
            );
        }
    }

    fn tell_unreadable(&self) {
        if !self.has_told_unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "forwarding headers that a trusted proxy handed on cannot be read or contradict each other; such \
                 requests count for the proxy itself: let it write X-Forwarded-For and remove Forwarded, or vice versa"
            );
        }
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let values = headers.get_all(name).iter();
    values.map(HeaderValue::as_bytes).collect()
}

/// What may be said of an address.
fn kind(address: IpAddr) -> &'static str {
    let is_private = match address.to_canonical() {
        address if address.is_loopback() => return "on this machine",
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    };
    if is_private {
        "in a private network"
    } else {
        "elsewhere"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_its_kind_is_said() {
        let cases = [
            ("127.0.0.1", "on this machine"),
            ("::ffff:127.0.0.1", "on this machine"),
            ("10.1.2.3", "in a private network"),
            ("fd00::1", "in a private network"),
            ("203.0.113.7", "elsewhere"),
            ("2001:db8::1", "elsewhere"),
        ];
        for (address, expected) in cases {
            assert_eq!(kind(address.parse().unwrap()), expected, "{address}");
        }
    }
}
