//! The files for TLS to Redis: an authority of one's own, and a client certificate.
//!
//! They are read for each new connection, so renewed files count from the next one on.

use std::{
    io,
    path::{Path, PathBuf},
};

use nowrong_base::files;
use redis::{ClientTlsConfig, ErrorKind, RedisError, RedisResult, TlsCertificates};

/// The files for TLS; without any of them the authorities of this machine vouch for Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the authorities that vouch for Redis.
    pub ca: Option<PathBuf>,
    /// PEM files of the chain and the key that this node shows.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// Their content, if there are any.
    ///
    /// # Errors
    /// A sentence that names the key and the file.
    pub(super) fn read(&self) -> Result<Option<TlsCertificates>, String> {
        if *self == Self::default() {
            return Ok(None);
        }
        let root_cert = self.ca.as_deref().map(|ca| read("redis.tls_ca", ca));
        let client_tls = self.client.as_ref().map(|(cert, key)| {
            Ok::<_, String>(ClientTlsConfig {
                client_cert: read("redis.tls_cert", cert)?,
                client_key: read("redis.tls_key", key)?,
            })
        });
        Ok(Some(TlsCertificates {
            client_tls: client_tls.transpose()?,
            root_cert: root_cert.transpose()?,
        }))
    }

    /// As [`Self::read`], as an error of a connection.
    pub(super) fn read_again(&self) -> RedisResult<Option<TlsCertificates>> {
        let lost = |detail| RedisError::from((ErrorKind::Io, "the files for TLS", detail));
        self.read().map_err(lost)
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    let content = files::read(path).and_then(|content| {
        // Without a single item the driver trusts nobody, and says so only as an unknown issuer.
        let is_pem = content.windows(11).any(|window| window == b"-----BEGIN ");
        is_pem
            .then_some(content)
            .ok_or_else(|| io::Error::other("it is not a PEM file"))
    });
    content.map_err(|error| format!("`{key}`: cannot use {}: {error}", path.display()))
}
