//! The clock of the database, and its identity.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::doc;
use nowrong_core::record::UnixMs;
use nowrong_store::{Advice, Anchor, StoreError, StoreId};

use super::{
    MongoStore, Shared,
    fault::Fault,
    record::{CHECKS, unix_ms},
};

#[async_trait]
impl Anchor for MongoStore {
    async fn time(&self) -> Result<Option<UnixMs>, StoreError> {
        self.call(
            "time",
            |shared| async move { shared.time().await.map(Some) },
        )
        .await
    }

    async fn swept_at(&self) -> Result<Option<UnixMs>, StoreError> {
        Ok(None)
    }

    async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        self.call("identity", |shared| async move {
            shared.identity().await.map(Some)
        })
        .await
    }

    async fn advice(&self) -> Vec<Advice> {
        let asked = self.call(
            "oplog",
            |shared| async move { shared.look_at_oplog().await },
        );
        asked.await.ok().flatten().into_iter().collect()
    }
}

impl Shared {
    /// The clock of the primary, or of the router of a sharded cluster: the one that is `$$NOW`.
    async fn time(&self) -> Result<UnixMs, Fault> {
        let admin = self.client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).await?;
        let told = hello.get_datetime("localTime").copied();
        let told = told.map_err(|_| Fault::Corrupt("the server does not tell its time"))?;
        Ok(unix_ms(told))
    }

    /// The id that the server itself gave to a collection that no node ever removes: random, the same
    /// for all members and routers, and new in a database that was restored from a dump, so that the
    /// copy is known as another store without a document that would have been copied too.
    async fn identity(&self) -> Result<StoreId, Fault> {
        let found = self.database.list_collections();
        let mut found = found.filter(doc! { "name": CHECKS }).await?;
        let found = found.try_next().await?;
        let id = found.and_then(|found| found.info.uuid);
        let id = id.and_then(|id| <[u8; 16]>::try_from(&id.bytes[..]).ok());
        id.map(StoreId)
            .ok_or(Fault::Corrupt("the collection _checks is missing"))
    }
}
