//! Categories.

use async_trait::async_trait;
use mongodb::bson::doc;
use nowrong_core::record::Category;
use nowrong_store::{CategoryStore, StoreError};

use super::{MongoStore, fault::Fault, record::CategoryRecord, transaction::Transaction};

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

    async fn seed_categories(&self, categories: &[Category]) -> Result<bool, StoreError> {
        let categories = categories.to_vec();
        self.transact("seed_categories", move |transaction| {
            let categories = categories.clone();
            Box::pin(async move { transaction.seed_categories(&categories).await })
        })
        .await
    }
}

impl Transaction {
    /// Two nodes that start at once with the same list conflict at its keys; one of them is
    /// repeated and finds them.
    async fn seed_categories(&mut self, categories: &[Category]) -> Result<bool, Fault> {
        let all = self.shared.categories.clone();
        let any = self.one(&all, doc! { "_id": { "$gte": "" } }).await?;
        if any.is_some() || categories.is_empty() {
            return Ok(any.is_none());
        }
        let records: Vec<_> = categories.iter().map(CategoryRecord::from).collect();
        let insert = all.insert_many(&records);
        insert.session(&mut self.session).await?;
        Ok(true)
    }
}
