//! Categories.

use async_trait::async_trait;
use nowrong_core::record::Category;
use nowrong_store::{CategoryStore, StoreError};
use redb::{ReadableTable, ReadableTableMetadata};

use super::{
    EmbeddedStore, fault::Fault, record, snapshot::Snapshot, table, transaction::Transaction,
};

#[async_trait]
impl CategoryStore for EmbeddedStore {
    async fn categories(&self) -> Result<Vec<Category>, StoreError> {
        self.read("categories", Snapshot::categories)
    }

    async fn seed_categories(&self, categories: &[Category]) -> Result<bool, StoreError> {
        let categories = categories.to_vec();
        self.write("seed_categories", move |transaction| {
            transaction.seed_categories(&categories)
        })
        .await
    }
}

impl Transaction<'_> {
    fn seed_categories(&mut self, categories: &[Category]) -> Result<bool, Fault> {
        if categories.is_empty() || !self.categories.read()?.is_empty()? {
            return Ok(false);
        }
        for category in categories {
            let key = (category.rank, &*category.id);
            self.categories
                .write()?
                .insert(key, &record::encode(category)[..])?;
        }
        Ok(true)
    }
}

impl Snapshot {
    fn categories(&self) -> Result<Vec<Category>, Fault> {
        let table = self.table(table::CATEGORIES)?;
        let all = table.iter()?;
        all.map(|entry| record::decode(entry?.1.value())).collect()
    }
}
