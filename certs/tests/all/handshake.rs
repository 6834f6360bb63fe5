//! Real TLS handshakes, in memory, before and after the certificate is replaced.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use nowrong_certs::{CertificateHash, Identity, Watch, server_config};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider,
        aws_lc_rs::{
            self,
            cipher_suite::{
                TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
            },
        },
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};

/// Accepts any certificate, as a browser with a hash would, and remembers its hash. The handshake's
/// signature is checked for real.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<CertificateHash>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap() = Some(CertificateHash::of(end_entity));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 must not happen".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    certificate: CertificateHash,
}

fn handshake(identity: &Identity) -> Result<Pair, Error> {
    handshake_with(identity, aws_lc_rs::default_provider(), &[&TLS13])
}

fn handshake_with(
    identity: &Identity,
    provider: CryptoProvider,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<Pair, Error> {
    let provider = Arc::new(provider);
    let recorder = Arc::new(Recorder {
        provider: Arc::clone(&provider),
        seen: Mutex::new(None),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let server = server_config(identity, &[b"h3"]).unwrap();
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        exchange(&mut client, &mut server)?;
    }
    let certificate = recorder
        .seen
        .lock()
        .unwrap()
        .expect("the certificate was checked");
    Ok(Pair {
        client,
        server,
        certificate,
    })
}

fn exchange(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    let mut bytes = wire.as_slice();
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets()?;
    }
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).unwrap();
    }
    let mut bytes = wire.as_slice();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

/// Sends `text` from client to server.
fn say(pair: &mut Pair, text: &[u8]) -> Vec<u8> {
    pair.client.writer().write_all(text).unwrap();
    exchange(&mut pair.client, &mut pair.server).unwrap();
    let mut heard = vec![0; text.len()];
    pair.server.reader().read_exact(&mut heard).unwrap();
    heard
}

#[test]
fn new_handshakes_get_the_new_certificate_and_old_connections_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("certificate.pem"),
        folder.path().join("key.pem"),
    );
    let now = SystemTime::now();
    Identity::development_in(folder.path(), &[], now).unwrap();
    let identity = Identity::pem(&certificate, &key).unwrap();
    let mut before = handshake(&identity).unwrap();
    assert_eq!(before.certificate, identity.hash());

    std::fs::remove_file(&certificate).unwrap();
    Identity::development_in(folder.path(), &[], now).unwrap();
    identity.refresh(now).unwrap();

    let after = handshake(&identity).unwrap();
    assert_eq!(after.certificate, identity.hash());
    assert_ne!(after.certificate, before.certificate);
    assert_eq!(say(&mut before, b"still here"), b"still here");
}

#[test]
fn a_watch_takes_up_new_files_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("certificate.pem"),
        folder.path().join("key.pem"),
    );
    Identity::development_in(folder.path(), &[], SystemTime::now()).unwrap();
    let identity = Identity::pem(&certificate, &key).unwrap();
    let first = handshake(&identity).unwrap().certificate;
    let watch = Watch::start(identity.clone(), Duration::from_millis(5)).unwrap();
    std::fs::remove_file(&certificate).unwrap();
    Identity::development_in(folder.path(), &[], SystemTime::now()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while handshake(&identity).unwrap().certificate == first {
        assert!(Instant::now() < deadline, "the new files were not used");
        std::thread::yield_now();
    }
    drop(watch);
}

#[test]
fn only_tls_1_3_without_tickets_or_early_data() {
    let identity = Identity::development(&[], SystemTime::now()).unwrap();
    assert!(handshake_with(&identity, aws_lc_rs::default_provider(), &[&TLS12]).is_err());
    let mut pair = handshake(&identity).unwrap();
    say(
        &mut pair,
        b"after the handshake, when tickets would be sent",
    );
    assert_eq!(pair.client.alpn_protocol(), Some(b"h3".as_slice()));
    assert_eq!(pair.client.tls13_tickets_received(), 0);
    let config = server_config(&identity, &[b"h3"]).unwrap();
    assert_eq!(
        (config.max_early_data_size, config.send_tls13_tickets),
        (0, 0)
    );
}

#[test]
fn the_client_chooses_between_two_suites_of_128_bits() {
    let identity = Identity::development(&[], SystemTime::now()).unwrap();
    let chosen = |cipher_suites: &[rustls::SupportedCipherSuite]| {
        let provider = CryptoProvider {
            cipher_suites: cipher_suites.to_vec(),
            ..aws_lc_rs::default_provider()
        };
        let pair = handshake_with(&identity, provider, &[&TLS13])?;
        Ok::<_, Error>(pair.server.negotiated_cipher_suite().unwrap().suite())
    };
    let (aes, chacha, aes_256) = (
        TLS13_AES_128_GCM_SHA256,
        TLS13_CHACHA20_POLY1305_SHA256,
        TLS13_AES_256_GCM_SHA384,
    );
    assert_eq!(chosen(&[aes_256, aes, chacha]), Ok(aes.suite()));
    assert_eq!(chosen(&[chacha, aes]), Ok(chacha.suite()));
    assert!(chosen(&[aes_256]).is_err());
}
