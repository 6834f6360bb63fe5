//! What nodes leave for each other.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::BrokerError;

/// Most deposits on one shelf.
pub const DEPOSITS_MAX: usize = 1_024;

/// Sealed bytes under a name: a reader of the broker cannot open them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Its name on the shelf.
    pub name: [u8; 8],
    /// What is left.
    pub sealed: Bytes,
    /// How long it stays, by the broker's clock; at least 1 ms.
    pub lifetime: Duration,
}

/// Shelves on which nodes leave sealed bytes for each other. A broker may lose them all: who still needs
/// them brings them back.
#[async_trait]
pub trait Deposits: Send + Sync + 'static {
    /// Leaves these on `shelf` where their names are missing, and returns the sealed bytes of all that
    /// are there then, in no order. A broker of a single node keeps nothing and returns those of `own`.
    ///
    /// # Errors
    /// [`BrokerError::Full`] when the shelf has [`DEPOSITS_MAX`]; some of `own` may have been left.
    async fn exchange(
        &self,
        shelf: &'static str,
        own: &[Deposit],
    ) -> Result<Vec<Bytes>, BrokerError>;
}
