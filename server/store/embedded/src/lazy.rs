//! A table that is opened when it is first needed.
//!
//! Opening and closing tables costs time, and a transaction needs only three or four of them: a
//! batch of messages would spend more on the other tables than on its own.

use std::cell::OnceCell;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use super::fault::Fault;

/// One table of a write transaction.
pub(super) struct Lazy<'t, K: Key + 'static, V: Value + 'static> {
    transaction: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: OnceCell<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Lazy<'t, K, V> {
    /// A table that is not open yet.
    pub(super) fn new(
        transaction: &'t WriteTransaction,
        definition: TableDefinition<'static, K, V>,
    ) -> Self {
        Self {
            transaction,
            definition,
            table: OnceCell::new(),
        }
    }

    /// The table, for reading; created if it does not exist.
    pub(super) fn read(&self) -> Result<&Table<'t, K, V>, Fault> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let opened = self.transaction.open_table(self.definition)?;
        Ok(self.table.get_or_init(|| opened))
    }

    /// The table, for writing; created if it does not exist.
    pub(super) fn write(&mut self) -> Result<&mut Table<'t, K, V>, Fault> {
        self.read()?;
        self.table
            .get_mut()
            .ok_or_else(|| Fault::Medium("a table is unexpectedly closed".to_owned()))
    }
}
