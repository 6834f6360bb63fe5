//! Faults of the server, described without any stored data.
//!
//! The driver's own messages quote documents (a duplicate key quotes the key, which may be a name),
//! and our messages end up in logs; so ours name only kinds and codes.

use mongodb::bson::Document;
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};
use nowrong_store::StoreError;

/// Code of a write that would break the uniqueness of a key.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// Code of a command that the user has no right to.
pub(super) const UNAUTHORIZED: i32 = 13;

/// Longest name of a command of MongoDB, generously.
const COMMAND_CHARS_MAX: usize = 40;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server or the connection to it failed.
    Server(Error),
    /// A document differs from the written one.
    Corrupt(&'static str),
    /// The server refused some of many writes.
    Refused(&'static str),
    /// Another caller has just made the same document.
    Conflict,
    /// Nothing can be wrapped: no day key is kept safely.
    NoDayKey,
    /// The day key of a wrapped value is unknown, but may still come from another node.
    UnknownDayKey,
}

impl Fault {
    /// Whether the transaction conflicted with another one, so that it should be repeated.
    pub(super) fn is_conflict(&self) -> bool {
        match self {
            Self::Server(error) => {
                error.contains_label(TRANSIENT_TRANSACTION_ERROR) || is_duplicate(error)
            }
            Self::Conflict => true,
            Self::Corrupt(_) | Self::Refused(_) | Self::NoDayKey | Self::UnknownDayKey => false,
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
            Fault::Conflict => {
                Self::Unavailable("too many transactions change the same document".to_owned())
            }
            Fault::NoDayKey => Self::Unavailable(
                "no day key is both in the data folder and with the broker, so nothing can be wrapped"
                    .to_owned(),
            ),
            Fault::UnknownDayKey => Self::Unavailable(
                "the day key of a record has not come from the other nodes yet".to_owned(),
            ),
            Fault::Server(error) => match &*error.kind {
                ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => {
                    Self::Corrupt("a document cannot be read".to_owned())
                }
                kind => Self::Unavailable(describe(kind)),
            },
        }
    }
}

/// A document that was found, if it can be read. `None`: none was found, or something other than a node has
/// changed it so that nobody can read it; it counts as gone, so that it keeps nobody from anything.
pub(super) fn readable<T>(
    collection: &'static str,
    found: Result<Option<T>, impl Into<Fault>>,
) -> Result<Option<T>, Fault> {
    match found.map_err(Into::into) {
        Err(Fault::Server(error)) if matches!(&*error.kind, ErrorKind::Bson(_)) => {
            tracing::error!(
                collection,
                "a document cannot be read, so it counts as gone: something other than a node has changed it"
            );
            Ok(None)
        }
        found => found,
    }
}

/// A description of the error that quotes no data.
pub(super) fn describe(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Authentication { .. } => "the user name or password is refused".to_owned(),
        ErrorKind::ServerSelection { .. } => "no primary can be reached".to_owned(),
        ErrorKind::ConnectionPoolCleared { .. } => "the connections broke".to_owned(),
        ErrorKind::Io(error) => format!("the connection broke: {}", error.kind()),
        ErrorKind::DnsResolve { .. } => "its name cannot be resolved".to_owned(),
        ErrorKind::InvalidTlsConfig { .. } => "the TLS settings cannot be used".to_owned(),
        ErrorKind::Command(error) if error.code == UNAUTHORIZED => format!(
            "its user may not run {} (Unauthorized, {UNAUTHORIZED}): README lists the roles that it needs",
            command_of(&error.message)
        ),
        ErrorKind::Command(error) => {
            format!("the server refused: {} ({})", error.code_name, error.code)
        }
        ErrorKind::Write(WriteFailure::WriteError(error)) => {
            format!("the server refused a write ({})", error.code)
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => {
            format!("a majority did not confirm a write ({})", error.code)
        }
        ErrorKind::InsertMany(_) => "the server refused a write".to_owned(),
        ErrorKind::Shutdown => "it was closed".to_owned(),
        _ => "the driver failed".to_owned(),
    }
}

/// The name of the command in `not authorized on db to execute command { collMod: "Users", …`. What
/// follows the name is data.
fn command_of(message: &str) -> &str {
    let command = message.split_once("execute command { ");
    let name = command.and_then(|(_, rest)| rest.split_once(':'));
    let name = name.map(|(name, _)| name).filter(|name| {
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_word && name.len() <= COMMAND_CHARS_MAX
    });
    name.unwrap_or("a command")
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

pub(super) fn code(error: &Error) -> Option<i32> {
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

#[cfg(test)]
mod tests {
    use super::command_of;

    #[test]
    fn of_a_refused_command_only_the_name_is_kept() {
        for (message, name) in [
            (
                r#"not authorized on nowrong to execute command { collMod: "Users", x: 1 }"#,
                "collMod",
            ),
            (
                r#"not authorized on nowrong to execute command { "a secret": 1 }"#,
                "a command",
            ),
            ("not authorized", "a command"),
        ] {
            assert_eq!(command_of(message), name, "{message}");
        }
    }
}
