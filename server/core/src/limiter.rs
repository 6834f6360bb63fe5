//! Limits how often each key may do something: the generic cell rate algorithm (ITU-T I.371), which
//! is a token bucket that keeps one number per key.
//!
//! A key whose burst is fully restored is treated as never seen, and may be dropped to make room.
//! When the table is full of other keys, a flood of new keys does not release the old ones: in a [`Limiter`]
//! a new key is refused, in [`Limits`] it shares a bucket with its wider network. Time comes in as an argument; it may go backwards, which
//! never grants more than the rate allows and never refuses for longer than a period. Start reading
//! at [`Limiter::take`].

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

/// Most keys of one limiter. A key costs about 150 bytes.
pub const KEYS_MAX: usize = 100_000;

const NS_PER_MS: u64 = 1_000_000;

/// `burst` units at once, then `burst` per period, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units allowed in a period. 0 allows nothing.
    pub burst: u32,
    /// Length of the period in milliseconds.
    pub period_ms: u64,
}

impl Rate {
    /// Takes one unit from a bucket that is full at `full_at_ns`; returns when it is full again. Both times
    /// are in nanoseconds of one clock.
    ///
    /// # Errors
    /// The nanoseconds until one unit is free, when there is none now.
    pub(crate) fn spend(self, full_at_ns: u64, now_ns: u64) -> Result<u64, u64> {
        self.spend_units(1, full_at_ns, now_ns)
    }

    /// The same for this many units at once.
    ///
    /// # Errors
    /// The nanoseconds until there are as many.
    pub(crate) fn spend_units(self, units: u64, full_at_ns: u64, now_ns: u64) -> Result<u64, u64> {
        let (unit_ns, burst_ns) = self.unit_and_burst_ns();
        let price_ns = unit_ns.saturating_mul(units);
        let full_at = self.owed_until(full_at_ns, now_ns).saturating_add(price_ns);
        match full_at.saturating_sub(now_ns.saturating_add(burst_ns)) {
            0 => Ok(full_at),
            wait_ns => Err(wait_ns),
        }
    }

    /// When the bucket is full again. At most a whole burst is owed, even when the clock went back.
    fn owed_until(self, full_at_ns: u64, now_ns: u64) -> u64 {
        let (_, burst_ns) = self.unit_and_burst_ns();
        full_at_ns.clamp(now_ns, now_ns.saturating_add(burst_ns))
    }

    /// The time of one unit and of a burst. Rounded up, so that a bucket never grants more than
    /// allowed.
    fn unit_and_burst_ns(self) -> (u64, u64) {
        let period_ns = self.period_ms.saturating_mul(NS_PER_MS);
        let unit_ns = period_ns.div_ceil(u64::from(self.burst.max(1)));
        (unit_ns, unit_ns.saturating_mul(u64::from(self.burst)))
    }
}

/// Whether a unit was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Yes.
    Granted,
    /// No; one will be free after this many milliseconds.
    RetryAfter(u64),
}

/// A bounded table of keys and what they have used.
#[derive(Debug)]
pub struct Limiter<K> {
    /// When the burst of each key is fully restored, in nanoseconds since the Unix epoch: the
    /// theoretical arrival time of the algorithm. Never iterated.
    full_at_ns: HashMap<K, u64>,
    /// The same, ordered by time, to find keys that can be dropped.
    by_time: BTreeSet<(u64, K)>,
    keys_max: usize,
}

impl<K: Copy + Ord + Hash> Default for Limiter<K> {
    fn default() -> Self {
        Self::with_bound(KEYS_MAX)
    }
}

impl<K: Copy + Ord + Hash> Limiter<K> {
    /// An empty table for at most `keys_max` keys that are in use.
    pub fn with_bound(keys_max: usize) -> Self {
        Self {
            full_at_ns: HashMap::new(),
            by_time: BTreeSet::new(),
            keys_max,
        }
    }

    /// Takes one unit for `key`. Always pass the same rate for the same key.
    pub fn take(&mut self, rate: Rate, key: K, now_ms: u64) -> Grant {
        if rate.burst == 0 {
            return Grant::RetryAfter(rate.period_ms.max(1));
        }
        let now_ns = now_ms.saturating_mul(NS_PER_MS);

        let held = self.full_at_ns.get(&key).copied();
        if held.is_none()
            && let Err(refused) = self.make_room(now_ns)
        {
            return refused;
        }
        let full_at = held.unwrap_or(0);
        match rate.spend(full_at, now_ns) {
            Ok(full_at) => {
                self.set(key, held, full_at);
                Grant::Granted
            }
            Err(wait_ns) => {
                self.set(key, held, rate.owed_until(full_at, now_ns));
                Grant::RetryAfter(wait_ns.div_ceil(NS_PER_MS))
            }
        }
    }

    /// Whether a unit can be taken for `key`, or the table is full of others.
    fn has_room(&self, key: K, now_ms: u64) -> bool {
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        let is_idle = |(full_at, _): &(u64, K)| *full_at <= now_ns;
        self.full_at_ns.len() < self.keys_max
            || self.full_at_ns.contains_key(&key)
            || self.by_time.first().is_some_and(is_idle)
    }

    /// How many keys are held, including idle ones that are not displaced yet.
    pub fn len(&self) -> usize {
        self.full_at_ns.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.full_at_ns.is_empty()
    }

    fn set(&mut self, key: K, held: Option<u64>, full_at_ns: u64) {
        if let Some(held) = held {
            self.by_time.remove(&(held, key));
        }
        self.by_time.insert((full_at_ns, key));
        self.full_at_ns.insert(key, full_at_ns);
    }

    /// Drops up to two idle keys, so that a table holds few more than are in use.
    ///
    /// # Errors
    /// When one will be idle, if the table is full of others.
    fn make_room(&mut self, now_ns: u64) -> Result<(), Grant> {
        for _ in 0..2 {
            match self.by_time.first().copied() {
                Some((full_at, key)) if full_at <= now_ns => {
                    self.by_time.remove(&(full_at, key));
                    self.full_at_ns.remove(&key);
                }
                _ => break,
            }
        }
        if self.full_at_ns.len() >= self.keys_max {
            let first = self.by_time.first();
            let idle_at = first.map_or(now_ns, |(full_at, _)| *full_at);
            let wait_ms = (idle_at - now_ns).div_ceil(NS_PER_MS);
            return Err(Grant::RetryAfter(wait_ms.max(1)));
        }
        Ok(())
    }
}

/// The pseudonym of a network, or the id of an account. Its last two bytes are those of the wider network,
/// or random.
pub type LimitKey = [u8; 16];

/// The limits of one rule. When the table of keys is full, a key that is not in it shares one of 65,536
/// buckets with the others of its wider network, until there is room: a flood of keys never means a no for
/// everybody.
#[derive(Debug)]
pub struct Limits {
    keys: Limiter<LimitKey>,
    wider: Limiter<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::with_bound(KEYS_MAX)
    }
}

impl Limits {
    /// An empty table for at most `keys_max` keys that are in use.
    pub fn with_bound(keys_max: usize) -> Self {
        Self {
            keys: Limiter::with_bound(keys_max),
            wider: Limiter::default(),
        }
    }

    /// Takes one unit for `key`. Always pass the same rate.
    pub fn take(&mut self, rate: Rate, key: LimitKey, now_ms: u64) -> Grant {
        if self.keys.has_room(key, now_ms) {
            return self.keys.take(rate, key, now_ms);
        }
        let [.., first, second] = key;
        let wider = u16::from_be_bytes([first, second]);
        self.wider.take(rate, wider, now_ms)
    }
}

#[cfg(test)]
mod tests;
