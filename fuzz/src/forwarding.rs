//! What proxies say about a client: never a panic, a stranger's word changes nothing, and whatever a
//! client wrote, the address that a trusted proxy appended counts.
//!
//! An input is the lines of forwarding headers: a line that begins with `F` is a value of `Forwarded`,
//! any other one a value of `X-Forwarded-For`, both without their first byte. The same bytes are also
//! read as the beginning of a connection with the PROXY protocol.

use std::net::{IpAddr, Ipv4Addr};

use nowrong_core::network::{
    TrustedProxies, Word,
    forwarded::{BYTES_MAX, Headers},
    proxy_protocol::{self, HEAD_BYTES, REST_BYTES_MAX},
};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Reads the bytes as headers and as the beginning of a connection.
///
/// # Panics
/// When a promise is broken.
pub fn run(data: &[u8]) {
    headers(data);
    if let Some((head, rest)) = data.split_first_chunk::<HEAD_BYTES>()
        && let Ok(length) = proxy_protocol::length(head)
    {
        assert!(length <= REST_BYTES_MAX);
        let found = proxy_protocol::source(head, rest);
        assert!(found.is_err() || length <= rest.len());
        let exact = rest.get(..length);
        assert!(exact.is_none_or(|exact| proxy_protocol::source(head, exact) == found));
    }
}

fn headers(data: &[u8]) {
    let proxies = TrustedProxies::new(
        ["10.0.0.0/8", "fd00::/8"]
            .map(|text| text.parse().expect("a network"))
            .to_vec(),
    );
    let (mut forwarded, mut usual): (Vec<&[u8]>, Vec<&[u8]>) = Default::default();
    for line in data.split(|byte| *byte == b'\n') {
        match line.split_first() {
            Some((b'F', value)) => forwarded.push(value),
            Some((_, value)) => usual.push(value),
            None => {}
        }
    }
    let asked = |peer, forwarded: &[&[u8]], x_forwarded_for: &[&[u8]]| {
        proxies.client(
            peer,
            Headers {
                forwarded,
                x_forwarded_for,
            },
        )
    };
    assert!(asked(STRANGER, &forwarded, &usual).address == STRANGER);
    let found = asked(PROXY, &forwarded, &usual);
    assert!(found.word != Word::OfStranger);
    assert!(found.word == Word::Believed || found.address == PROXY);

    // A proxy that appends to the client's own line, as nginx and Caddy do.
    let line = usual.join(&b","[..]);
    let appended = [&line[..], b", 203.0.113.7"].concat();
    if appended.len() <= BYTES_MAX {
        assert!(asked(PROXY, &[], &[&appended]).address == CLIENT);
    }
    // A client can make that unreadable with a quote, never into an address of its choice.
    let line = forwarded.join(&b","[..]);
    let appended = [&line[..], b", for=203.0.113.7;proto=https"].concat();
    let address = asked(PROXY, &[&appended], &[]).address;
    assert!(address == CLIENT || address == PROXY);
}
