//! The command `rotate-keys`: a new key that signs access tokens.

use nowrong_base::clock::Clock;

use crate::{
    auth::keys::SigningKeys,
    config::{Config, Data},
};

/// Makes a new signing key where the nodes with this configuration find it; `false`: the newest one does
/// not sign yet, so nothing was changed.
///
/// # Errors
/// One sentence: the folder or the store cannot be used, or has no keys yet.
pub async fn rotate_keys(config: &Config) -> anyhow::Result<bool> {
    let now = Clock::with_machine(config.clock_ahead.clone()).now();
    match (&config.store, &config.data) {
        #[cfg(feature = "mongodb")]
        (crate::config::StoreChoice::MongoDb(options), _) => {
            use std::sync::Arc;

            use crate::auth::keys::shared::SharedKeys;
            use nowrong_store::wrapping::NoDayKeys;
            use nowrong_store_mongodb::MongoStore;

            let store = MongoStore::open(options, Arc::new(NoDayKeys)).await?;
            Ok(SharedKeys::rotate(&store, now).await?)
        }
        (_, Data::Folder(folder)) => Ok(SigningKeys::rotate_in_folder(folder, now)?),
        (_, Data::Memory) => anyhow::bail!(
            "`data` is memory: the signing key is of one process, and a new start makes a new one"
        ),
    }
}
