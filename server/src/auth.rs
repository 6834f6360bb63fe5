//! The identity of a client: access, refresh and connect tokens.
//!
//! Access tokens are signed and checked without IO ([`access`], keys in [`keys`]). Refresh and
//! connect tokens are 32 random bytes; the store and the broker know only their SHA-256. No token
//! is ever in a log: they are passed on as [`Redacted`](nowrong_base::privacy::Redacted). Expiry is
//! checked with the server's clock, never the system's.
//!
//! A revocation reaches all three: it removes refresh tokens, and raises the generation of the account,
//! which access and connect tokens name ([`Holder`]).

use nowrong_base::random::NoRandomness;
use nowrong_broker::BrokerError;
use nowrong_core::record::{Generation, User};
use nowrong_protocol::UserId;
use nowrong_store::StoreError;

pub mod access;
pub mod connect;
pub mod keys;
pub mod recovery;
pub mod refresh;
pub mod registration;
#[cfg(test)]
mod tests;
pub mod token;

pub use access::{ACCESS_LIFETIME, AccessTokens};

/// Whom a token speaks for. It counts as long as the account is of this generation: access tokens are
/// compared with the account at each request, connect tokens once the connection can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The account.
    pub user: UserId,
    /// The generation of the account when the token was issued.
    pub generation: Generation,
}

impl From<&User> for Holder {
    fn from(user: &User) -> Self {
        Self {
            user: user.id,
            generation: user.generation,
        }
    }
}

/// Why a token or a key is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token is not, or no longer, valid. The reason is not revealed.
    #[error("the token is refused")]
    Refused,
    /// The tokens of the account are renewed too often.
    #[error("the tokens are renewed too often")]
    TooOften {
        /// Earliest time to try again, in milliseconds from now.
        retry_after_ms: u64,
    },
    /// A signing key cannot be read, written or used.
    #[error("cannot use the signing keys: {0}")]
    Keys(String),
    /// The system cannot provide randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}
