//! Why a request was refused, on its way to a `Fail`.

use nowrong_broker::BrokerError;
use nowrong_protocol::{ErrorCode, frame::Fail};
use nowrong_store::StoreError;

/// Why a request was refused, as the peer sees it; the cause is logged where it arises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// Earliest time to try again in milliseconds; 0 when it does not matter.
    pub retry_after_ms: u32,
    /// For a developer; may be empty.
    pub detail: String,
}

impl Refusal {
    /// A refusal with a detail about the exact fault.
    pub fn detailed(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            retry_after_ms: 0,
            detail: detail.into(),
        }
    }

    /// A refusal for which a later attempt may succeed.
    pub fn retry_after(code: ErrorCode, retry_after_ms: u32) -> Self {
        Self {
            code,
            retry_after_ms,
            detail: String::new(),
        }
    }

    /// The reply to the request.
    pub fn into_fail(self, request: u32) -> Fail {
        Fail {
            request,
            code: self.code,
            retry_after_ms: self.retry_after_ms,
            detail: self.detail,
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            retry_after_ms: 0,
            detail: String::new(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store refused");
        Self::retry_after(ErrorCode::STORAGE_UNAVAILABLE, 1_000)
    }
}

impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Self {
        tracing::warn!(%error, "the broker refused");
        Self::retry_after(ErrorCode::OVERLOADED, 1_000)
    }
}
