//! Networks, and where a request comes from when proxies hand it on. Pure.
//!
//! A [`Network`] is what an operator writes down: one address, or a range in CIDR notation.
//! [`TrustedProxies`] are the networks whose word about others counts. Only what such a proxy adds is
//! believed, so the client is the last hop that is not a trusted proxy ([`forwarded`]);
//! [`proxy_protocol`] reads the same from the first bytes of a connection. What cannot be read is never
//! believed: then the proxy itself counts. Nothing here can print an address of a client. Start reading
//! at [`TrustedProxies::client`].

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

pub mod forwarded;
pub mod proxy_protocol;
pub mod sole_address;

use forwarded::Headers;
use proxy_protocol::Source;

/// Most networks of one list: an operator names proxies, not the internet. Each request looks through them.
pub const NETWORKS_MAX: usize = 64;

/// An address, or a range of addresses in CIDR notation. An IPv4 address inside IPv6 counts as IPv4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// It is something else.
    #[error("must list addresses or networks such as 10.0.0.0/8, 127.0.0.1 or fd00::/8")]
    Malformed,
    /// It has every address of a family.
    #[error("must not contain all addresses: everybody could then choose an address")]
    Everybody,
}

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                mask4(base, self.prefix) == mask4(address, self.prefix)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                mask6(base, self.prefix) == mask6(address, self.prefix)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        let longest = longest_prefix(written);
        let prefix = prefix.map_or(Ok(longest), number)?;
        if prefix > longest {
            return Err(NetworkError::Malformed);
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let base = written.to_canonical();
        let shortened = longest - longest_prefix(base);
        match prefix.checked_sub(shortened) {
            Some(prefix) if prefix > 0 => Ok(Self { base, prefix }),
            _ => Err(NetworkError::Everybody),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const fn longest_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(text: &str) -> Result<u8, NetworkError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_plain.then(|| text.parse().ok()).flatten();
    number.ok_or(NetworkError::Malformed)
}

fn mask4(address: Ipv4Addr, prefix: u8) -> u32 {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix));
    address.to_bits() & mask.unwrap_or(0)
}

fn mask6(address: Ipv6Addr, prefix: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix));
    address.to_bits() & mask.unwrap_or(0)
}

/// The networks whose word about the address of others counts. Empty by default: then nobody's does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// The other end of a connection, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// The one that has this address: a client, or a proxy that speaks for itself.
    Named(IpAddr),
    /// A client whose address the proxy at this one does not tell. It counts for the proxy, but it is not
    /// the proxy: what it says about others is not believed.
    Unnamed(IpAddr),
}

impl Hop {
    /// Who is at the other end when a connection of `peer` carries this.
    pub const fn of(peer: IpAddr, source: Source) -> Self {
        match source {
            Source::Proxy => Self::Named(peer),
            Source::Client(address) => Self::Named(address),
            Source::Unnamed => Self::Unnamed(peer),
        }
    }

    /// The address that counts, unless a trusted proxy says otherwise.
    pub const fn address(self) -> IpAddr {
        match self {
            Self::Named(address) | Self::Unnamed(address) => address,
        }
    }
}

impl From<IpAddr> for Hop {
    fn from(address: IpAddr) -> Self {
        Self::Named(address)
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address that limits are counted for.
    pub address: IpAddr,
    /// What was made of the headers of the request.
    pub word: Word,
}

/// What was made of the word of a peer about who is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It said nothing.
    Silent,
    /// It comes from a peer that is not trusted, and changed nothing.
    OfStranger,
    /// It comes from a trusted proxy and was believed.
    Believed,
    /// It comes from a trusted proxy and cannot be read, or contradicts itself: the peer counts.
    Unreadable,
}

impl TrustedProxies {
    /// The list of these networks, without those beyond [`NETWORKS_MAX`].
    pub fn new(mut networks: Vec<Network>) -> Self {
        networks.truncate(NETWORKS_MAX);
        Self(networks)
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the word of this peer counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(peer))
    }

    /// Whether the word of the other end counts.
    pub fn believes(&self, hop: Hop) -> bool {
        match hop {
            Hop::Named(address) => self.trusts(address),
            Hop::Unnamed(_) => false,
        }
    }

    /// Who is behind `peer`, by the forwarding headers of a request.
    ///
    /// `Forwarded` and `X-Forwarded-For` that name different clients count as unreadable: a proxy that
    /// writes one of them passes on the other one as the client wrote it.
    pub fn client(&self, peer: impl Into<Hop>, headers: Headers<'_>) -> Client {
        let hop = peer.into();
        let peer = hop.address().to_canonical();
        let client = |address, word| Client { address, word };
        if headers.is_empty() {
            return client(peer, Word::Silent);
        }
        if !self.believes(hop) {
            return client(peer, Word::OfStranger);
        }
        match self.believe(headers) {
            Some(address) => client(address, Word::Believed),
            None => client(peer, Word::Unreadable),
        }
    }

    fn believe(&self, headers: Headers<'_>) -> Option<IpAddr> {
        if headers.bytes() > forwarded::BYTES_MAX {
            return None;
        }
        let is_trusted = |address| self.trusts(address);
        let standard = forwarded::last_hop(headers.forwarded, &is_trusted);
        let usual = forwarded::last_hop_of_list(headers.x_forwarded_for, &is_trusted);
        match (
            headers.forwarded.is_empty(),
            headers.x_forwarded_for.is_empty(),
        ) {
            (false, true) => standard,
            (true, false) => usual,
            _ => standard.filter(|standard| Some(*standard) == usual),
        }
    }
}

#[cfg(test)]
mod tests;
