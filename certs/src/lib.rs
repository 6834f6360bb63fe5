//! TLS identities: the certificate and key that a node shows to its clients.
//!
//! An [`Identity`] is made here for development, or read from PEM files, and can be replaced while
//! connections use it: new handshakes get the new certificate, existing connections continue.
//! [`server_config`] makes a rustls configuration of it. Nothing here opens a socket, and private
//! keys leave this crate only in files that their owner alone can read. Start reading at
//! [`Identity`].

#![forbid(unsafe_code)]

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ServerConfig, SupportedCipherSuite,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite, default_provider},
    },
    server::{NoServerSessionStorage, ResolvesServerCert},
    version::TLS13,
};

mod certificate;
mod development;
mod fault;
mod files;
mod identity;
mod watch;

pub use certificate::{CertificateHash, Inspection, inspect};
pub use fault::Fault;
pub use identity::{Identity, Refreshed};
pub use watch::Watch;

/// Why an identity could not be made, read or renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not the PEM it should be.
    #[error("{} holds no usable {what}: {detail}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A new chain is worse than the one in force.
    #[error("the certificate in {} {fault}", path.display())]
    Worse {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The bytes are not an X.509 certificate.
    #[error("this is not an X.509 certificate")]
    NotACertificate,
    /// The certificate and the key do not belong together, or rustls cannot use them.
    #[error("the certificate and the private key cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
    /// A development certificate could not be made.
    #[error("cannot make a development certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// The cipher suites that a connection may use; of these the client's favourite is chosen.
///
/// The first has the 128 bits that browsers choose, and every TLS 1.3 implementation must support
/// it (RFC 8446 §9.1); the second is for machines without AES instructions. If AES-256 were
/// offered, clients on rustls would choose it, and each handshake would need SHA-384, for which few
/// processors have instructions.
const CIPHER_SUITES: [SupportedCipherSuite; 2] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// A rustls server configuration that shows `identity`, for QUIC and for TLS over TCP alike.
///
/// TLS 1.3 only, with two cipher suites. No tickets and no early data: browsers do not resume
/// WebTransport, and early data can be replayed. `alpn` is in order of preference.
///
/// # Errors
/// [`CertError::Unusable`] when rustls refuses the configuration.
pub fn server_config(identity: &Identity, alpn: &[&[u8]]) -> Result<ServerConfig, CertError> {
    let provider = CryptoProvider {
        cipher_suites: CIPHER_SUITES.to_vec(),
        ..default_provider()
    };
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(identity.clone());
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
