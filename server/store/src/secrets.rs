//! The secrets that several nodes share: what signs access tokens, and what makes pseudonyms.
//!
//! A store of one node needs none of this: that node keeps its own in its data folder.

use async_trait::async_trait;
use nowrong_base::privacy::Redacted;

use super::{StoreError, UnixMs};

/// All shared secrets, as one value with a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSecrets {
    /// Counts up from 1 with each change.
    pub revision: u64,
    /// What signs access tokens, newest first, never empty.
    pub signing: Vec<SharedKey>,
    /// Under which the addresses of clients become pseudonyms.
    pub pseudonyms: Redacted<[u8; 32]>,
}

/// A key that signs access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// Seed of the Ed25519 key.
    pub seed: Redacted<[u8; 32]>,
    /// From when on it signs; it was published before, so that every node knows it by then.
    pub signs_at: UnixMs,
}

/// Where several nodes keep the secrets that they share.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// The secrets; `None` before the first node has put them.
    async fn secrets(&self) -> Result<Option<SharedSecrets>, StoreError>;

    /// Replaces the secrets whose revision is one less, or puts the first ones, in one step. `false`:
    /// another node was first; read again. `Ok(true)` means durable.
    async fn put_secrets(&self, secrets: &SharedSecrets) -> Result<bool, StoreError>;
}
