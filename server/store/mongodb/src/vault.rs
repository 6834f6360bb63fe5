//! Wraps what people are and say before it reaches the server, whose logs and copies keep what the
//! collections no longer hold.
//!
//! A wrapped value is `version (1) | id of the day key (8) | nonce (12) | AES-256-GCM`; the collection
//! and the `_id` of its document are authenticated, so that it cannot be moved to another one. Names are
//! unique by a keyed hash ([`Vault::name_key`]): the key comes from the cluster's secret, which is not
//! in the database either. What nobody has a key for counts as gone ([`Vault::open`]), and so does what its
//! own key does not open: another hand has changed or moved it, and waiting brings nothing back. Only a key
//! that may still come is waited for.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use mongodb::bson::{Binary, Uuid, deserialize_from_slice, serialize_to_vec};
use nowrong_base::{lock::lock, seal::SealingKey, secret::ClusterSecret};
use nowrong_core::day_keys::{DayKey, DayKeyId};
use nowrong_protocol::UserId;
use nowrong_store::wrapping::{Asked, DayKeys};
use serde::{Serialize, de::DeserializeOwned};

use super::{fault::Fault, record::binary};

/// The only version of a wrapped value so far. To a node that does not know a version the value is gone, so
/// another one may be written only when every node can read it.
const VERSION: u8 = 1;

/// How long a key may be unknown before what it wraps counts as gone: another node that has it leaves
/// it in Redis within seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most unknown keys that are remembered; more there cannot be unless somebody writes nonsense into the
/// database. Beyond that they are forgotten, and each is waited for again.
const UNKNOWN_MAX: usize = 1_024;

/// Most documents whose broken value is remembered, so that each has one line in the log. Beyond that they are
/// forgotten, and each has another line.
const BROKEN_MAX: usize = 1_024;

/// What a wrapped value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The collection.
    pub(super) collection: &'static str,
    /// The `_id` of the document.
    pub(super) id: [u8; 16],
}

impl Place {
    fn about(&self) -> Vec<u8> {
        [&[VERSION], self.collection.as_bytes(), &[0], &self.id].concat()
    }
}

/// Wraps and opens.
pub(super) struct Vault {
    names: hmac::Key,
    /// Stored to recognise the secret.
    mark: [u8; 16],
    keys: Arc<dyn DayKeys>,
    unknown: Mutex<HashMap<DayKeyId, Unknown>>,
    /// Those that have a line in the log.
    broken: Mutex<HashSet<Place>>,
}

/// A key that nobody had when it was needed.
#[derive(Clone, Copy)]
struct Unknown {
    since: Instant,
    is_given_up: bool,
}

impl Vault {
    pub(super) fn new(secret: &ClusterSecret, keys: Arc<dyn DayKeys>) -> Self {
        let mut mark = [0; 16];
        mark.copy_from_slice(&secret.derive("mark of the database").expose()[..16]);
        Self {
            names: hmac::Key::new(hmac::HMAC_SHA256, secret.derive("names").expose()),
            mark,
            keys,
            unknown: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// The value by which the database recognises the secret.
    pub(super) fn mark(&self) -> Binary {
        binary(&self.mark)
    }

    /// The `_id` of a name: equal for names that look alike.
    pub(super) fn name_key(&self, skeleton: &str) -> Binary {
        binary(hmac::sign(&self.names, skeleton.as_bytes()).as_ref())
    }

    /// The pseudonym of an account that has left the name with this key: nobody else has it, and it says nothing of
    /// the account.
    pub(super) fn former_owner(&self, name_key: &Binary, owner: UserId) -> Uuid {
        let mut both = hmac::Context::with_key(&self.names);
        both.update(&name_key.bytes);
        both.update(owner.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&both.sign().as_ref()[..16]);
        Uuid::from_bytes(short)
    }

    /// The key that wraps now.
    pub(super) fn current(&self) -> Option<DayKeyId> {
        self.keys.wrapping().map(|key| key.id)
    }

    /// Wraps `value` with the key of the day.
    pub(super) fn seal(&self, place: Place, value: &impl Serialize) -> Result<Binary, Fault> {
        let plain = serialize_to_vec(value).map_err(mongodb::error::Error::from)?;
        self.seal_bytes(place, &plain)
    }

    fn seal_bytes(&self, place: Place, plain: &[u8]) -> Result<Binary, Fault> {
        let key = self.keys.wrapping().ok_or(Fault::NoDayKey)?;
        let mut out = vec![VERSION];
        out.extend_from_slice(&key.id.0);
        let sealed = SealingKey::new(&key.bytes).seal_into(&place.about(), plain, &mut out);
        sealed.map_err(|_| Fault::Refused("randomness"))?;
        Ok(binary(&out))
    }

    /// What was wrapped. `None`: it is gone for good, because nobody has its key, now and in a minute, or
    /// because its own key does not open it.
    pub(super) async fn open<T: DeserializeOwned>(
        &self,
        place: Place,
        wrapped: &Binary,
    ) -> Result<Option<T>, Fault> {
        let Some(opened) = self.open_bytes(place, wrapped).await? else {
            return Ok(None);
        };
        // Only who has the day key can have written it, so no other hand did.
        let value = deserialize_from_slice(&opened);
        value
            .map(Some)
            .map_err(|_| Fault::Corrupt("a wrapped value holds something else"))
    }

    /// The same value under the key of today. `None`: it is gone.
    pub(super) async fn rewrap(
        &self,
        place: Place,
        wrapped: &Binary,
    ) -> Result<Option<Binary>, Fault> {
        let opened = self.open_bytes(place, wrapped).await?;
        opened
            .map(|plain| self.seal_bytes(place, &plain))
            .transpose()
    }

    /// Whether a wrapped value is surely broken. Asks nobody: as long as its key is unknown, nothing is sure.
    pub(super) fn is_broken(&self, place: Place, wrapped: &Binary) -> bool {
        let Some((id, sealed)) = parts(wrapped) else {
            self.note_broken(place);
            return true;
        };
        let key = self.keys.get(id);
        key.is_some_and(|key| self.open_with(&key, place, sealed).is_none())
    }

    async fn open_bytes(&self, place: Place, wrapped: &Binary) -> Result<Option<Vec<u8>>, Fault> {
        let Some((id, sealed)) = parts(wrapped) else {
            self.note_broken(place);
            return Ok(None);
        };
        let key = self.find(id).await?;
        Ok(key.and_then(|key| self.open_with(&key, place, sealed)))
    }

    fn open_with(&self, key: &DayKey, place: Place, sealed: &[u8]) -> Option<Vec<u8>> {
        let opened = SealingKey::new(&key.bytes).open(&place.about(), sealed);
        if opened.is_none() {
            self.note_broken(place);
        }
        opened
    }

    /// Says that the value in this document counts as gone: once for each document.
    pub(super) fn note_broken(&self, place: Place) {
        let mut broken = lock(&self.broken);
        if broken.len() >= BROKEN_MAX && !broken.contains(&place) {
            broken.clear();
        }
        if broken.insert(place) {
            tracing::error!(
                collection = place.collection,
                "a wrapped value does not open with its own day key or does not belong to its document, so it counts as gone: something other than a node has changed it"
            );
        }
    }

    /// The key, asked for where it is unknown. `None`: it is given up.
    async fn find(&self, id: DayKeyId) -> Result<Option<DayKey>, Fault> {
        if let Some(key) = self.keys.get(id) {
            return Ok(Some(key));
        }
        if lock(&self.unknown)
            .get(&id)
            .is_some_and(|known| known.is_given_up)
        {
            return Ok(None);
        }
        let asked = self.keys.ask().await;
        match self.keys.get(id) {
            Some(key) => Ok(Some(key)),
            None => self.wait_for(id, asked),
        }
    }

    /// The key is unknown: first it may still come, then not any more. While nobody replies, nothing is
    /// given up.
    fn wait_for<T>(&self, id: DayKeyId, asked: Asked) -> Result<Option<T>, Fault> {
        let mut unknown = lock(&self.unknown);
        if unknown.len() >= UNKNOWN_MAX && !unknown.contains_key(&id) {
            unknown.clear();
        }
        let known = unknown.entry(id).or_insert(Unknown {
            since: Instant::now(),
            is_given_up: false,
        });
        // Others may have waited for the same reply.
        let is_told = known.is_given_up;
        match asked {
            Asked::Unanswered => known.since = Instant::now(),
            Asked::Answered if known.since.elapsed() < PATIENCE => {}
            Asked::Answered | Asked::Alone => known.is_given_up = true,
        }
        if !known.is_given_up {
            return Err(Fault::UnknownDayKey);
        }
        if !is_told {
            tracing::warn!(day_key = %id, "what this day key has wrapped is gone: neither this node nor any other has the key");
        }
        Ok(None)
    }
}

/// The key of a wrapped value.
pub(super) fn key_of(wrapped: &Binary) -> Option<DayKeyId> {
    parts(wrapped).map(|(id, _)| id)
}

/// The name of the key and what it sealed. `None`: it is not a wrapped value of a known version.
fn parts(wrapped: &Binary) -> Option<(DayKeyId, &[u8])> {
    let rest = wrapped.bytes.strip_prefix(&[VERSION])?;
    let (id, sealed) = rest.split_first_chunk()?;
    Some((DayKeyId(*id), sealed))
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, doc};

    use super::*;
    use crate::testing::{TestKeys, secret};

    const PLACE: Place = Place {
        collection: "Users",
        id: [1; 16],
    };

    fn vault(keys: &Arc<TestKeys>) -> Vault {
        Vault::new(&secret(), keys.clone())
    }

    #[tokio::test]
    async fn a_wrapped_value_opens_in_its_own_place_alone() {
        let vault = vault(&Arc::default());
        let wrapped = vault.seal(PLACE, &doc! { "name": "Ada" }).unwrap();
        let opened = vault.open::<Document>(PLACE, &wrapped).await.unwrap();
        assert_eq!(opened, Some(doc! { "name": "Ada" }));
        assert!(!wrapped.bytes.windows(3).any(|window| window == b"Ada"));
        let elsewhere = [
            Place {
                collection: "ChatKeys",
                ..PLACE
            },
            Place {
                id: [2; 16],
                ..PLACE
            },
        ];
        for place in elsewhere {
            let moved = vault.open::<Document>(place, &wrapped).await;
            assert!(matches!(moved, Ok(None)), "{place:?}");
            assert!(vault.is_broken(place, &wrapped));
        }
        assert!(!vault.is_broken(PLACE, &wrapped));
    }

    #[tokio::test]
    async fn what_its_own_key_does_not_open_is_gone_at_once_and_what_has_no_key_yet_is_not() {
        let keys = Arc::new(TestKeys::default());
        let vault = vault(&keys);
        let wrapped = vault.seal(PLACE, &doc! { "name": "Ada" }).unwrap();
        let changed = |at: usize| {
            let mut bytes = wrapped.bytes.clone();
            bytes[at] ^= 1;
            binary(&bytes)
        };
        let last = wrapped.bytes.len() - 1;
        let cut = binary(&wrapped.bytes[..last]);
        let broken = [
            changed(0),
            changed(9),
            changed(last),
            cut,
            binary(b""),
            binary(b"no"),
        ];
        for value in &broken {
            let opened = vault.open::<Document>(PLACE, value).await;
            assert!(matches!(opened, Ok(None)), "{value:?}");
            assert!(vault.is_broken(PLACE, value), "{value:?}");
        }
        let of_another_key = changed(1);
        assert!(!vault.is_broken(PLACE, &of_another_key));
        let opened = vault.open::<Document>(PLACE, &of_another_key).await;
        assert!(matches!(opened, Err(Fault::UnknownDayKey)));
        keys.forget();
        let opened = vault.open::<Document>(PLACE, &changed(last)).await;
        assert!(matches!(opened, Err(Fault::UnknownDayKey)));
        assert!(!vault.is_broken(PLACE, &changed(last)), "nobody can know");
    }

    #[tokio::test]
    async fn an_unknown_key_is_asked_for_then_waited_for_and_at_last_given_up() {
        let keys = Arc::new(TestKeys::default());
        let vault = vault(&keys);
        let wrapped = vault.seal(PLACE, &doc! { "name": "Ada" }).unwrap();
        let open = || vault.open::<Document>(PLACE, &wrapped);
        keys.forget();
        assert!(matches!(open().await, Err(Fault::UnknownDayKey)));
        assert_eq!(keys.asked(), 1);
        let long_ago = Instant::now().checked_sub(PATIENCE).unwrap();
        for unknown in lock(&vault.unknown).values_mut() {
            unknown.since = long_ago;
        }
        assert!(matches!(open().await, Ok(None)));
        assert!(matches!(open().await, Ok(None)));
        assert_eq!(keys.asked(), 2, "once it is given up, nobody is asked");
        keys.remember();
        assert!(matches!(open().await, Ok(Some(_))), "it came after all");
    }

    #[tokio::test]
    async fn where_nobody_else_is_nothing_is_waited_for() {
        let keys = Arc::new(TestKeys::alone());
        let vault = vault(&keys);
        let wrapped = vault.seal(PLACE, &doc! { "name": "Ada" }).unwrap();
        keys.forget();
        let opened = vault.open::<Document>(PLACE, &wrapped).await;
        assert!(matches!(opened, Ok(None)));
    }

    #[test]
    fn without_a_key_that_is_kept_safely_nothing_is_wrapped() {
        let keys = Arc::new(TestKeys::default());
        keys.forget();
        let wrapped = vault(&keys).seal(PLACE, &doc! { "name": "Ada" });
        assert!(matches!(wrapped, Err(Fault::NoDayKey)));
    }

    #[test]
    fn names_have_other_keys_under_another_secret() {
        let one = vault(&Arc::default());
        let secret = ClusterSecret::new("another".repeat(8)).unwrap();
        let other = Vault::new(&secret, Arc::new(TestKeys::default()));
        assert_eq!(one.name_key("ada"), one.name_key("ada"));
        assert_ne!(one.name_key("ada"), one.name_key("bob"));
        assert_ne!(one.name_key("ada"), other.name_key("ada"));
        assert_ne!(one.mark(), other.mark());
    }
}
