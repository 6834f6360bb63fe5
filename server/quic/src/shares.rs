//! Who has how many of a bounded number of things, by network: who is next, and who makes room for whom. Pure.
//!
//! A network is part of wider ones: of an IPv6 address the /48, the /56 and the /64, of an IPv4 address the
//! /24 and the address itself. When nothing is left, a newcomer takes the place of the oldest member of the
//! network that has most, if its own has less: first the widest networks are compared, then those inside the
//! one that has most. In the same way the next one is of the network that has least. So a client with many
//! addresses competes with itself. Addresses are known here by a hash that lives as long as the process.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

/// The networks of an address, the widest first.
pub(crate) type Networks = [u64; 3];

/// The lengths of the prefixes.
const PREFIXES_V4: [u32; 3] = [24, 32, 32];
const PREFIXES_V6: [u32; 3] = [48, 56, 64];

/// The networks of an address. `hasher` makes them unreadable and unpredictable.
pub(crate) fn networks(hasher: &RandomState, address: IpAddr) -> Networks {
    match address.to_canonical() {
        IpAddr::V4(address) => PREFIXES_V4.map(|prefix| {
            let bits = address.to_bits() >> (32 - prefix);
            hasher.hash_one((prefix, bits))
        }),
        IpAddr::V6(address) => PREFIXES_V6.map(|prefix| {
            let bits = address.to_bits() >> (128 - prefix);
            hasher.hash_one((prefix, bits))
        }),
    }
}

/// The members of a network, by its narrower networks.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    count: usize,
    narrower: HashMap<u64, Shares>,
    /// The narrower networks by how many members they have.
    by_count: BTreeSet<(usize, u64)>,
    /// The members of a network that has no narrower ones.
    members: BTreeSet<u64>,
}

/// Which member of a network: the one with the smallest number, or with the largest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    First,
    Last,
}

impl Shares {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a member.
    pub(crate) fn add(&mut self, networks: &[u64], member: u64) {
        self.count += 1;
        let Some((network, rest)) = networks.split_first() else {
            self.members.insert(member);
            return;
        };
        let narrower = self.narrower.entry(*network).or_default();
        self.by_count.remove(&(narrower.count, *network));
        narrower.add(rest, member);
        self.by_count.insert((narrower.count, *network));
    }

    /// Removes a member, which must have been added with these networks.
    pub(crate) fn remove(&mut self, networks: &[u64], member: u64) {
        self.count = self.count.saturating_sub(1);
        let Some((network, rest)) = networks.split_first() else {
            self.members.remove(&member);
            return;
        };
        let Some(narrower) = self.narrower.get_mut(network) else {
            return;
        };
        self.by_count.remove(&(narrower.count, *network));
        narrower.remove(rest, member);
        if narrower.count == 0 {
            self.narrower.remove(network);
        } else {
            self.by_count.insert((narrower.count, *network));
        }
    }

    /// The member that makes room for a newcomer of these networks; `None` when no network has more than the
    /// newcomer's would have with it.
    pub(crate) fn makes_room(&self, networks: &[u64], which: Which) -> Option<u64> {
        let (network, rest) = networks.split_first()?;
        let (most, largest) = *self.by_count.last()?;
        let own = self.narrower.get(network);
        let count = own.map_or(0, |own| own.count);
        if count == most {
            own?.makes_room(rest, which)
        } else if most > count + 1 {
            self.narrower.get(&largest)?.of_largest(which)
        } else {
            None
        }
    }

    /// A member of the network that has most.
    fn of_largest(&self, which: Which) -> Option<u64> {
        match (self.by_count.last(), which) {
            (Some((_, largest)), _) => self.narrower.get(largest)?.of_largest(which),
            (None, Which::First) => self.members.first().copied(),
            (None, Which::Last) => self.members.last().copied(),
        }
    }

    /// The first member of the network that has least among `others`.
    pub(crate) fn next(&self, others: Option<&Self>) -> Option<u64> {
        let theirs = |network: &u64| others.and_then(|others| others.narrower.get(network));
        let count = |network: &&u64| theirs(network).map_or(0, |theirs| theirs.count);
        match self.narrower.keys().min_by_key(count) {
            Some(least) => self.narrower.get(least)?.next(theirs(least)),
            None => self.members.first().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hasher: &RandomState, address: &str) -> Networks {
        networks(hasher, address.parse().unwrap())
    }

    fn makes_room(shares: &Shares, networks: &[u64]) -> Option<u64> {
        shares.makes_room(networks, Which::First)
    }

    #[test]
    fn an_address_is_part_of_wider_networks() {
        let hasher = RandomState::new();
        let shared = |one: &str, other: &str| {
            let (one, other) = (of(&hasher, one), of(&hasher, other));
            one.iter().zip(&other).filter(|(a, b)| a == b).count()
        };
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:1:2::ffff"), 3);
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:1:3::1"), 2);
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:1:102::1"), 1);
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:2:2::1"), 0);
        assert_eq!(shared("192.0.2.1", "::ffff:192.0.2.1"), 3);
        assert_eq!(shared("192.0.2.1", "192.0.2.2"), 1);
        assert_eq!(shared("192.0.2.1", "192.0.3.1"), 0);
    }

    #[test]
    fn the_oldest_of_the_largest_network_makes_room() {
        let mut shares = Shares::default();
        for member in 0..3 {
            shares.add(&[1, 1, 1], member);
        }
        shares.add(&[2, 2, 2], 3);
        assert_eq!(makes_room(&shares, &[3, 3, 3]), Some(0), "a new network");
        assert_eq!(makes_room(&shares, &[2, 2, 2]), Some(0), "a small one");
        assert_eq!(makes_room(&shares, &[1, 1, 1]), None, "the same one");
        shares.remove(&[1, 1, 1], 0);
        assert_eq!(makes_room(&shares, &[3, 3, 3]), Some(1));
        assert_eq!(
            makes_room(&shares, &[2, 2, 2]),
            None,
            "then it would have most"
        );
        shares.remove(&[1, 1, 1], 1);
        assert_eq!(makes_room(&shares, &[3, 3, 3]), None, "all have one");
        assert_eq!(shares.len(), 2);
    }

    #[test]
    fn many_narrow_networks_of_a_wide_one_compete_with_each_other() {
        let mut shares = Shares::default();
        for member in 0..100 {
            shares.add(&[1, member / 10, member], member);
        }
        for member in 100..104 {
            shares.add(&[2, 200, 200], member);
        }
        assert_eq!(
            makes_room(&shares, &[2, 200, 200]),
            makes_room(&shares, &[3, 3, 3])
        );
        let inside = makes_room(&shares, &[1, 77, 77]).unwrap();
        assert!(
            inside < 100,
            "a newcomer from the wide one displaces one of its own"
        );
        assert_eq!(makes_room(&shares, &[1, 9, 95]), None, "or nobody");
    }

    #[test]
    fn the_next_one_is_of_the_network_that_has_least() {
        let (mut asking, mut turns) = (Shares::default(), Shares::default());
        let all: [(Networks, u64); 5] = [
            ([1, 10, 100], 1),
            ([1, 10, 100], 2),
            ([1, 10, 101], 3),
            ([2, 20, 200], 4),
            ([1, 11, 110], 5),
        ];
        for (networks, member) in all {
            asking.add(&networks, member);
        }
        turns.add(&[1, 10, 100], 90);
        let mut order = Vec::new();
        while let Some(next) = asking.next(Some(&turns)) {
            let (networks, _) = all[next as usize - 1];
            asking.remove(&networks, next);
            turns.add(&networks, next);
            order.push(next);
        }
        assert_eq!(
            order[..3],
            [4, 5, 3],
            "the wide one, the middle, the narrow"
        );
        assert_eq!(order[3..], [1, 2], "then in order");
        assert_eq!(Shares::default().next(None), None);
    }

    #[test]
    fn what_was_added_and_removed_leaves_nothing() {
        let mut shares = Shares::default();
        let all: Vec<Networks> = (0..60).map(|n| [n % 2, n % 6, n % 30]).collect();
        for (networks, member) in all.iter().zip(0..) {
            shares.add(networks, member);
        }
        for (networks, member) in all.iter().zip(0..) {
            shares.remove(networks, member);
        }
        assert_eq!((shares.len(), shares.of_largest(Which::First)), (0, None));
        assert!(shares.narrower.is_empty() && shares.by_count.is_empty());
    }
}
