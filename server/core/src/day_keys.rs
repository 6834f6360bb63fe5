//! Day keys: which one wraps what is stored, when the next one is made, and when an old one is
//! destroyed.
//!
//! A store of several nodes keeps logs of its own (an oplog, change streams, copies of a point in
//! time), so what must be unreadable in a day is stored only wrapped by a key that is never in the
//! store. A key wraps for a day ([`WRAPS_MS`]), beginning when it has been known for an hour
//! ([`LEAD_MS`]), and is destroyed 25 hours after that: what expires within a day needs it no longer,
//! and what lives on is wrapped again before ([`KeyRing::needs_walk`]). A wrapped value names its key,
//! so two nodes that make a key for the same day do no harm.
//!
//! Pure: time and randomness come in as arguments. Start reading at [`KeyRing`].

use std::fmt;

use crate::record::UnixMs;

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// How long before it wraps a key is made: every node learns of it within seconds, and Redis may be
/// away for the better part of an hour.
pub const LEAD_MS: u64 = HOUR_MS;

/// How long a key wraps.
pub const WRAPS_MS: u64 = 24 * HOUR_MS;

/// For how much longer it may wrap while no newer key could be shared. After that nothing is wrapped.
pub const LATE_MS: u64 = HOUR_MS;

/// How long after it began to wrap a key is destroyed: when the last value that it may have wrapped has
/// lived for a day, which is the longest life of a chat.
pub const LIVES_MS: u64 = WRAPS_MS + LATE_MS + 24 * HOUR_MS;

/// How long after a key has wrapped for the last time everybody is done with it: nodes whose clocks
/// differ (by five minutes at most), and calls under way.
pub const SETTLES_MS: u64 = 10 * 60 * 1_000;

/// Most keys of a ring: those of three days, if each of three hundred nodes made one at the same moment.
pub const KEYS_MAX: usize = 1_024;

/// Names a day key: random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKeyId(pub [u8; 8]);

impl fmt::Display for DayKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for DayKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DayKeyId({self})")
    }
}

/// A key that wraps what is stored, for a day. Its bytes never print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DayKey {
    /// Its name.
    pub id: DayKeyId,
    /// An AES-256 key.
    pub bytes: [u8; 32],
    /// When it begins to wrap.
    pub wraps_from: UnixMs,
}

impl DayKey {
    /// How many bytes [`Self::to_bytes`] returns.
    pub const LENGTH: usize = 48;

    /// When it is destroyed, unless something still needs it.
    pub const fn dies_at(&self) -> UnixMs {
        self.wraps_from.saturating_add(LIVES_MS)
    }

    /// When nobody wraps with it any more.
    const fn rests_from(&self) -> UnixMs {
        self.wraps_from
            .saturating_add(WRAPS_MS + LATE_MS + SETTLES_MS)
    }

    /// All of it, to be sealed.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..8].copy_from_slice(&self.id.0);
        out[8..40].copy_from_slice(&self.bytes);
        out[40..].copy_from_slice(&self.wraps_from.to_be_bytes());
        out
    }

    /// The key with these bytes; `None`: there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        Some(Self {
            id: DayKeyId(*id),
            bytes: *key,
            wraps_from: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DayKey({}, from {})", self.id, self.wraps_from)
    }
}

/// The day keys that a node holds, at most [`KEYS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    /// Ascending by when they begin to wrap, then by id.
    keys: Vec<DayKey>,
    /// When the last walk began that has wrapped again all that was wrapped by resting keys.
    walked_at: Option<UnixMs>,
}

impl KeyRing {
    /// All keys.
    pub fn keys(&self) -> &[DayKey] {
        &self.keys
    }

    /// The key with this name.
    pub fn get(&self, id: DayKeyId) -> Option<&DayKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Takes in a key; `false`: it is held, the ring is full, or its time is over.
    pub fn take_in(&mut self, key: DayKey, now: UnixMs) -> bool {
        let is_known = self.get(key.id).is_some();
        if is_known || self.keys.len() >= KEYS_MAX || self.is_over(&key, now) {
            return false;
        }
        let place = |held: &DayKey| (held.wraps_from, held.id) < (key.wraps_from, key.id);
        let at = self.keys.partition_point(place);
        self.keys.insert(at, key);
        true
    }

    /// The key that wraps now, of those that are kept safely: the newest. `None`: none may.
    pub fn wrapping(&self, now: UnixMs, is_safe: impl Fn(DayKeyId) -> bool) -> Option<&DayKey> {
        let may_wrap = |key: &&DayKey| wraps(key, now, WRAPS_MS + LATE_MS) && is_safe(key.id);
        self.keys.iter().rev().find(may_wrap)
    }

    /// From when the key wraps that is to be made now; `None`: none is to be made.
    pub fn next(&self, now: UnixMs) -> Option<UnixMs> {
        if !self.keys.iter().any(|key| wraps(key, now, WRAPS_MS)) {
            return Some(now);
        }
        let is_near = |key: &&DayKey| key.wraps_from <= now.saturating_add(LEAD_MS);
        let newest = self.keys.iter().rev().find(is_near)?;
        let ends_at = newest.wraps_from.saturating_add(WRAPS_MS);
        (ends_at.saturating_sub(LEAD_MS) <= now).then_some(ends_at.max(now))
    }

    /// Whether everything that lives on must be looked at now, and wrapped again where a key at rest has
    /// wrapped it: once for each key, when nobody wraps with it any more.
    pub fn needs_walk(&self, now: UnixMs) -> bool {
        let mut resting = self.keys.iter().filter(|key| key.rests_from() <= now);
        resting.any(|key| !self.is_walked(key))
    }

    /// A walk that began at `began_at` has reached its end.
    pub fn walked(&mut self, began_at: UnixMs) {
        self.walked_at = self.walked_at.max(Some(began_at));
    }

    /// Destroys the keys whose time is over at `horizon`, a time that is surely past; returns how many.
    /// A key that a walk has not made superfluous stays.
    pub fn destroy(&mut self, horizon: UnixMs) -> usize {
        let before = self.keys.len();
        let walked_at = self.walked_at;
        self.keys
            .retain(|key| !(key.dies_at() <= horizon && walked_at >= Some(key.rests_from())));
        before - self.keys.len()
    }

    fn is_over(&self, key: &DayKey, now: UnixMs) -> bool {
        key.dies_at() <= now && self.is_walked(key)
    }

    fn is_walked(&self, key: &DayKey) -> bool {
        self.walked_at >= Some(key.rests_from())
    }
}

fn wraps(key: &DayKey, now: UnixMs, span_ms: u64) -> bool {
    key.wraps_from <= now && now < key.wraps_from.saturating_add(span_ms)
}

#[cfg(test)]
mod tests;
