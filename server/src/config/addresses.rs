//! The addresses for clients, and the web origins that may use them. Pure.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use nowrong_core::node::NodeEndpoint;

use super::{BrokerChoice, Config};

/// Path of the WebTransport endpoint.
pub const WEBTRANSPORT_PATH: &str = "/v1/webtransport";

/// Path of the WebSocket endpoint.
pub const WEBSOCKET_PATH: &str = "/v1/websocket";

/// A web origin (RFC 6454): scheme, host, and the port unless it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin in the form that browsers use; anything else (a path, `*`, `null`) is
    /// `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let own_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let (host, port) = host_and_port(authority)?;
        let host = match ipv6(host) {
            Some(address) => format!("[{address}]"),
            None if is_host(host) => host.to_owned(),
            None => return None,
        };
        Some(Self(match port.filter(|port| *port != own_port) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }

    /// The origin in the form that browsers use.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The addresses for clients and the permitted origins, once the ports are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// `https://host:port/path`, unless WebTransport is off.
    pub webtransport: Option<String>,
    /// `ws://` or `wss://` URL.
    pub websocket: String,
    /// The web origins that may use this server. Native clients send no origin and are permitted.
    pub origins: Vec<Origin>,
    /// Whether clients may be sent to other nodes, whose addresses are not known beforehand.
    pub has_peers: bool,
}

impl Addresses {
    /// Whether a request with this `Origin` header may be served; `None` is a native client.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        origin.is_none_or(|origin| self.origins.iter().any(|one| one.as_str() == origin))
    }

    /// The endpoint of this node, as other nodes announce it to their clients.
    pub fn endpoint(&self, certificate_hash: Option<String>) -> NodeEndpoint {
        NodeEndpoint {
            webtransport: self.webtransport.clone(),
            websocket: self.websocket.clone(),
            certificate_hash,
        }
    }

    /// The origins of the endpoints, for `connect-src`: all secure ones when there are other nodes,
    /// since a page may be open longer than the list of nodes is valid.
    pub fn connect_sources(&self) -> Vec<String> {
        if self.has_peers {
            let is_plain = self.websocket.starts_with("ws:");
            let schemes = ["https:", "wss:"]
                .into_iter()
                .chain(is_plain.then_some("ws:"));
            return schemes.map(str::to_owned).collect();
        }
        let urls = self.webtransport.iter().chain([&self.websocket]);
        urls.filter_map(|url| origin_of(url)).collect()
    }
}

impl Config {
    /// The addresses in force, given the bound addresses of the listeners (port 0 is resolved by
    /// then).
    ///
    /// A derived URL names the address itself, and the loopback address when bound to all: browsers
    /// try only one address of `localhost` for WebTransport, and it may be the wrong one.
    pub fn addresses(&self, http: SocketAddr, quic: Option<SocketAddr>) -> Addresses {
        let webtransport = || {
            let address = reachable(quic?);
            Some(format!("https://{address}{WEBTRANSPORT_PATH}"))
        };
        let websocket = || format!("ws://{}{WEBSOCKET_PATH}", reachable(http));
        Addresses {
            webtransport: self.public_url.webtransport.clone().or_else(webtransport),
            websocket: self.public_url.websocket.clone().unwrap_or_else(websocket),
            origins: self.origins_at(http),
            has_peers: self.broker != BrokerChoice::Local,
        }
    }

    fn origins_at(&self, http: SocketAddr) -> Vec<Origin> {
        if !self.origins.is_empty() {
            return self.origins.clone();
        }
        let port = http.port();
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .filter_map(|host| Origin::parse(&format!("http://{host}:{port}")))
            .collect()
    }
}

/// Why nobody can ever connect to this host and port of a URL, if so; it completes a sentence that begins
/// with the key.
pub(super) fn fault_of_place(authority: &str) -> Option<&'static str> {
    let Some((host, _)) = host_and_port(authority) else {
        return Some("must have a port from 1 to 65535, or none");
    };
    match bare(host).parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_unspecified() => Some(
            "must name the host that clients connect to: 0.0.0.0 and [::] only mean every address of a machine",
        ),
        _ if is_host(host) => None,
        _ => Some("must name a host such as chat.example, 192.0.2.1 or [2001:db8::1]"),
    }
}

/// Host and port, which is from 1 to 65535; `None` if there is another one. The colons of an IPv6 address are
/// inside brackets.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let in_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[in_brackets..].find(':') else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at(in_brackets + colon);
    let digits = &port[1..];
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_number && *port > 0)?;
    Some((host, Some(port)))
}

/// Whether this is the address of one machine, or can be the name of one.
fn is_host(host: &str) -> bool {
    if host.starts_with('[') {
        return ipv6(host).is_some_and(|ip| !ip.is_multicast());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    // Browsers read a name that ends with a number as an address.
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        let address = name.parse::<Ipv4Addr>();
        return address.is_ok_and(|ip| !ip.is_multicast() && !ip.is_broadcast());
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_letter);
    name.len() <= 253 && name.split('.').all(is_label)
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// An address without its brackets.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The host of a URL; an IPv6 address in brackets.
pub fn host_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    uri.host().map(str::to_owned)
}

fn origin_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}
