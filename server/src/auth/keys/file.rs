//! The keys of a node that does not share them: in its data folder, readable only by their owner;
//! an old key is replaced at a start.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::Path,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nowrong_base::{files, privacy::new_file_for_owner_only};
use nowrong_core::record::UnixMs;
use serde::{Deserialize, Serialize};

use super::{AuthError, SigningKey, SigningKeys, millis};

/// Name of the file in the data folder.
const FILE: &str = "signing-keys.json";

/// The content of the file, newest key first.
#[derive(Serialize, Deserialize)]
struct File {
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    seed: String,
    /// The time from which it signs.
    created_at: UnixMs,
}

impl SigningKeys {
    /// The keys kept in `folder`, which is made if needed. A key older than `age` is replaced.
    ///
    /// # Errors
    /// [`AuthError::Keys`] when the file is damaged, or cannot be read or written.
    pub fn in_folder(folder: &Path, age: Duration, now: UnixMs) -> Result<Self, AuthError> {
        let path = folder.join(FILE);
        let fail = |error: String| AuthError::Keys(format!("{}: {error}", path.display()));
        let mut kept = match files::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(fail)?.into_iter(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new().into_iter(),
            Err(error) => return Err(fail(error.to_string())),
        };
        let newest = kept.next();
        let is_old = |key: &SigningKey| now >= key.signs_at.saturating_add(millis(age));
        let keys = match newest {
            Some(newest) if !is_old(&newest) => {
                return Ok(Self {
                    newest,
                    older: kept.next().into_iter().collect(),
                    revision: 0,
                });
            }
            previous => Self {
                newest: SigningKey::generate(now)?,
                older: previous.into_iter().collect(),
                revision: 0,
            },
        };
        fs::create_dir_all(folder).map_err(|error| fail(error.to_string()))?;
        keys.save(&path).map_err(|error| fail(error.to_string()))?;
        Ok(keys)
    }

    fn save(&self, path: &Path) -> std::io::Result<()> {
        let file = File {
            keys: self.iter().map(SigningKey::stored).collect(),
        };
        let beside = path.with_extension("json.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = new_file_for_owner_only().open(&beside)?;
        out.write_all(&serde_json::to_vec(&file)?)?;
        out.sync_all()?;
        fs::rename(&beside, path)
    }
}

impl SigningKey {
    fn stored(&self) -> StoredKey {
        StoredKey {
            seed: URL_SAFE_NO_PAD.encode(self.seed),
            created_at: self.signs_at,
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
