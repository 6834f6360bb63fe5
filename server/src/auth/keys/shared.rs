//! The keys of nodes that share a store: published first, used later.
//!
//! A new key is in the store for [`PUBLISHED_BEFORE`] before it signs, and every node reads the
//! store each [`REREAD_INTERVAL`], so all nodes know it before they see its first token. A node
//! that finds the newest key too old publishes the next one; if several do so at once, the revision
//! lets one win. Old keys are removed when the last of their tokens has expired.

use std::{sync::Arc, time::Duration};

use nowrong_base::{
    privacy::{PseudonymKey, Redacted},
    random,
};
use nowrong_core::record::UnixMs;
use nowrong_store::secrets::{SecretStore, SharedKey, SharedSecrets};

use super::{AuthError, SigningKey, SigningKeys, lapses_at, millis};

/// How long a key is in the store before it signs: five times the interval at which nodes read it,
/// so that a node that cannot reach the store for minutes, or has a wrong clock, still knows it in
/// time.
pub const PUBLISHED_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How often a node reads the keys again: one small read.
pub const REREAD_INTERVAL: Duration = Duration::from_secs(60);

/// How often another node may be first before this one gives up. Usually once another node was
/// first, there is nothing left to publish.
const ATTEMPTS_MAX: usize = 8;

/// The store through which the keys are shared.
pub struct SharedKeys {
    store: Arc<dyn SecretStore>,
    age: Duration,
}

impl SharedKeys {
    /// Shares keys through `store`; each key signs for `age`.
    pub fn new(store: Arc<dyn SecretStore>, age: Duration) -> Self {
        Self { store, age }
    }

    /// The keys in the store, and the key for pseudonyms; publishes a new key if one is due.
    ///
    /// # Errors
    /// [`AuthError::Store`]; [`AuthError::Keys`] when the stored data is not a key.
    pub async fn read(&self, now: UnixMs) -> Result<(SigningKeys, PseudonymKey), AuthError> {
        for _ in 0..ATTEMPTS_MAX {
            let new = Redacted::new(random::try_bytes()?);
            let wanted = match self.store.secrets().await? {
                None => first(new, Redacted::new(random::try_bytes()?), now),
                Some(seen) => match successor(&seen, new, self.age, now) {
                    None => return opened(&seen),
                    Some(next) => next,
                },
            };
            if self.store.put_secrets(&wanted).await? {
                tracing::info!(revision = wanted.revision, "published a signing key");
                return opened(&wanted);
            }
        }
        Err(too_busy())
    }

    /// Publishes a new key, which signs [`PUBLISHED_BEFORE`] from now, by which time all nodes have read
    /// it. The others check their tokens until they have lapsed. `false`: the newest key does not sign yet,
    /// and nothing was changed.
    ///
    /// # Errors
    /// As for [`Self::read`]; [`AuthError::Keys`] also when no node has stored secrets yet.
    #[cfg(any(feature = "mongodb", test))]
    pub async fn rotate(store: &dyn SecretStore, now: UnixMs) -> Result<bool, AuthError> {
        for _ in 0..ATTEMPTS_MAX {
            let seen = store.secrets().await?.ok_or_else(|| {
                AuthError::Keys("the store has none yet: start a node first".to_owned())
            })?;
            let new = Redacted::new(random::try_bytes()?);
            let Some(next) = successor(&seen, new, Duration::ZERO, now) else {
                return Ok(false);
            };
            if store.put_secrets(&next).await? {
                return Ok(true);
            }
        }
        Err(too_busy())
    }
}

fn too_busy() -> AuthError {
    AuthError::Keys("other nodes keep changing the shared ones".to_owned())
}

/// The secrets of a cluster that has none yet. No tokens exist yet, so the key signs at once.
fn first(seed: Redacted<[u8; 32]>, pseudonyms: Redacted<[u8; 32]>, now: UnixMs) -> SharedSecrets {
    let signs_at = now;
    SharedSecrets {
        revision: 1,
        signing: vec![SharedKey { seed, signs_at }],
        pseudonyms,
    }
}

/// The successor of `seen`, if its newest key has signed for `age`: with a new key made from
/// `seed`, and without keys whose tokens have all expired.
fn successor(
    seen: &SharedSecrets,
    seed: Redacted<[u8; 32]>,
    age: Duration,
    now: UnixMs,
) -> Option<SharedSecrets> {
    let is_old = |key: &SharedKey| now >= key.signs_at.saturating_add(millis(age));
    if !seen.signing.first().is_none_or(is_old) {
        return None;
    }
    let signs_at = now.saturating_add(millis(PUBLISHED_BEFORE));
    let mut signing = vec![SharedKey { seed, signs_at }];
    let mut taken_over_at = signs_at;
    for key in &seen.signing {
        if now < lapses_at(taken_over_at) {
            signing.push(key.clone());
        }
        taken_over_at = key.signs_at;
    }
    Some(SharedSecrets {
        revision: seen.revision.saturating_add(1),
        signing,
        pseudonyms: seen.pseudonyms.clone(),
    })
}

fn opened(secrets: &SharedSecrets) -> Result<(SigningKeys, PseudonymKey), AuthError> {
    let keys = secrets.signing.iter().map(|key| {
        SigningKey::from_seed(*key.seed.expose(), key.signs_at).map_err(AuthError::Keys)
    });
    let mut keys = keys.collect::<Result<Vec<_>, _>>()?.into_iter();
    let newest = keys.next();
    let newest = newest.ok_or_else(|| AuthError::Keys("the store has none".to_owned()))?;
    let older = keys.collect();
    let pseudonyms = PseudonymKey::shared(secrets.pseudonyms.expose());
    let keys = SigningKeys {
        newest,
        older,
        revision: secrets.revision,
    };
    Ok((keys, pseudonyms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_800_000_000_000;
    const MINUTE: UnixMs = 60_000;
    const AGE: Duration = Duration::from_secs(60 * 60);

    fn seed(byte: u8) -> Redacted<[u8; 32]> {
        Redacted::new([byte; 32])
    }

    fn kid(byte: u8) -> String {
        SigningKey::from_seed([byte; 32], 0).unwrap().kid
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_checks_until_its_last_token_has_lapsed() {
        let one = first(seed(1), seed(9), NOW);
        let old = NOW + millis(AGE);
        assert_eq!(successor(&one, seed(2), AGE, old - 1), None);
        let two = successor(&one, seed(2), AGE, old).unwrap();
        assert_eq!((two.revision, two.signing.len()), (2, 2));
        assert_eq!(two.pseudonyms, one.pseudonyms);
        assert_eq!(successor(&two, seed(3), AGE, old), None, "once is enough");
        let (keys, _) = opened(&two).unwrap();
        let takes_over = old + 5 * MINUTE;
        let cases = [
            (old, kid(1), true, true),
            (takes_over - 1, kid(1), true, true),
            (takes_over, kid(2), true, true),
            (takes_over + 10 * MINUTE - 1, kid(2), true, true),
            (takes_over + 10 * MINUTE, kid(2), false, true),
        ];
        for (now, current, checks_first, checks_second) in cases {
            assert_eq!(keys.current(now).kid, current, "{now}");
            assert_eq!(keys.find(&kid(1), now).is_some(), checks_first, "{now}");
            assert_eq!(keys.find(&kid(2), now).is_some(), checks_second, "{now}");
        }
        assert!(keys.find(&kid(3), old).is_none());
    }

    #[test]
    fn old_keys_go_however_short_their_age_is() {
        let mut secrets = first(seed(1), seed(9), NOW);
        for minute in 0..120 {
            let now = NOW + minute * MINUTE;
            let new = seed(2 + minute as u8);
            secrets = successor(&secrets, new, Duration::from_millis(1), now).unwrap_or(secrets);
            assert!(secrets.signing.len() <= 5, "{}", secrets.signing.len());
            let (keys, _) = opened(&secrets).unwrap();
            assert!(
                keys.current(now).signs_at <= now,
                "some key signs at any time"
            );
        }
        assert!(secrets.revision > 10, "{}", secrets.revision);
    }
}
