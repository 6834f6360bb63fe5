//! The key by which a restarted server is still known to its clients' QUIC connections.
//!
//! After a crash a client goes on sending to connections that no longer exist, and hears nothing
//! until its idle timeout. With the key of the last run the server answers with stateless resets
//! (RFC 9000 §10.3) instead, so that clients reconnect at once. The key is a secret of this address:
//! shared with another address it would let anyone reset connections there. So the nodes of a cluster
//! share no such key, and none for the tokens of Retry either: those are good at the address that gave
//! them.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::hmac;
use nowrong_base::random;
use quinn::EndpointConfig;
use quinn_proto::HashedConnectionIdGenerator;

/// The file in the data folder.
const FILE: &str = "quic.key";

/// Least time between two resets: a reset is smaller than what it answers, so this only bounds CPU.
/// All clients of a crashed node ask within a second or two.
const RESET_INTERVAL: Duration = Duration::from_millis(1);

/// The key of one address.
#[derive(Clone)]
pub struct QuicKey([u8; 32]);

impl QuicKey {
    /// A key that dies with the process.
    pub fn in_memory() -> Self {
        Self(random::bytes())
    }

    /// The key in the data folder, made if there is none.
    ///
    /// # Errors
    /// When the file can be neither read nor written, or is not a key.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        match fs::read(&path) {
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

    /// The endpoint configuration that knows connections of the last run.
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
