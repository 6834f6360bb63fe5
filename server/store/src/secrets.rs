//! The secrets that several nodes share: the keys that sign access tokens, and the key for
//! pseudonyms.
//!
//! A single node does not need this: it keeps its own secrets in its data folder.

use async_trait::async_trait;
use nowrong_base::privacy::Redacted;

use super::{StoreError, UnixMs};

/// All shared secrets, as one value with a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSecrets {
    /// Counts up from 1 with each change.
    pub revision: u64,
    /// The keys that sign access tokens, newest first, never empty.
    pub signing: Vec<SharedKey>,
    /// The key that turns the addresses of clients into pseudonyms.
    pub pseudonyms: Redacted<[u8; 32]>,
}

/// A key that signs access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// Seed of the Ed25519 key.
    pub seed: Redacted<[u8; 32]>,
    /// The time from which it signs; it is published earlier, so that every node knows it by then.
    pub signs_at: UnixMs,
}

/// The storage of the secrets that several nodes share.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// The secrets; `None` before the first node has stored them.
    async fn secrets(&self) -> Result<Option<SharedSecrets>, StoreError>;

    /// Replaces the secrets with a revision one lower, or stores the first ones, in one step.
    /// `false`: another node was first; read again. `Ok(true)` means durable.
    async fn put_secrets(&self, secrets: &SharedSecrets) -> Result<bool, StoreError>;
}
