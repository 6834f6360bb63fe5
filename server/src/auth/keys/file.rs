//! The keys of a node that does not share them: in its data folder, readable only by their owner.
//!
//! An old key is replaced at a start, or by a command while the node runs: the node reads the file again
//! each minute, and a key from a command signs only after [`PUBLISHED_BEFORE`]. All keys whose tokens may
//! still be good are kept.

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

use super::{AuthError, SigningKey, SigningKeys, lapses_at, millis, shared::PUBLISHED_BEFORE};

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
        let is_old = |key: &SigningKey| now >= key.signs_at.saturating_add(millis(age));
        match Self::read_folder(folder, now)? {
            Some(keys) if !is_old(&keys.newest) => Ok(keys),
            before => Self::add_to_folder(before, folder, now),
        }
    }

    /// The keys kept in `folder`, as far as their tokens may be good; `None`: there are none yet.
    ///
    /// # Errors
    /// [`AuthError::Keys`] when the file is damaged or cannot be read.
    pub fn read_folder(folder: &Path, now: UnixMs) -> Result<Option<Self>, AuthError> {
        let path = folder.join(FILE);
        let fail = |error: String| AuthError::Keys(format!("{}: {error}", path.display()));
        let mut kept = match files::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(fail)?.into_iter(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error.to_string())),
        };
        let Some(newest) = kept.next() else {
            return Ok(None);
        };
        let (mut older, mut taken_over_at) = (Vec::new(), newest.signs_at);
        for key in kept {
            let next_at = std::mem::replace(&mut taken_over_at, key.signs_at);
            if now < lapses_at(next_at) {
                older.push(key);
            }
        }
        Ok(Some(Self {
            newest,
            older,
            revision: 0,
        }))
    }

    /// Puts a new key into `folder`, which signs [`PUBLISHED_BEFORE`] from now: by then a node that runs
    /// has read it. The others check their tokens until they have lapsed. `false`: the newest key does not
    /// sign yet, and nothing was changed.
    ///
    /// # Errors
    /// [`AuthError::Keys`] when there are no keys yet, or the file cannot be read or written.
    pub fn rotate_in_folder(folder: &Path, now: UnixMs) -> Result<bool, AuthError> {
        let Some(keys) = Self::read_folder(folder, now)? else {
            let detail = format!(
                "{} has no keys yet: start the server first",
                folder.display()
            );
            return Err(AuthError::Keys(detail));
        };
        if now < keys.newest.signs_at {
            return Ok(false);
        }
        let signs_at = now.saturating_add(millis(PUBLISHED_BEFORE));
        Self::add_to_folder(Some(keys), folder, signs_at)?;
        Ok(true)
    }

    fn add_to_folder(
        before: Option<Self>,
        folder: &Path,
        signs_at: UnixMs,
    ) -> Result<Self, AuthError> {
        let path = folder.join(FILE);
        let fail = |error: std::io::Error| AuthError::Keys(format!("{}: {error}", path.display()));
        let before = before.into_iter();
        let keys = Self {
            newest: SigningKey::generate(signs_at)?,
            older: before
                .flat_map(|keys| [keys.newest].into_iter().chain(keys.older))
                .collect(),
            revision: 0,
        };
        fs::create_dir_all(folder).map_err(fail)?;
        keys.save(&path).map_err(fail)?;
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
