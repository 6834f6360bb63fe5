//! The Ed25519 keys that sign access tokens: generated at the first start, kept in the data folder
//! for their owner only, replaced when old. A replaced key still checks the tokens it signed, until
//! the last of them has lapsed.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::Path,
    time::Duration,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};

use super::{ACCESS_LIFETIME, AuthError, token_hash};
use crate::store::UnixMs;

/// Name of the file in the data folder.
const FILE: &str = "signing-keys.json";

/// The keys in use.
pub struct SigningKeys {
    /// Signs.
    pub(super) current: SigningKey,
    /// Signed until the current one was made.
    pub(super) previous: Option<SigningKey>,
}

/// One key.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    seed: [u8; 32],
    created_at: UnixMs,
}

/// As it is kept, newest first.
#[derive(Serialize, Deserialize)]
struct File {
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    seed: String,
    created_at: UnixMs,
}

impl SigningKeys {
    /// A new key that nobody else will ever know.
    ///
    /// # Errors
    /// [`AuthError`] when there is no randomness.
    pub fn in_memory(now: UnixMs) -> Result<Self, AuthError> {
        Ok(Self {
            current: SigningKey::generate(now)?,
            previous: None,
        })
    }

    /// The keys kept in `folder`, which is made if needed. A key older than `age` is replaced.
    ///
    /// # Errors
    /// [`AuthError::Keys`] when the file is damaged, or cannot be read or written.
    pub fn in_folder(folder: &Path, age: Duration, now: UnixMs) -> Result<Self, AuthError> {
        let path = folder.join(FILE);
        let fail = |error: String| AuthError::Keys(format!("{}: {error}", path.display()));
        let mut kept = match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(fail)?.into_iter(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new().into_iter(),
            Err(error) => return Err(fail(error.to_string())),
        };
        let newest = kept.next();
        let is_old = |key: &SigningKey| now >= key.created_at.saturating_add(millis(age));
        let keys = match newest {
            Some(current) if !is_old(&current) => {
                return Ok(Self {
                    current,
                    previous: kept.next(),
                });
            }
            previous => Self {
                current: SigningKey::generate(now)?,
                previous,
            },
        };
        fs::create_dir_all(folder).map_err(|error| fail(error.to_string()))?;
        keys.save(&path).map_err(|error| fail(error.to_string()))?;
        Ok(keys)
    }

    /// The key that a token names, if it may still check tokens.
    pub(super) fn find(&self, kid: &str, now: UnixMs) -> Option<&SigningKey> {
        let lapses_at = self
            .current
            .created_at
            .saturating_add(millis(ACCESS_LIFETIME));
        let previous = self.previous.as_ref().filter(|_| now < lapses_at);
        [Some(&self.current), previous]
            .into_iter()
            .flatten()
            .find(|key| key.kid == kid)
    }

    fn save(&self, path: &Path) -> std::io::Result<()> {
        let keys = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten();
        let file = File {
            keys: keys.map(SigningKey::stored).collect(),
        };
        let beside = path.with_extension("json.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = for_owner_only().open(&beside)?;
        out.write_all(&serde_json::to_vec(&file)?)?;
        out.sync_all()?;
        fs::rename(&beside, path)
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKeys")
            .field(&self.current.kid)
            .finish()
    }
}

impl SigningKey {
    fn generate(now: UnixMs) -> Result<Self, AuthError> {
        Self::from_seed(super::random()?, now).map_err(AuthError::Keys)
    }

    fn from_seed(seed: [u8; 32], created_at: UnixMs) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| error.to_string())?;
        let public = pair.public_key().as_ref();
        let private = pair.to_pkcs8().map_err(|error| error.to_string())?;
        Ok(Self {
            kid: URL_SAFE_NO_PAD.encode(&token_hash(&URL_SAFE_NO_PAD.encode(public))[..9]),
            encoding: EncodingKey::from_ed_der(private.as_ref()),
            decoding: DecodingKey::from_ed_der(public),
            seed,
            created_at,
        })
    }

    fn stored(&self) -> StoredKey {
        StoredKey {
            seed: URL_SAFE_NO_PAD.encode(self.seed),
            created_at: self.created_at,
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<SigningKey>, String> {
    // The parser's own message could quote the secret.
    let file: File = serde_json::from_slice(bytes).map_err(|_| "it is damaged".to_owned())?;
    let keys = file.keys.iter().map(|stored| {
        let seed = URL_SAFE_NO_PAD
            .decode(&stored.seed)
            .ok()
            .and_then(|seed| seed.try_into().ok());
        SigningKey::from_seed(seed.ok_or("it is damaged")?, stored.created_at)
    });
    keys.collect()
}

fn for_owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
