//! The secrets that nodes share: one document, replaced as a whole by compare-and-swap on its
//! revision.

use async_trait::async_trait;
use mongodb::{
    Collection,
    bson::{Binary, DateTime, doc},
};
use nowrong_base::privacy::Redacted;
use nowrong_store::{
    StoreError,
    secrets::{SecretStore, SharedKey, SharedSecrets},
};
use serde::{Deserialize, Serialize};

use super::{
    MongoStore, Shared,
    fault::{Fault, is_duplicate},
    record::{SECRETS, binary, date, unix_ms},
};

/// Key of the one document.
const KEY: &str = "access";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretsRecord {
    #[serde(rename = "_id")]
    key: String,
    revision: i64,
    signing: Vec<KeyRecord>,
    pseudonyms: Redacting,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyRecord {
    seed: Redacting,
    signs_at: DateTime,
}

/// Bytes that are never printed.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Redacting(Binary);

impl std::fmt::Debug for Redacting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Redacting {
    fn of(secret: &Redacted<[u8; 32]>) -> Self {
        Self(binary(secret.expose()))
    }

    fn read(self) -> Result<Redacted<[u8; 32]>, Fault> {
        let bytes = self.0.bytes.try_into();
        bytes
            .map(Redacted::new)
            .map_err(|_| Fault::Corrupt("a shared secret does not have 32 bytes"))
    }
}

impl From<&SharedSecrets> for SecretsRecord {
    fn from(secrets: &SharedSecrets) -> Self {
        let signing = secrets.signing.iter().map(|key| KeyRecord {
            seed: Redacting::of(&key.seed),
            signs_at: date(key.signs_at),
        });
        Self {
            key: KEY.to_owned(),
            revision: i64::try_from(secrets.revision).unwrap_or(i64::MAX),
            signing: signing.collect(),
            pseudonyms: Redacting::of(&secrets.pseudonyms),
        }
    }
}

impl TryFrom<SecretsRecord> for SharedSecrets {
    type Error = Fault;

    fn try_from(record: SecretsRecord) -> Result<Self, Fault> {
        let signing = record.signing.into_iter().map(|key| {
            Ok(SharedKey {
                seed: key.seed.read()?,
                signs_at: unix_ms(key.signs_at),
            })
        });
        Ok(Self {
            revision: u64::try_from(record.revision).unwrap_or(0),
            signing: signing.collect::<Result<_, Fault>>()?,
            pseudonyms: record.pseudonyms.read()?,
        })
    }
}

#[async_trait]
impl SecretStore for MongoStore {
    async fn secrets(&self) -> Result<Option<SharedSecrets>, StoreError> {
        self.call("secrets", |shared| async move {
            let found = shared.secrets().find_one(doc! { "_id": KEY }).await?;
            found.map(SharedSecrets::try_from).transpose()
        })
        .await
    }

    async fn put_secrets(&self, secrets: &SharedSecrets) -> Result<bool, StoreError> {
        let record = SecretsRecord::from(secrets);
        self.call("put_secrets", |shared| async move {
            if record.revision > 1 {
                let seen = doc! { "_id": KEY, "revision": record.revision - 1 };
                let replaced = shared.secrets().replace_one(seen, &record).await?;
                return Ok(replaced.matched_count > 0);
            }
            match shared.secrets().insert_one(&record).await {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate(&error) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }
}

impl Shared {
    fn secrets(&self) -> Collection<SecretsRecord> {
        self.database.collection(SECRETS)
    }
}

#[cfg(test)]
mod tests {
    use nowrong_store::StoreError;

    use super::*;
    use crate::{
        migration,
        testing::{open, shared},
    };

    fn secrets(revision: u64, byte: u8) -> SharedSecrets {
        let key = |byte, signs_at| SharedKey {
            seed: Redacted::new([byte; 32]),
            signs_at,
        };
        SharedSecrets {
            revision,
            signing: vec![key(byte, 1_800_000_000_002), key(9, 1_800_000_000_001)],
            pseudonyms: Redacted::new([7; 32]),
        }
    }

    #[tokio::test]
    async fn of_two_who_put_at_once_one_wins_and_both_read_the_same() {
        let store = open(&shared()).await;
        migration::up(store.database()).await.unwrap();
        assert_eq!(store.secrets().await.unwrap(), None);
        for revision in 1..=3 {
            let (one, other) = (secrets(revision, 1), secrets(revision, 2));
            let (first, second) = tokio::join!(store.put_secrets(&one), store.put_secrets(&other));
            let (first, second) = (first.unwrap(), second.unwrap());
            assert!(first != second, "revision {revision}: {first} {second}");
            let winner = if first { one } else { other };
            assert_eq!(store.secrets().await.unwrap(), Some(winner));
        }
        let late = store.put_secrets(&secrets(2, 3)).await.unwrap();
        assert!(
            !late,
            "a node that has seen an older revision changes nothing"
        );
        let ahead = store.put_secrets(&secrets(9, 3)).await.unwrap();
        assert!(!ahead, "nor does a revision that was never written");
    }

    #[tokio::test]
    async fn what_is_no_secret_is_named_and_not_shown() {
        let store = open(&shared()).await;
        migration::up(store.database()).await.unwrap();
        let short = Redacting(binary(b"short secret"));
        let record = SecretsRecord {
            pseudonyms: short,
            ..SecretsRecord::from(&secrets(1, 1))
        };
        assert!(!format!("{record:?}").contains("115"), "{record:?}");
        store.shared.secrets().insert_one(record).await.unwrap();
        let error = store.secrets().await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
        assert!(error.to_string().contains("32 bytes"), "{error}");
    }
}
