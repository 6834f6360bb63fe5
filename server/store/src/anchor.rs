//! What a store says of time and of itself.

use std::fmt;

use async_trait::async_trait;
use nowrong_core::record::UnixMs;

use crate::StoreError;

/// Identifies the data of a store: a copy that was restored elsewhere is another store.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}

/// The store as the anchor of its nodes: its clock and its identity.
#[async_trait]
pub trait Anchor: Send + Sync + 'static {
    /// The store's own clock, by which all its nodes judge what has expired. `None`: it has none, and
    /// the clock of its only node counts.
    async fn time(&self) -> Result<Option<UnixMs>, StoreError>;

    /// For a store without a clock, the newest time by which it was swept, up to a minute old: what
    /// was stored later than that may still be newer. `None` when it was never swept, or has a clock.
    async fn swept_at(&self) -> Result<Option<UnixMs>, StoreError>;

    /// The identity of the data, for nodes that share it; `None` when nodes cannot share it. It
    /// changes when the data is replaced.
    async fn identity(&self) -> Result<Option<StoreId>, StoreError>;

    /// What an operator should know about the store as it is now: call it at the start and once an
    /// hour. Never fails: what cannot be asked is left out.
    async fn advice(&self) -> Vec<Advice> {
        Vec::new()
    }
}

/// A sentence for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// A promise is not kept until somebody acts.
    Warning(String),
    /// Good to know; said once.
    Note(String),
}
