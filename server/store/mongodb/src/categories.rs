//! Categories.

use async_trait::async_trait;
use mongodb::bson::doc;
use nowrong_base::random;
use nowrong_core::record::Category;
use nowrong_store::{CategorySource, CategoryStore, StoreError};

use super::{
    MongoStore,
    fault::Fault,
    record::{CategoryRecord, by_key},
    transaction::Transaction,
};

/// The document, beside that of the checks, that says who decides which categories there are.
const NOTE: &str = "categories";

/// Its field: an operator has changed the categories in the database.
const DATABASE_DECIDES: &str = "ofDatabase";

#[async_trait]
impl CategoryStore for MongoStore {
    async fn categories(&self) -> Result<Vec<Category>, StoreError> {
        self.call("categories", |shared| async move {
            // Sorted by key, so that it is a walk over the index like every other query.
            let mut found = shared
                .categories
                .find(doc! { "_id": { "$gte": "" } })
                .await?;
            let mut categories = Vec::new();
            while found.advance().await? {
                categories.push(Category::from(found.deserialize_current()?));
            }
            categories.sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
            Ok(categories)
        })
        .await
    }

    async fn put_categories(
        &self,
        categories: &[Category],
        by: CategorySource,
    ) -> Result<bool, StoreError> {
        let categories = categories.to_vec();
        self.transact("put_categories", move |transaction| {
            let categories = categories.clone();
            Box::pin(async move { transaction.put_categories(&categories, by).await })
        })
        .await
    }
}

impl Transaction {
    /// All nodes that do this at once write the same document, so they conflict, and one of them is
    /// repeated.
    async fn put_categories(
        &mut self,
        categories: &[Category],
        by: CategorySource,
    ) -> Result<bool, Fault> {
        let (all, notes) = (self.shared.categories.clone(), self.shared.checks.clone());
        let note = self.one(&notes, doc! { "_id": NOTE }).await?;
        let is_of_database =
            note.is_some_and(|note| matches!(note.get_bool(DATABASE_DECIDES), Ok(true)));
        let is_from_file = by == CategorySource::File;
        if is_from_file && is_of_database {
            return Ok(false);
        }
        // Another content each time: a write that changes nothing conflicts with nothing.
        let change = random::bytes::<8>().map(|byte| format!("{byte:02x}"));
        let note = doc! { "_id": NOTE, DATABASE_DECIDES: !is_from_file, "change": change.concat() };
        self.put(&notes, &[note]).await?;
        let ids: Vec<_> = categories.iter().map(|category| &*category.id).collect();
        let others = doc! { "_id": { "$gte": "", "$nin": ids } };
        let delete = all.delete_many(others).hint(by_key());
        delete.session(&mut self.session).await?;
        let records: Vec<_> = categories.iter().map(CategoryRecord::from).collect();
        if !records.is_empty() {
            self.put(&all, &records).await?;
        }
        Ok(true)
    }
}
