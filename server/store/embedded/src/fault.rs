//! Why a step inside the embedded store failed. It decides what the writer does next: a corrupt
//! record fails one job, a failed medium fails the whole batch and makes the writer reopen the file.

use nowrong_store::StoreError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// A stored record differs from the written one.
    #[error("{0}")]
    Corrupt(String),
    /// The medium, or the database above it, failed.
    #[error("{0}")]
    Medium(String),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Corrupt(detail) => Self::Corrupt(detail),
            Fault::Medium(detail) => Self::Unavailable(detail),
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(detail) => Self::Corrupt(detail),
            other => Self::Medium(other.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb! { StorageError TableError TransactionError CommitError DatabaseError SetDurabilityError }

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Medium(error.to_string())
    }
}
