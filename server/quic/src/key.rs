//! The key with which a restarted server can end the QUIC connections of its last run, and knows whom it has
//! met.
//!
//! After a crash, clients still send to connections that no longer exist, and hear nothing until their
//! idle timeout. A server that has the key of its last run replies with stateless resets (RFC 9000
//! §10.3), so that clients reconnect at once. The key is a secret of one address: with the key of another
//! address, anyone could reset connections there. So the nodes of a cluster do not share it, nor the key
//! of the tokens that prove an address, which is made of it: a token is valid only at the address that gave it.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::{hkdf, hmac};
use nowrong_base::{files, random};
use quinn::EndpointConfig;
use quinn_proto::{HashedConnectionIdGenerator, crypto::HandshakeTokenKey};

/// The file in the data folder.
const FILE: &str = "quic.key";

/// Least time between two resets: a reset is smaller than the packet that causes it, so this only bounds
/// CPU. All clients of a crashed node send a packet within a second or two.
const RESET_INTERVAL: Duration = Duration::from_millis(1);

/// The key of one address.
#[derive(Clone)]
pub struct QuicKey([u8; 32]);

impl QuicKey {
    /// A key that is lost with the process.
    ///
    /// # Panics
    /// When the system has no randomness to give: nothing secure can be done then.
    pub fn in_memory() -> Self {
        Self(random::bytes())
    }

    /// The key in the data folder; created if there is none.
    ///
    /// # Errors
    /// When the file can be neither read nor created, or does not hold a key.
    ///
    /// # Panics
    /// As [`Self::in_memory`].
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        match files::read(&path) {
            Ok(bytes) => <[u8; 32]>::try_from(bytes).map(Self).map_err(|_| {
                let sentence = format!("{} is damaged: remove it and start again", path.display());
                io::Error::new(io::ErrorKind::InvalidData, sentence)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(&path),
            Err(error) => Err(error),
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let key = Self::in_memory();
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(&key.0)?;
        file.sync_all()?;
        Ok(key)
    }

    /// The configuration of an endpoint that can reset connections of the last run.
    pub(crate) fn endpoint_config(&self) -> EndpointConfig {
        let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let ids = hmac::sign(&reset_key, b"connection ids");
        let mut seed = [0; 8];
        seed.copy_from_slice(&ids.as_ref()[..8]);
        let seed = u64::from_le_bytes(seed);
        let mut config = EndpointConfig::new(Arc::new(reset_key));
        config
            .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(seed)))
            .min_reset_interval(RESET_INTERVAL);
        config
    }

    /// The key of the tokens that prove the address of a client: those of Retry, and those for its next
    /// connection, which it may have got before a restart.
    pub(crate) fn token_key(&self) -> Arc<dyn HandshakeTokenKey> {
        Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, b"address tokens").extract(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_key_and_says_when_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let made = QuicKey::in_folder(folder.path()).unwrap();
        let read = QuicKey::in_folder(folder.path()).unwrap();
        assert_eq!(made.0, read.0);
        fs::write(folder.path().join(FILE), b"short").unwrap();
        let error = QuicKey::in_folder(folder.path()).err().unwrap();
        assert!(error.to_string().contains("quic.key is damaged"), "{error}");
    }
}
