//! What can go wrong with the server, said without a word of what is stored in it.
//!
//! The driver's own messages quote documents (a duplicate key quotes the key: a name), and ours end
//! in logs; so they name kinds and codes only.

use mongodb::bson::Document;
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};
use nowrong_store::StoreError;

/// Code of a write that would break the uniqueness of a key.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server or the way to it.
    Server(Error),
    /// A document is not what was written.
    Corrupt(&'static str),
    /// The server refused some writes of many.
    Refused(&'static str),
    /// Another one has just made the same document.
    Conflict,
}

impl Fault {
    /// Whether the transaction met another one, so that it is to be run again.
    pub(super) fn is_conflict(&self) -> bool {
        match self {
            Self::Server(error) => {
                error.contains_label(TRANSIENT_TRANSACTION_ERROR) || is_duplicate(error)
            }
            Self::Conflict => true,
            Self::Corrupt(_) | Self::Refused(_) => false,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Corrupt(what) => Self::Corrupt(what.to_owned()),
            Fault::Refused(what) => Self::Unavailable(format!("the server refused {what}")),
            Fault::Conflict => Self::Unavailable("too many want the same document".to_owned()),
            Fault::Server(error) => match &*error.kind {
                ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => {
                    Self::Corrupt("a document cannot be read".to_owned())
                }
                kind => Self::Unavailable(describe(kind)),
            },
        }
    }
}

/// What happened, in words that quote nothing.
pub(super) fn describe(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Authentication { .. } => "the user name or password is refused".to_owned(),
        ErrorKind::ServerSelection { .. } => "no primary can be reached".to_owned(),
        ErrorKind::ConnectionPoolCleared { .. } => "the connections broke".to_owned(),
        ErrorKind::Io(error) => format!("the connection broke: {}", error.kind()),
        ErrorKind::DnsResolve { .. } => "its name cannot be resolved".to_owned(),
        ErrorKind::InvalidTlsConfig { .. } => "the TLS settings cannot be used".to_owned(),
        ErrorKind::Command(error) => {
            format!("the server refused: {} ({})", error.code_name, error.code)
        }
        ErrorKind::Write(WriteFailure::WriteError(error)) => {
            format!("the server refused a write ({})", error.code)
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => {
            format!("a majority did not take a write ({})", error.code)
        }
        ErrorKind::InsertMany(_) => "the server refused a write".to_owned(),
        ErrorKind::Shutdown => "it was closed".to_owned(),
        _ => "the driver failed".to_owned(),
    }
}

/// Whether a write would have broken the uniqueness of a key.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

/// The code of the first write that failed, in the answer to a command of several.
pub(super) fn write_error(answer: &Document) -> Option<i32> {
    let errors = answer.get_array("writeErrors").ok()?;
    let first = errors.first()?.as_document();
    Some(
        first
            .and_then(|error| error.get_i32("code").ok())
            .unwrap_or(0),
    )
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(error) => {
            let first = error.write_errors.as_ref()?.first()?;
            Some(first.code)
        }
        _ => None,
    }
}
