//! The PROXY protocol, version 2: a proxy says in the first bytes of a connection whom it carries.
//!
//! Specification: <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>, section 2.2. Version 1,
//! which is text, is not read. [`length`] needs the first [`HEAD_BYTES`] bytes and says how many follow;
//! [`source`] reads those.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the fixed part.
pub const HEAD_BYTES: usize = 16;

/// Most bytes after the fixed part: addresses, and what a proxy says about TLS.
pub const REST_BYTES_MAX: usize = 2_048;

/// How every connection begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2 and `LOCAL`: the proxy speaks for itself, for example to see whether we are well.
const LOCAL: u8 = 0x20;

/// Version 2 and `PROXY`: the proxy speaks for somebody.
const PROXY: u8 = 0x21;

/// The fixed part of a connection's beginning.
pub type Head = [u8; HEAD_BYTES];

/// Why a connection does not begin as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyProtocolError {
    /// It begins with something else.
    #[error("the connection does not begin with PROXY protocol version 2")]
    Absent,
    /// A version or command that does not exist.
    #[error("PROXY protocol: an unknown version or command")]
    UnknownCommand,
    /// More than [`REST_BYTES_MAX`] bytes are announced.
    #[error("PROXY protocol: longer than {REST_BYTES_MAX} bytes")]
    TooLong,
    /// A kind of address that does not exist.
    #[error("PROXY protocol: an unknown family of addresses")]
    UnknownFamily,
    /// The addresses are cut off.
    #[error("PROXY protocol: the addresses are cut off")]
    Short,
}

/// How many bytes follow the fixed part.
///
/// # Errors
/// [`ProxyProtocolError`].
pub fn length(head: &Head) -> Result<usize, ProxyProtocolError> {
    if head[..SIGNATURE.len()] != SIGNATURE {
        return Err(ProxyProtocolError::Absent);
    }
    if !matches!(head[12], LOCAL | PROXY) {
        return Err(ProxyProtocolError::UnknownCommand);
    }
    match usize::from(u16::from_be_bytes([head[14], head[15]])) {
        length if length > REST_BYTES_MAX => Err(ProxyProtocolError::TooLong),
        length => Ok(length),
    }
}

/// Whom a connection carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The proxy itself: what follows is its own word.
    Proxy,
    /// Somebody at this address: what follows is that client's word.
    Client(IpAddr),
    /// Somebody without an internet address (a family `UNSPEC` or `UNIX`): what follows is that client's
    /// word, and the addresses are those of the connection.
    Unnamed,
}

/// Whom the proxy carries.
///
/// # Errors
/// [`ProxyProtocolError`].
pub fn source(head: &Head, rest: &[u8]) -> Result<Source, ProxyProtocolError> {
    let rest = rest.get(..length(head)?).ok_or(ProxyProtocolError::Short)?;
    if head[12] == LOCAL {
        return Ok(Source::Proxy);
    }
    let address = match head[13] >> 4 {
        1 => {
            let octets = *addresses::<12, 4>(rest)?;
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        2 => {
            let octets = *addresses::<36, 16>(rest)?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        0 | 3 => return Ok(Source::Unnamed),
        _ => return Err(ProxyProtocolError::UnknownFamily),
    };
    Ok(Source::Client(address.to_canonical()))
}

/// The first `N` bytes, which are the source, when all `ALL` bytes of both addresses and ports are there.
fn addresses<const ALL: usize, const N: usize>(
    rest: &[u8],
) -> Result<&[u8; N], ProxyProtocolError> {
    if rest.len() < ALL {
        return Err(ProxyProtocolError::Short);
    }
    rest.first_chunk().ok_or(ProxyProtocolError::Short)
}
