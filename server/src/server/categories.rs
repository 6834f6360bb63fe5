//! Which categories are in force: at a start those of the file, until an operator has changed the
//! database with [`import`].

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use nowrong_core::record::Category;
use nowrong_store::{CategorySource, Store};

use super::open;
use crate::config::{Config, Data, StoreChoice, categories};

/// Brings the file of the configuration into force, unless the database decides; then a file that
/// differs is one warning. Returns what is in force.
pub(super) async fn at_start(
    config: &Config,
    store: &dyn Store,
) -> anyhow::Result<Arc<[Category]>> {
    let wanted = config.read_categories()?;
    let stored = store.categories().await?;
    if stored == wanted {
        return Ok(wanted.into());
    }
    let difference = difference(&stored, &wanted);
    if store.put_categories(&wanted, CategorySource::File).await? {
        if !stored.is_empty() {
            tracing::info!(difference, "the categories are those of the file now");
        }
        return Ok(wanted.into());
    }
    // Nobody has written the built-in ones and expects them in force.
    if let Some(path) = &config.categories {
        tracing::warn!(
            difference,
            "`categories`: the file differs from the categories in the database, which are in force; `nowrong categories import {}` brings it into force",
            path.display()
        );
    }
    Ok(stored.into())
}

/// The categories in force, as the text of a file.
///
/// # Errors
/// One sentence: the store cannot be opened or read.
pub async fn show(config: &Config) -> anyhow::Result<String> {
    if let (StoreChoice::Embedded, Data::Folder(folder)) = (&config.store, &config.data)
        && !folder.exists()
    {
        // Looking must not make a folder.
        return Ok(categories::to_toml(&config.read_categories()?)?);
    }
    let store = open::store_alone(config).await?;
    let stored = store.categories().await;
    store.close().await;
    let stored = stored?;
    if stored.is_empty() {
        // Nothing was started on this store yet.
        return Ok(categories::to_toml(&config.read_categories()?)?);
    }
    Ok(categories::to_toml(&stored)?)
}

/// Makes the categories of a file those of the database, which decides from now on. Returns what has
/// changed.
///
/// # Errors
/// One sentence: the file or the store cannot be used.
pub async fn import(config: &Config, path: &Path) -> anyhow::Result<String> {
    let wanted = categories::read(path)?;
    let store = open::store_alone(config).await?;
    let imported = put(&*store, &wanted).await;
    store.close().await;
    imported.context("the categories could not be stored")
}

async fn put(store: &dyn Store, wanted: &[Category]) -> anyhow::Result<String> {
    let stored = store.categories().await?;
    store
        .put_categories(wanted, CategorySource::Database)
        .await?;
    Ok(difference(&stored, wanted))
}

/// What changes from one list to the other, by ids.
fn difference(from: &[Category], to: &[Category]) -> String {
    let find = |all: &[Category], id: &str| all.iter().find(|one| one.id == id).cloned();
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for category in to {
        match find(from, &category.id) {
            None => added.push(&*category.id),
            Some(other) if other != *category => changed.push(&*category.id),
            Some(_) => {}
        }
    }
    let removed = from.iter().filter(|one| find(to, &one.id).is_none());
    let removed: Vec<_> = removed.map(|one| &*one.id).collect();
    let parts = [("new", added), ("gone", removed), ("changed", changed)];
    let parts = parts.iter().filter(|(_, ids)| !ids.is_empty());
    let parts: Vec<_> = parts
        .map(|(what, ids)| format!("{what}: {}", ids.join(", ")))
        .collect();
    if parts.is_empty() {
        return "nothing".to_owned();
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use nowrong_store::CategoryStore as _;
    use nowrong_store_embedded::EmbeddedStore;

    use super::*;

    /// A file with these categories, in a folder of its own.
    fn file(ids: &[&str]) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("categories.toml");
        let entry = |id: &&str| {
            format!("[[category]]\nid='{id}'\ntitle='A'\ndescription='B'\nemoji='🎵'\n")
        };
        std::fs::write(&path, ids.iter().map(entry).collect::<String>()).unwrap();
        let config = Config {
            categories: Some(path),
            ..Config::default()
        };
        (folder, config)
    }

    async fn start(store: &EmbeddedStore, ids: &[&str]) -> Vec<String> {
        let (_folder, config) = file(ids);
        let in_force = at_start(&config, store).await.unwrap();
        assert_eq!(store.categories().await.unwrap(), *in_force);
        in_force
            .iter()
            .map(|category| category.id.clone())
            .collect()
    }

    #[tokio::test]
    async fn the_file_is_the_truth_at_each_start_until_an_operator_imports_one() {
        let store = EmbeddedStore::in_memory().unwrap();
        assert_eq!(start(&store, &["music", "old"]).await, ["music", "old"]);
        assert_eq!(start(&store, &["music", "new"]).await, ["music", "new"]);
        let (_folder, config) = file(&["theirs"]);
        let wanted = config.read_categories().unwrap();
        let said = put(&store, &wanted).await.unwrap();
        assert_eq!(said, "new: theirs; gone: music, new");
        assert_eq!(start(&store, &["music", "new"]).await, ["theirs"]);
        let built_in = at_start(&Config::default(), &store).await.unwrap();
        assert_eq!(built_in.len(), 1, "neither do the built-in ones replace it");
    }

    #[test]
    fn a_difference_names_what_is_new_gone_and_changed() {
        let (_folder, config) = file(&["a", "b", "c"]);
        let from = config.read_categories().unwrap();
        let mut to = from.clone();
        assert_eq!(difference(&from, &to), "nothing");
        to.remove(0);
        to[0].title = "Other".to_owned();
        to[1].id = "d".to_owned();
        assert_eq!(difference(&from, &to), "new: d; gone: a, c; changed: b");
    }
}
