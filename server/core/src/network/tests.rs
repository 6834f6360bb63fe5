//! Tables of networks, headers and first bytes, and what any input must hold.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{
    Hop, NETWORKS_MAX, Network, NetworkError, TrustedProxies, Word,
    forwarded::{BYTES_MAX, HOPS_MAX, Headers},
    proxy_protocol::{self, HEAD_BYTES, Head, ProxyProtocolError, REST_BYTES_MAX, Source},
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn proxies(networks: &[&str]) -> TrustedProxies {
    TrustedProxies::new(networks.iter().map(|text| text.parse().unwrap()).collect())
}

/// The client of a request from `peer` when 10.0.0.0/8 and fd00::/8 are trusted.
fn client(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str]) -> (IpAddr, Word) {
    let bytes = |values: &[&str]| -> Vec<Vec<u8>> {
        values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect()
    };
    let (standard, usual) = (bytes(forwarded), bytes(x_forwarded_for));
    let slices = |values: &'static [Vec<u8>]| -> Vec<&'static [u8]> {
        values.iter().map(Vec::as_slice).collect()
    };
    let standard = slices(standard.leak());
    let usual = slices(usual.leak());
    let headers = Headers {
        forwarded: &standard,
        x_forwarded_for: &usual,
    };
    let found = proxies(&["10.0.0.0/8", "fd00::/8"]).client(ip(peer), headers);
    (found.address, found.word)
}

#[test]
fn a_network_contains_its_addresses_and_no_others() {
    let cases = [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1/8", "127.200.3.4", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.1.2.128/25", "10.1.2.127", false),
        ("10.1.2.128/25", "10.1.2.255", true),
        ("0.0.0.0/1", "127.255.255.255", true),
        ("0.0.0.0/1", "128.0.0.0", false),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fc00::1", false),
        ("::1", "::1", true),
        ("2001:db8::/127", "2001:db8::2", false),
        ("10.0.0.0/8", "::ffff:10.9.9.9", true),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true),
        ("10.0.0.0/8", "2001:db8::1", false),
        ("fd00::/8", "10.0.0.1", false),
    ];
    for (network, address, is_inside) in cases {
        let network: Network = network.parse().unwrap();
        assert_eq!(
            network.contains(ip(address)),
            is_inside,
            "{network} {address}"
        );
    }
}

#[test]
fn nobody_is_trusted_unless_said() {
    assert!(TrustedProxies::default().is_empty());
    assert!(!proxies(&["10.0.0.0/8"]).is_empty());
}

#[test]
fn what_is_not_a_network_is_refused_with_its_reason() {
    for text in [
        "",
        "/",
        "proxy.example",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0/8",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "::1/129",
        "fe80::1%eth0",
        "[::1]",
        "10.0.0.1:80",
        " 10.0.0.1",
    ] {
        assert_eq!(
            text.parse::<Network>(),
            Err(NetworkError::Malformed),
            "{text}"
        );
    }
    for text in [
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/0",
        "::ffff:0.0.0.0/96",
        "::ffff:10.0.0.0/90",
    ] {
        assert_eq!(
            text.parse::<Network>(),
            Err(NetworkError::Everybody),
            "{text}"
        );
    }
}

#[test]
fn the_last_hop_that_is_not_a_trusted_proxy_counts() {
    let cases = [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6,203.0.113.7, 10.0.0.9 ,10.0.0.8", "203.0.113.7"),
        ("nonsense, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, ::ffff:10.0.0.9", "203.0.113.7"),
        // A proxy that asks by itself.
        ("10.0.0.9", "10.0.0.9"),
        ("10.0.0.7, 10.0.0.9", "10.0.0.7"),
    ];
    for (header, expected) in cases {
        assert_eq!(
            client("10.0.0.1", &[], &[header]),
            (ip(expected), Word::Believed),
            "{header}"
        );
    }
    assert_eq!(
        client("10.0.0.1", &[], &["6.6.6.6", "203.0.113.7", "10.0.0.9"]),
        (ip("203.0.113.7"), Word::Believed),
        "several lines are one list"
    );
}

#[test]
fn the_standard_header_is_read_as_rfc_7239_writes_it() {
    let cases = [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
        ("by=10.0.0.1 ; for = 1", ""),
        ("proto=https;for=\"203.0.113.7:47011\"", "203.0.113.7"),
        ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=\"[2001:db8:cafe::17]:_port\"", "2001:db8:cafe::17"),
        ("for=[2001:db8:cafe::17]", "2001:db8:cafe::17"),
        ("for=6.6.6.6, for=203.0.113.7", "203.0.113.7"),
        (
            "for=6.6.6.6,for=203.0.113.7, for=10.0.0.9;by=10.0.0.1",
            "203.0.113.7",
        ),
        ("for=unknown, for=203.0.113.7", "203.0.113.7"),
        (";for=203.0.113.7;", "203.0.113.7"),
        ("for=\"203.0.113.\\7\"", "203.0.113.7"),
        ("host=\"a, for=6.6.6.6\";for=203.0.113.7", "203.0.113.7"),
        ("for=203.0.113.7, for=unknown", ""),
        ("for=_hidden", ""),
        ("for=2001:db8::1", ""),
        ("for=\"2001:db8::1\"", ""),
        ("for=203.0.113.7;for=203.0.113.8", ""),
        ("proto=https", ""),
        ("for=\"203.0.113.7", ""),
        ("for=203.0.113.7 for=6.6.6.6", ""),
        ("for=", ""),
        ("=203.0.113.7", ""),
        ("for", ""),
        ("", ""),
        (",", ""),
        // What a client can do with quotes to what the proxy appends.
        ("for=6.6.6.6;x=\", for=203.0.113.7", ""),
        ("for=6.6.6.6;x=\", for=\"[2001:db8::7]:1\"", ""),
    ];
    for (header, expected) in cases {
        let expected = match expected {
            "" => (ip("10.0.0.1"), Word::Unreadable),
            expected => (ip(expected), Word::Believed),
        };
        assert_eq!(client("10.0.0.1", &[header], &[]), expected, "{header}");
    }
}

#[test]
fn a_quote_that_a_client_leaves_open_does_not_reach_the_line_of_the_proxy() {
    let lines = ["for=6.6.6.6;x=\"", "for=203.0.113.7"];
    assert_eq!(
        client("10.0.0.1", &lines, &[]),
        (ip("203.0.113.7"), Word::Believed)
    );
}

#[test]
fn the_word_of_a_stranger_changes_nothing() {
    for peer in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        let found = client(peer, &["for=6.6.6.6"], &["6.6.6.6"]);
        assert_eq!(found, (ip(peer).to_canonical(), Word::OfStranger));
        assert_eq!(
            client(peer, &[], &[]),
            (ip(peer).to_canonical(), Word::Silent)
        );
    }
    let nobody = TrustedProxies::default();
    let headers = Headers {
        forwarded: &[],
        x_forwarded_for: &[b"6.6.6.6"],
    };
    let found = nobody.client(ip("127.0.0.1"), headers);
    assert!(found.address == ip("127.0.0.1") && found.word == Word::OfStranger);
    assert!(nobody.is_empty());
}

#[test]
fn what_cannot_be_read_counts_for_the_proxy() {
    let peer = "10.0.0.1";
    let unreadable = (ip(peer), Word::Unreadable);
    let usual = [
        "",
        "nonsense",
        "203.0.113.7, nonsense",
        "203.0.113.7, ",
        "203.0.113.7 6.6.6.6",
        "\"203.0.113.7\"",
        "1",
        "[203.0.113.7]",
        "203.0.113.256",
        "203.0.113.7:99999",
        "fe80::1%eth0",
        "203.0.113.7;x",
    ];
    for header in usual {
        assert_eq!(client(peer, &[], &[header]), unreadable, "{header}");
    }
    let hops = vec!["10.0.0.9"; HOPS_MAX];
    let within = format!("203.0.113.7,{}", hops[1..].join(","));
    assert_eq!(client(peer, &[], &[&within]).1, Word::Believed);
    let beyond = format!("203.0.113.7,{}", hops.join(","));
    assert_eq!(client(peer, &[], &[&beyond]), unreadable);
    let long = format!("{},203.0.113.7", "6".repeat(BYTES_MAX));
    assert_eq!(client(peer, &[], &[&long]), unreadable);
}

#[test]
fn two_headers_that_disagree_are_not_believed() {
    // A proxy that writes one of them passes on the other one as the client wrote it.
    let peer = "10.0.0.1";
    assert_eq!(
        client(peer, &["for=6.6.6.6"], &["203.0.113.7"]),
        (ip(peer), Word::Unreadable)
    );
    assert_eq!(
        client(peer, &["for=nobody"], &["203.0.113.7"]),
        (ip(peer), Word::Unreadable)
    );
    assert_eq!(
        client(
            peer,
            &["for=6.6.6.6, for=203.0.113.7"],
            &["7.7.7.7, 203.0.113.7"]
        ),
        (ip("203.0.113.7"), Word::Believed)
    );
}

#[test]
fn a_list_is_bounded() {
    let many = (0..=NETWORKS_MAX).map(|n| format!("192.0.2.{n}").parse().unwrap());
    let proxies = TrustedProxies::new(many.collect());
    assert!(proxies.trusts(ip(&format!("192.0.2.{}", NETWORKS_MAX - 1))));
    assert!(!proxies.trusts(ip(&format!("192.0.2.{NETWORKS_MAX}"))));
}

fn head(command: u8, family: u8, length: usize) -> Head {
    let mut head = [0; HEAD_BYTES];
    head[..12].copy_from_slice(b"\r\n\r\n\0\r\nQUIT\n");
    head[12] = command;
    head[13] = family;
    head[14..].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
    head
}

#[test]
fn a_proxy_says_whom_a_connection_carries() {
    let four = [203, 0, 113, 7, 10, 0, 0, 1, 1, 187, 1, 187];
    let mut six = [0; 36];
    six[..16].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[255, 255, 203, 0, 113, 7]);
    let with_more = [&four[..], b"\x04\0\x03abc"].concat();
    let client = |text| Source::Client(ip(text));
    let cases: [(u8, u8, &[u8], Source); 10] = [
        (0x21, 0x11, &four, client("203.0.113.7")),
        (0x21, 0x12, &four, client("203.0.113.7")),
        (0x21, 0x11, &with_more, client("203.0.113.7")),
        (0x21, 0x21, &six, client("2001:db8::7")),
        (0x21, 0x21, &mapped, client("203.0.113.7")),
        // For itself, whatever stands behind it.
        (0x20, 0x11, &four, Source::Proxy),
        (0x20, 0x00, &[], Source::Proxy),
        // For somebody over a socket of the machine; of a family without an address.
        (0x21, 0x31, &[0; 216], Source::Unnamed),
        (0x21, 0x00, &[], Source::Unnamed),
        (0x21, 0x00, &four, Source::Unnamed),
    ];
    for (command, family, rest, expected) in cases {
        let head = head(command, family, rest.len());
        assert_eq!(proxy_protocol::length(&head), Ok(rest.len()));
        let found = proxy_protocol::source(&head, rest);
        assert!(found == Ok(expected), "{command:x} {family:x}");
    }
}

#[test]
fn who_is_carried_without_an_address_counts_for_the_proxy_and_is_not_believed() {
    let trusted = proxies(&["10.0.0.0/8"]);
    let headers = Headers {
        forwarded: &[],
        x_forwarded_for: &[b"6.6.6.6"],
    };
    for (source, address, word) in [
        (Source::Proxy, "6.6.6.6", Word::Believed),
        (Source::Unnamed, "10.0.0.1", Word::OfStranger),
        (Source::Client(ip("10.0.0.2")), "6.6.6.6", Word::Believed),
        (
            Source::Client(ip("203.0.113.7")),
            "203.0.113.7",
            Word::OfStranger,
        ),
    ] {
        let hop = Hop::of(ip("10.0.0.1"), source);
        let found = trusted.client(hop, headers);
        assert_eq!((found.address, found.word), (ip(address), word));
        assert_eq!(trusted.believes(hop), word == Word::Believed);
        let silent = trusted.client(hop, Headers::default());
        assert_eq!((silent.address, silent.word), (hop.address(), Word::Silent));
    }
}

#[test]
fn a_connection_that_does_not_begin_so_is_refused_with_the_reason() {
    let request = *b"GET / HTTP/1.1\r\n";
    assert_eq!(
        proxy_protocol::length(&request),
        Err(ProxyProtocolError::Absent)
    );
    let text = *b"PROXY TCP4 1.2.3";
    assert_eq!(
        proxy_protocol::length(&text),
        Err(ProxyProtocolError::Absent)
    );
    for command in [0x00, 0x11, 0x22, 0x2f, 0x31, 0xff] {
        let head = head(command, 0x11, 12);
        assert_eq!(
            proxy_protocol::length(&head),
            Err(ProxyProtocolError::UnknownCommand)
        );
    }
    let long = head(0x21, 0x11, REST_BYTES_MAX + 1);
    assert_eq!(
        proxy_protocol::length(&long),
        Err(ProxyProtocolError::TooLong)
    );
    for (family, length) in [(0x11, 11), (0x21, 35), (0x21, 12)] {
        let head = head(0x21, family, length);
        let found = proxy_protocol::source(&head, &vec![1; length]);
        assert!(
            found == Err(ProxyProtocolError::Short),
            "{family:x} {length}"
        );
    }
    let cut = head(0x21, 0x11, 12);
    assert!(proxy_protocol::source(&cut, &[1; 11]) == Err(ProxyProtocolError::Short));
    for family in [0x40, 0x51, 0xff] {
        let head = head(0x21, family, 12);
        let found = proxy_protocol::source(&head, &[1; 12]);
        assert!(found == Err(ProxyProtocolError::UnknownFamily));
    }
}

proptest! {
    #[test]
    fn whatever_a_client_writes_in_front_the_proxy_has_the_last_word(
        forged in "[ -~]{0,80}",
        header in prop::bool::ANY,
    ) {
        // The proxy appends to the line of the client (X-Forwarded-For) or writes its own (Forwarded).
        let found = if header {
            client("10.0.0.1", &[&forged, "for=203.0.113.7"], &[])
        } else {
            client("10.0.0.1", &[], &[&format!("{forged}, 203.0.113.7")])
        };
        prop_assert_eq!(found, (ip("203.0.113.7"), Word::Believed));
    }

    #[test]
    fn a_client_that_writes_to_the_same_line_gets_the_proxys_address_or_its_own(forged in "[ -~]{0,80}") {
        let (address, _) = client("10.0.0.1", &[&format!("{forged}, for=203.0.113.7;proto=https")], &[]);
        prop_assert!(address == ip("203.0.113.7") || address == ip("10.0.0.1"), "{address}");
    }
}
