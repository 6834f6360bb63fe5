//! The day keys of a node in its data folder: one file, readable only by its owner, each key sealed
//! under the secret of the cluster. It is replaced as a whole, so that a key that was destroyed is in no
//! file.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use nowrong_base::{files, privacy::new_file_for_owner_only};

use super::sealed;

/// Name of the file in the data folder.
const NAME: &str = "day-keys";

/// The file of a node.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    folder: PathBuf,
}

impl KeyFile {
    /// The file in this folder, which is made with the first key.
    pub(super) fn in_folder(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// The sealed keys; none when there is no file. `InvalidData` when it is not whole.
    pub(super) fn read(&self) -> std::io::Result<Vec<Bytes>> {
        let bytes = match files::read(&self.path()) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if bytes.len() % sealed::LENGTH != 0 {
            return Err(ErrorKind::InvalidData.into());
        }
        let starts = (0..bytes.len()).step_by(sealed::LENGTH);
        Ok(starts
            .map(|at| bytes.slice(at..at + sealed::LENGTH))
            .collect())
    }

    /// Replaces the file. When it returns, the keys survive a loss of power.
    pub(super) fn write(&self, keys: &[Bytes]) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let beside = self.folder.join(format!("{NAME}.new"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = new_file_for_owner_only().open(&beside)?;
        out.write_all(&keys.concat())?;
        out.sync_all()?;
        fs::rename(&beside, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::in_folder(&folder.path().join("data"));
        assert!(file.read().unwrap().is_empty());
        let keys = [1, 2].map(|byte| Bytes::from(vec![byte; sealed::LENGTH]));
        file.write(&keys).unwrap();
        assert_eq!(file.read().unwrap(), keys);
        file.write(&keys[1..]).unwrap();
        assert_eq!(file.read().unwrap(), keys[1..]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(file.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(file.path(), [0; 5]).unwrap();
        let error = file.read().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
