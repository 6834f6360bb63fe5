//! The read side: one read transaction, which sees the data committed when it began.
//!
//! The reads are defined beside their subject: `users`, `categories`, `chats`, `messages`.

use std::sync::Arc;

use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, Value};

use super::{fault::Fault, vault::Keys};

/// The committed data of one moment, and the keys.
pub(super) struct Snapshot {
    transaction: ReadTransaction,
    pub(super) keys: Arc<Keys>,
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction, keys: Arc<Keys>) -> Self {
        Self { transaction, keys }
    }

    /// A table; it exists, since opening the store creates all tables.
    pub(super) fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, Fault> {
        Ok(self.transaction.open_table(definition)?)
    }
}
