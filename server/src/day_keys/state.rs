//! What a node knows of its keys. Pure: the time comes in as an argument.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use nowrong_core::{
    day_keys::{DayKey, DayKeyId, KeyRing},
    record::UnixMs,
};
use nowrong_protocol::UserId;

/// The keys of a node.
#[derive(Default)]
pub(super) struct State {
    pub(super) ring: KeyRing,
    /// The keys as they are handed on.
    pub(super) sealed: HashMap<DayKeyId, Bytes>,
    /// Those that are in the file.
    pub(super) saved: HashSet<DayKeyId>,
    /// Those that were seen with the broker.
    pub(super) shared: HashSet<DayKeyId>,
    walk: Option<Walk>,
    /// How many sealed keys of another secret were met with the broker.
    pub(super) strange: usize,
}

/// A walk over all accounts: when it began and how far it has come.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub(super) began_at: UnixMs,
    pub(super) after: Option<UserId>,
}

impl State {
    /// The key that wraps now: one that is safe.
    pub(super) fn wrapping(&self, now: UnixMs) -> Option<DayKey> {
        let is_safe = |id| self.saved.contains(&id) && self.shared.contains(&id);
        self.ring.wrapping(now, is_safe).copied()
    }

    /// Whether it was taken in: see [`KeyRing::take_in`].
    pub(super) fn take_in(&mut self, key: DayKey, sealed: Bytes, now: UnixMs) -> bool {
        let is_new = self.ring.take_in(key, now);
        if is_new {
            self.sealed.insert(key.id, sealed);
        }
        is_new
    }

    /// All keys as they are handed on.
    pub(super) fn all_sealed(&self) -> Vec<Bytes> {
        let keys = self.ring.keys().iter();
        keys.filter_map(|key| self.sealed.get(&key.id).cloned())
            .collect()
    }

    pub(super) fn ids(&self) -> HashSet<DayKeyId> {
        self.ring.keys().iter().map(|key| key.id).collect()
    }

    /// Destroys the keys whose time is over; returns how many.
    pub(super) fn destroy(&mut self, horizon: UnixMs) -> usize {
        let destroyed = self.ring.destroy(horizon);
        let left = self.ids();
        self.sealed.retain(|id, _| left.contains(id));
        self.shared.retain(|id| left.contains(id));
        destroyed
    }

    /// The walk to go on with, or to begin.
    pub(super) fn walk_to_do(&self, now: UnixMs) -> Option<Walk> {
        let begin = Walk {
            began_at: now,
            after: None,
        };
        let is_due = || self.ring.needs_walk(now).then_some(begin);
        self.walk.or_else(is_due)
    }

    /// The walk has come so far; `None`: to its end.
    pub(super) fn walked(&mut self, walk: Walk, after: Option<UserId>) {
        self.walk = after.map(|after| Walk {
            after: Some(after),
            ..walk
        });
        if after.is_none() {
            self.ring.walked(walk.began_at);
        }
    }
}
