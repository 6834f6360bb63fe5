//! Errors that a user of a [`Client`](crate::Client) can see.

use std::time::Duration;

use nowrong_protocol::{CloseCode, ErrorCode, frame::Fail};

use crate::{ApiError, LinkError};

/// Why a request, a message or a connection failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused; nothing changed.
    #[error("{}: {detail}", code.text())]
    Refused {
        /// Why it failed; the range of the code says whether the same request may succeed later.
        code: ErrorCode,
        /// How long to wait before trying again; zero when it does not matter.
        retry_after: Duration,
        /// For a developer; may be empty.
        detail: String,
    },
    /// The connection was lost after the request was sent: it may have been carried out or not.
    #[error("the connection was lost before the reply came")]
    Lost,
    /// No reply came in time: the request may have been carried out or not.
    #[error("no reply came in time")]
    NoReply,
    /// Too many messages wait to be sent.
    #[error("too many messages wait to be sent")]
    OutboxFull,
    /// The connection is closed for good, or the client was closed.
    #[error("the connection is closed: {}", code.map_or("lost", CloseCode::text))]
    Closed {
        /// Why; `None` when the link was lost and reconnecting is off.
        code: Option<CloseCode>,
    },
    /// The link could not be opened.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server refused over REST, or could not be reached.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Error {
    /// The error code, when the server gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Api(error) => error.code(),
            _ => None,
        }
    }

    /// The close code, when the connection ended with one.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Closed { code } => *code,
            _ => None,
        }
    }
}

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        Self::Refused {
            code: fail.code,
            retry_after: Duration::from_millis(fail.retry_after_ms.into()),
            detail: fail.detail,
        }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::Refused {
            code,
            retry_after: Duration::ZERO,
            detail: String::new(),
        }
    }
}
