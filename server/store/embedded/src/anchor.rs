//! What this store knows of time: the newest time by which it was swept. It has no clock of its own,
//! and no identity, because nodes cannot share it.

use async_trait::async_trait;
use nowrong_core::record::UnixMs;
use nowrong_store::{Anchor, StoreError, StoreId};

use super::{EmbeddedStore, fault::Fault, snapshot::Snapshot, table, transaction::Transaction};

/// The name of the time in [`table::META`].
const SWEPT_AT: &str = "swept_at";

/// How exactly the time is kept, in milliseconds: each change is a write.
const EXACT_TO_MS: u64 = 60_000;

#[async_trait]
impl Anchor for EmbeddedStore {
    async fn time(&self) -> Result<Option<UnixMs>, StoreError> {
        Ok(None)
    }

    async fn swept_at(&self) -> Result<Option<UnixMs>, StoreError> {
        self.read("swept_at", Snapshot::swept_at)
    }

    async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        Ok(None)
    }
}

impl Snapshot {
    fn swept_at(&self) -> Result<Option<UnixMs>, Fault> {
        let at = self.table(table::META)?.get(SWEPT_AT)?;
        Ok(at.map(|at| at.value()))
    }
}

impl Transaction<'_> {
    /// Notes that the store was swept by this time: never an earlier one than before.
    pub(super) fn note_swept(&mut self, now: UnixMs) -> Result<(), Fault> {
        let known = self.meta(SWEPT_AT)?;
        if known.is_none_or(|known| now >= known.saturating_add(EXACT_TO_MS)) {
            self.set_meta(SWEPT_AT, now)?;
        }
        Ok(())
    }
}
