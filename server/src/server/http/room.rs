//! How many HTTP connections there may be: all together, and of one network.
//!
//! A [`Slot`] is one connection of the node, held until its socket is closed, also as a WebSocket. A
//! [`Share`] is one of its network, as long as it is HTTP. When either has run out, a [`Spare`] is left:
//! [`SPARES`] connections for the health of the node, where a new one takes the place of the oldest. All
//! of them are given back when dropped.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use nowrong_base::{lock::lock, privacy::Network};
use tokio_util::sync::CancellationToken;

/// Connections that are kept for the health of the node.
pub(in crate::server) const SPARES: usize = 8;

type Pseudonym = [u8; 16];

/// The room for connections.
pub(in crate::server) struct Room {
    slots: AtomicUsize,
    slots_max: usize,
    shares: Mutex<HashMap<Pseudonym, usize>>,
    shares_max: usize,
    /// What no network has more than: half of all.
    most: usize,
    spares: Mutex<Spares>,
}

/// The spare connections in use by the order in which they were accepted, the oldest first.
type Spares = VecDeque<(u64, CancellationToken)>;

impl Room {
    /// Room for this many connections, and this many of each network. One network never gets all of them.
    pub(in crate::server) fn new(slots_max: usize, shares_max: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: AtomicUsize::new(0),
            slots_max,
            shares: Mutex::default(),
            shares_max,
            most: slots_max.div_ceil(2),
            spares: Mutex::default(),
        })
    }

    /// Takes the place of one connection, if there is one.
    pub(super) fn slot(self: &Arc<Self>) -> Option<Slot> {
        let more = |slots: usize| (slots < self.slots_max).then_some(slots + 1);
        let taken = self
            .slots
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Slot(self.clone()))
    }

    /// Takes one connection of each of these networks, if all have one left.
    pub(super) fn share(
        self: &Arc<Self>,
        networks: impl IntoIterator<Item = Network>,
    ) -> Option<Share> {
        let mut shares = lock(&self.shares);
        let mut keys = Vec::with_capacity(1);
        for network in networks {
            let count = shares.get(&network.key).copied().unwrap_or(0);
            let share = usize::try_from(network.share).unwrap_or(usize::MAX);
            if count >= self.shares_max.saturating_mul(share).min(self.most) {
                return None;
            }
            keys.push(network.key);
        }
        for key in &keys {
            *shares.entry(*key).or_default() += 1;
        }
        Some(Share(self.clone(), keys))
    }

    /// Takes a spare connection for the connection that was accepted as this `number`. When all are in
    /// use, the one that was accepted first is told to end, be it this one: connections are attended to in
    /// any order.
    pub(super) fn spare(self: &Arc<Self>, number: u64) -> Spare {
        let token = CancellationToken::new();
        let mut spares = lock(&self.spares);
        let place = spares.partition_point(|(other, _)| *other < number);
        spares.insert(place, (number, token.clone()));
        if spares.len() > SPARES
            && let Some((_, oldest)) = spares.pop_front()
        {
            oldest.cancel();
        }
        drop(spares);
        Spare {
            room: self.clone(),
            number,
            token,
        }
    }
}

/// One connection of the node.
pub(super) struct Slot(Arc<Room>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.slots.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection of each of the networks of a client.
pub(super) struct Share(Arc<Room>, Vec<Pseudonym>);

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = lock(&self.0.shares);
        for key in &self.1 {
            if let Some(count) = shares.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    shares.remove(key);
                }
            }
        }
    }
}

/// A connection for the health of the node.
pub(super) struct Spare {
    room: Arc<Room>,
    number: u64,
    token: CancellationToken,
}

impl Spare {
    /// Returns when a newer connection needs its place.
    pub(super) async fn is_needed(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        lock(&self.room.spares).retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_never_takes_all_the_room() {
        let room = Room::new(4, 1_000);
        let network = |number, share| Network {
            key: [number; 16],
            share,
        };
        let (one, other) = ([network(1, 1)], [network(2, 1)]);
        let mine: Vec<_> = (0..2).map(|_| room.share(one).unwrap()).collect();
        assert!(room.share(one).is_none());
        assert!(room.share(other).is_some());
        drop(mine);
        assert!(room.share(one).is_some());
        assert!(lock(&room.shares).is_empty(), "nobody is left");
    }

    #[test]
    fn many_networks_inside_one_share_what_that_one_has() {
        let room = Room::new(100, 2);
        let network = |key, share| Network { key, share };
        let inside = |number: u8| [network([number; 16], 1), network([0; 16], 4)];
        let mine: Vec<_> = (1..=8).filter_map(|n| room.share(inside(n))).collect();
        assert_eq!(mine.len(), 8);
        assert!(room.share(inside(9)).is_none());
        drop(mine);
        assert!(lock(&room.shares).is_empty(), "nobody is left");
    }

    #[test]
    fn what_was_dropped_can_be_taken_again() {
        let room = Room::new(2, 2);
        let slots = (room.slot().unwrap(), room.slot().unwrap());
        assert!(room.slot().is_none());
        drop(slots);
        assert!(room.slot().is_some());
    }

    #[test]
    fn the_spare_connections_are_for_those_accepted_last_in_whatever_order_they_come() {
        let room = Room::new(0, 0);
        let mut spares: VecDeque<_> = (1..).take(SPARES).map(|n| room.spare(n)).collect();
        assert!(spares.iter().all(|spare| !spare.token.is_cancelled()));
        spares.push_back(room.spare(100));
        assert!(spares.pop_front().unwrap().token.is_cancelled());
        let late = room.spare(0);
        assert!(late.token.is_cancelled(), "older than all");
        assert!(spares.iter().all(|spare| !spare.token.is_cancelled()));
        assert_eq!(lock(&room.spares).len(), SPARES);
        drop((spares, late));
        assert!(lock(&room.spares).is_empty());
    }
}
