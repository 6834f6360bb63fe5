//! Opening: the folder, its files, and one sentence for each possible fault.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use nowrong_base::files::require_regular;
use redb::{
    Builder, Database, DatabaseError, StorageError,
    backends::{FileBackend, InMemoryBackend},
};

use super::{EmbeddedStore, fault::Fault, journal::Filing, renewal, vault::Vault};

/// The database's file in the folder.
const DATABASE_FILE: &str = "nowrong.redb";

/// The key vault's file in the folder.
const KEYS_FILE: &str = "keys.bin";

/// Memory for cached pages, in bytes: the chats of a busy day of one node. The operating system
/// caches the file besides.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Why the store could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder or a file in it cannot be written to.
    #[error(
        "cannot write to {path} ({source}): check its owner and permissions, or choose another data folder"
    )]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process works with the folder.
    #[error("{path} is in use by another process: stop it, or choose another data folder")]
    Locked {
        /// The locked file.
        path: PathBuf,
    },
    /// A file does not hold the bytes that were written to it.
    #[error(
        "{path} is damaged ({detail}): move it away to start empty, or put a good copy in its place"
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// The damage that was found.
        detail: String,
    },
    /// There is no space left.
    #[error("no space is left for {path}: free some, then start again")]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// Any other refusal of the system.
    #[error("cannot open {path} ({detail}): check the disk, then start again")]
    Failed {
        /// The path that could not be opened.
        path: PathBuf,
        /// The error of the system.
        detail: String,
    },
}

/// The medium of a store: how to open its database, as often as needed, and the file of the vault.
pub(super) struct Medium {
    pub(super) reopen: Box<dyn Fn() -> Result<Database, DatabaseError> + Send>,
    pub(super) database: Database,
    pub(super) vault: Vault,
    pub(super) filing: Filing,
    pub(super) places: Vec<Place>,
}

/// Where a file of an open store is: the next start will look for it there.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    id: FileId,
}

/// What tells a file from one that takes its place: the numbers of its device and inode, where there are such.
type FileId = (u64, u64);

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let id = file_id(path)?;
        let path = path.to_owned();
        Ok(Self { path, id })
    }

    /// Whether the open file is still there; otherwise whatever is written to it will be lost.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            return Ok(());
        }
        Err(Fault::Medium(format!(
            "{} was removed, moved or replaced while the server runs, so what is written would be lost: move it back, or start the server again",
            self.path.display()
        )))
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = std::fs::metadata(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Ok((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    Ok((0, u64::from(metadata.is_file())))
}

/// Opens the store in a folder.
pub(super) fn folder(dir: &Path, filing: Filing) -> Result<EmbeddedStore, OpenError> {
    create_folder(dir).map_err(|error| OpenError::io(dir, error))?;
    let path = dir.join(DATABASE_FILE);
    let keys = dir.join(KEYS_FILE);
    let database = open_database(&path, true).map_err(|error| OpenError::database(&path, error))?;
    let mut vault = open_vault(&keys).map_err(|error| OpenError::io(&keys, error))?;
    let database = renewal::at_start(database, &path, &mut vault)?;
    sync_folder(dir).map_err(|error| OpenError::io(dir, error))?;
    let places = [&path, &keys].map(|file| Place::of(file));
    let places = places.into_iter().collect::<io::Result<_>>();
    let medium = Medium {
        places: places.map_err(|error| OpenError::io(dir, error))?,
        reopen: Box::new(move || open_database(&path, false)),
        database,
        vault,
        filing,
    };
    EmbeddedStore::start(medium).map_err(|fault| OpenError::fault(dir, fault))
}

/// Opens a store in memory.
pub(super) fn memory(filing: Filing) -> Result<EmbeddedStore, OpenError> {
    let path = Path::new("memory");
    let database = Builder::new()
        .create_with_backend(InMemoryBackend::new())
        .map_err(|error| OpenError::database(path, error))?;
    let vault = Vault::open(Box::new(InMemoryBackend::new()))
        .map_err(|error| OpenError::io(path, error))?;
    let medium = Medium {
        reopen: Box::new(|| Err(io::Error::other("memory cannot be reopened").into())),
        database,
        vault,
        filing,
        places: Vec::new(),
    };
    EmbeddedStore::start(medium).map_err(|fault| OpenError::fault(path, fault))
}

/// Opens a database file. At the start it is made if there is none, and read whole; after a crash the latter
/// happens anyway.
pub(super) fn open_database(path: &Path, is_start: bool) -> Result<Database, DatabaseError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(is_start)
        .create_with_backend(FileBackend::new(open_file(path, is_start)?)?)
}

fn open_vault(path: &Path) -> io::Result<Vault> {
    let file = FileBackend::new(open_file(path, true)?).map_err(io::Error::other)?;
    Vault::open(Box::new(file))
}

fn create_folder(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

pub(super) fn open_file(path: &Path, may_be_made: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .read(true)
        .write(true)
        .create(may_be_made)
        .truncate(false)
        .open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

/// Makes the names of new files survive a loss of power.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    Ok(())
}

impl OpenError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::InvalidData => Self::Corrupt {
                path,
                detail: error.to_string(),
            },
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists => Self::NotWritable {
                path,
                source: error,
            },
            _ => Self::Failed {
                path,
                detail: error.to_string(),
            },
        }
    }

    pub(super) fn database(path: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                Self::Locked {
                    path: path.to_owned(),
                }
            }
            DatabaseError::Storage(StorageError::Io(error)) => Self::io(path, error),
            other => Self::Corrupt {
                path: path.to_owned(),
                detail: other.to_string(),
            },
        }
    }

    pub(super) fn fault(path: &Path, fault: Fault) -> Self {
        let path = path.to_owned();
        match fault {
            Fault::Corrupt(detail) => Self::Corrupt { path, detail },
            Fault::Medium(detail) => Self::Failed { path, detail },
        }
    }
}
