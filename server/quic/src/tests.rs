//! What the transport relies on, between two ends of the loopback: the server's through this crate, the
//! client's through quinn itself.

use std::{net::UdpSocket, sync::Arc, time::Duration};

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    SupportedCipherSuite,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{
            cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384},
            default_provider,
        },
    },
    pki_types::PrivateKeyDer,
    version::TLS13,
};

use super::*;

const LOOPBACK: &str = "127.0.0.1:0";

/// The TLS of a server, and of a client that trusts it.
fn tls(suite: SupportedCipherSuite) -> (rustls::ServerConfig, rustls::ClientConfig) {
    let names = vec!["localhost".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![suite],
        ..default_provider()
    });
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

/// Two endpoints that know of each other.
struct Ends {
    server: Endpoint,
    client: quinn::Endpoint,
}

impl Ends {
    fn new() -> Self {
        let (tls, trust) = tls(TLS13_AES_128_GCM_SHA256);
        Self::with(tls, trust, &QuicKey::in_memory())
    }

    fn with(tls: rustls::ServerConfig, trust: rustls::ClientConfig, key: &QuicKey) -> Self {
        let address = LOOPBACK.parse().unwrap();
        let server = Endpoint::bind(address, tls, key).unwrap();
        let mut client = quinn::Endpoint::client(address).unwrap();
        let crypto = QuicClientConfig::try_from(trust).unwrap();
        client.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        Self { server, client }
    }

    fn dial(&self) -> quinn::Connecting {
        let address = self.server.local_addr().unwrap();
        self.client.connect(address, "localhost").unwrap()
    }

    async fn incoming(&self) -> Incoming {
        self.server.accept().await.expect("the endpoint is open")
    }

    /// A connection, as the server and as the client have it.
    async fn connect(&self) -> (Connection, quinn::Connection) {
        let accepted = async {
            let connecting = self.incoming().await.accept().unwrap();
            connecting.await.unwrap()
        };
        let (server, client) = tokio::join!(accepted, self.dial());
        (server, client.unwrap())
    }
}

#[tokio::test]
async fn what_cannot_be_bound_is_said_in_one_sentence() {
    let taken = UdpSocket::bind(LOOPBACK).unwrap();
    let address = taken.local_addr().unwrap();
    let key = QuicKey::in_memory();
    let error = Endpoint::bind(address, tls(TLS13_AES_128_GCM_SHA256).0, &key)
        .err()
        .unwrap();
    let sentence = format!(
        "WebTransport cannot listen on UDP {address}: is the port taken? Set listen_quic to a free one"
    );
    assert_eq!(error.to_string(), sentence);
    let error = Endpoint::bind(
        LOOPBACK.parse().unwrap(),
        tls(TLS13_AES_256_GCM_SHA384).0,
        &key,
    )
    .err()
    .unwrap();
    assert_eq!(error.to_string(), "the TLS configuration lacks TLS 1.3");
}

#[tokio::test]
async fn who_was_here_before_is_known_after_a_restart_too() {
    let (tls, trust) = tls(TLS13_AES_128_GCM_SHA256);
    let key = QuicKey::in_memory();
    let mut ends = Ends::with(tls.clone(), trust, &key);
    let (server, client) = ends.connect().await;
    let (mut send, read) = (server.open_uni().await, client.accept_uni());
    send.as_mut()
        .unwrap()
        .write_chunk(Bytes::from_static(b"x"))
        .await
        .unwrap();
    let first = read.await.unwrap().read_chunk(1, true).await.unwrap();
    assert!(first.is_some(), "the token came with it, or before");
    ends.server = Endpoint::bind(LOOPBACK.parse().unwrap(), tls, &key).unwrap();
    let arrived = async {
        let again = ends.incoming().await;
        assert!(again.is_proved() && again.was_here());
        again.accept().unwrap().await.unwrap()
    };
    let (_server, client) = tokio::join!(arrived, ends.dial());
    client.unwrap();
}

#[tokio::test]
async fn an_address_proves_itself_once() {
    let ends = Ends::new();
    let arrived = async {
        let first = ends.incoming().await;
        assert_eq!(first.remote_address(), ends.client.local_addr().unwrap());
        assert!(!first.is_proved() && !first.was_here());
        first.retry();
        let second = ends.incoming().await;
        assert!(second.is_proved(), "it came back with the token");
        assert!(
            !second.was_here(),
            "which is not one of an earlier connection"
        );
        second.accept().unwrap().await.unwrap()
    };
    let (server, client) = tokio::join!(arrived, ends.dial());
    client.unwrap();
    drop(server);
}

#[tokio::test]
async fn a_client_that_is_refused_hears_it_and_one_that_cannot_retry_too() {
    let ends = Ends::new();
    let turned_away = async {
        ends.incoming().await.refuse();
    };
    let ((), refused) = tokio::join!(turned_away, ends.dial());
    assert!(
        matches!(refused, Err(quinn::ConnectionError::ConnectionClosed(_))),
        "{refused:?}"
    );
    let asked_twice = async {
        ends.incoming().await.retry();
        ends.incoming().await.retry();
    };
    let ((), refused) = tokio::join!(asked_twice, ends.dial());
    assert!(
        matches!(refused, Err(quinn::ConnectionError::ConnectionClosed(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn streams_carry_bytes_both_ways_and_end() {
    let ends = Ends::new();
    let (server, client) = ends.connect().await;
    let (mut up, mut down) = client.open_bi().await.unwrap();
    up.write_all(b"question").await.unwrap();
    let (mut send, mut receive) = server.accept_bi().await.unwrap();
    assert_eq!(read(&mut receive, 4).await, Some("ques".into()));
    assert_eq!(read(&mut receive, 100).await, Some("tion".into()));
    up.finish().unwrap();
    assert_eq!(read(&mut receive, 100).await, None);

    send.write_chunk("answer".into()).await.unwrap();
    send.finish().unwrap();
    assert!(send.finish().is_err(), "it has ended");
    let (got, ()) = tokio::join!(down.read_to_end(100), send.stopped());
    assert_eq!(got.unwrap(), b"answer");

    let mut control = server.open_uni().await.unwrap();
    control.write_chunk("settings".into()).await.unwrap();
    let mut settings = [0; 8];
    let mut heard = client.accept_uni().await.unwrap();
    heard.read_exact(&mut settings).await.unwrap();
    assert_eq!(&settings, b"settings");

    let mut up = client.open_uni().await.unwrap();
    up.write_all(b"three").await.unwrap();
    up.finish().unwrap();
    let mut stream = server.accept_uni().await.unwrap();
    let mut bytes = [0; 2];
    let mut lengths = Vec::new();
    while lengths.last() != Some(&0) {
        let length = std::future::poll_fn(|cx| stream.poll_read(cx, &mut bytes));
        lengths.push(length.await.unwrap());
    }
    assert_eq!(lengths, [2, 2, 1, 0]);
}

async fn read(stream: &mut RecvStream, max_bytes: usize) -> Option<Bytes> {
    stream.read_chunk(max_bytes).await.unwrap()
}

#[tokio::test]
async fn a_reset_is_not_the_end_of_the_connection() {
    let ends = Ends::new();
    let (server, client) = ends.connect().await;
    let (mut up, _down) = client.open_bi().await.unwrap();
    up.write_all(b"x").await.unwrap();
    let (mut send, mut receive) = server.accept_bi().await.unwrap();
    assert_eq!(read(&mut receive, 1).await, Some("x".into()));
    up.reset(7_u32.into()).unwrap();
    let reset = receive.read_chunk(1).await.unwrap_err();
    assert!(reset.is_reset(), "{reset}");

    let (_up, _down) = client.open_bi().await.unwrap();
    client.close(0_u32.into(), b"");
    server.closed().await;
    let lost = server.accept_bi().await.err().unwrap();
    assert_eq!(lost.to_string(), "closed by peer: 0");
    let lost = send.write_chunk("late".into()).await.unwrap_err();
    assert_eq!(lost.to_string(), "connection lost");
}

#[tokio::test]
async fn datagrams_go_both_ways_and_those_without_room_are_dropped() {
    let ends = Ends::new();
    let (server, client) = ends.connect().await;
    client.send_datagram("up".into()).unwrap();
    assert_eq!(server.read_datagram().await.unwrap(), "up");
    server.send_datagram(vec![0; 100_000].into());
    server.send_datagram("down".into());
    assert_eq!(client.read_datagram().await.unwrap(), "down");
    let path = server.path();
    assert_eq!(path.lost_packets, 0);
    assert!(path.round_trip > Duration::ZERO);
}

#[tokio::test]
async fn a_client_hears_with_which_code_its_connection_or_the_endpoint_was_closed() {
    let ends = Ends::new();
    let (server, client) = ends.connect().await;
    let (_other, witness) = ends.connect().await;
    server.close(ApplicationCode(4_003), b"replaced");
    assert_eq!(
        client.closed().await.to_string(),
        "closed by peer: replaced (code 4003)"
    );
    ends.server.close(4_001.into(), b"going away");
    let heard = witness.closed().await.to_string();
    assert_eq!(heard, "closed by peer: going away (code 4001)");
    assert!(ends.server.accept().await.is_none());
    ends.server.wait_idle().await;
}
