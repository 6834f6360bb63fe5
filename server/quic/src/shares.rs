//! Who has how many of a bounded number of things, by network, and who makes room for whom. Pure.
//!
//! A network is part of wider ones: of an IPv6 address the /48, the /56 and the /64, of an IPv4 address the
//! /24 and the address itself. When nothing is left, a newcomer takes the place of the oldest member of the
//! network that has most, if its own has less: first the widest networks are compared, then those inside the
//! one that has most. So whoever has many addresses competes with themselves, and one thing is left for
//! everybody else. Addresses are known here by a hash that lives as long as the process.

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
    /// The members of a network that has no narrower ones, the oldest first.
    members: BTreeSet<u64>,
}

impl Shares {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a member. Numbers rise with time.
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
    pub(crate) fn makes_room(&self, networks: &[u64]) -> Option<u64> {
        let (network, rest) = networks.split_first()?;
        let (most, largest) = *self.by_count.last()?;
        let own = self.narrower.get(network);
        let count = own.map_or(0, |own| own.count);
        if count == most {
            own?.makes_room(rest)
        } else if most > count + 1 {
            self.narrower.get(&largest)?.oldest()
        } else {
            None
        }
    }

    /// The oldest member of the network that has most.
    fn oldest(&self) -> Option<u64> {
        match self.by_count.last() {
            Some((_, largest)) => self.narrower.get(largest)?.oldest(),
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
        assert_eq!(shares.makes_room(&[3, 3, 3]), Some(0), "a new network");
        assert_eq!(shares.makes_room(&[2, 2, 2]), Some(0), "a small one");
        assert_eq!(shares.makes_room(&[1, 1, 1]), None, "the same one");
        shares.remove(&[1, 1, 1], 0);
        assert_eq!(shares.makes_room(&[3, 3, 3]), Some(1));
        assert_eq!(
            shares.makes_room(&[2, 2, 2]),
            None,
            "then it would have most"
        );
        shares.remove(&[1, 1, 1], 1);
        assert_eq!(shares.makes_room(&[3, 3, 3]), None, "all have one");
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
            shares.makes_room(&[2, 200, 200]),
            shares.makes_room(&[3, 3, 3])
        );
        let inside = shares.makes_room(&[1, 77, 77]).unwrap();
        assert!(
            inside < 100,
            "a newcomer from the wide one displaces one of its own"
        );
        assert_eq!(shares.makes_room(&[1, 9, 95]), None, "or nobody");
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
        assert_eq!((shares.len(), shares.oldest()), (0, None));
        assert!(shares.narrower.is_empty() && shares.by_count.is_empty());
    }
}
