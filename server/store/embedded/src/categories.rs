//! Categories.

use async_trait::async_trait;
use nowrong_core::record::Category;
use nowrong_store::{CategorySource, CategoryStore, StoreError};
use redb::ReadableTable;

use super::{
    EmbeddedStore, fault::Fault, record, snapshot::Snapshot, table, transaction::Transaction,
};

/// The fact that an operator has changed the categories in the database; unset: the file decides.
const DATABASE_DECIDES: &str = "categories_of_database";

#[async_trait]
impl CategoryStore for EmbeddedStore {
    async fn categories(&self) -> Result<Vec<Category>, StoreError> {
        self.read("categories", Snapshot::categories)
    }

    async fn put_categories(
        &self,
        categories: &[Category],
        by: CategorySource,
    ) -> Result<bool, StoreError> {
        let categories = categories.to_vec();
        self.write("put_categories", move |transaction| {
            transaction.put_categories(&categories, by)
        })
        .await
    }
}

impl Transaction<'_> {
    fn put_categories(
        &mut self,
        categories: &[Category],
        by: CategorySource,
    ) -> Result<bool, Fault> {
        if by == CategorySource::File && self.is_set(DATABASE_DECIDES)? {
            return Ok(false);
        }
        if by == CategorySource::Database {
            self.set(DATABASE_DECIDES)?;
        }
        let table = self.categories.write()?;
        table.retain(|_, _| false)?;
        for category in categories {
            let key = (category.rank, &*category.id);
            table.insert(key, &record::encode(category)[..])?;
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
