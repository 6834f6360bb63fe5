//! Nodes that make, share and destroy keys over days, against what a reader needs.

use proptest::prelude::*;

use super::*;

const START: UnixMs = 1_800_000_000_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn key(n: u64, wraps_from: UnixMs) -> DayKey {
    DayKey {
        id: DayKeyId(n.to_be_bytes()),
        bytes: [n as u8; 32],
        wraps_from,
    }
}

fn ring(keys: &[DayKey]) -> KeyRing {
    let mut ring = KeyRing::default();
    for key in keys {
        assert!(ring.take_in(*key, START));
    }
    ring
}

fn wrapping(ring: &KeyRing, now: UnixMs) -> Option<u64> {
    let key = ring.wrapping(now, |_| true)?;
    Some(u64::from_be_bytes(key.id.0))
}

#[test]
fn nobody_wraps_with_a_key_at_rest_however_far_clocks_may_differ() {
    const APART_MAX_MS: u64 = 5 * 60 * 1_000;
    let key = key(1, 0);
    let last = WRAPS_MS + LATE_MS;
    assert!(key.rests_from() >= last + 2 * APART_MAX_MS);
}

#[test]
fn a_key_is_what_its_bytes_say_and_its_secret_does_not_print() {
    let one = key(7, START);
    assert_eq!(DayKey::from_bytes(&one.to_bytes()), Some(one));
    assert_eq!(DayKey::from_bytes(&one.to_bytes()[1..]), None);
    assert_eq!(
        DayKey::from_bytes(&[&one.to_bytes()[..], &[0]].concat()),
        None
    );
    assert_eq!(
        format!("{one:?}"),
        "DayKey(0000000000000007, from 1800000000000)"
    );
}

#[test]
fn the_first_key_wraps_at_once_and_the_next_is_made_an_hour_before_it_wraps() {
    let mut ring = KeyRing::default();
    assert_eq!(ring.next(START), Some(START));
    ring.take_in(key(1, START), START);
    let day = START + WRAPS_MS;
    assert_eq!(ring.next(START), None);
    assert_eq!(ring.next(day - LEAD_MS - 1), None);
    assert_eq!(ring.next(day - LEAD_MS), Some(day));
    ring.take_in(key(2, day), day - LEAD_MS);
    assert_eq!(ring.next(day - LEAD_MS), None);
    assert_eq!(wrapping(&ring, day - 1), Some(1));
    assert_eq!(wrapping(&ring, day), Some(2));
    // After a stop of days the next one wraps at once.
    assert_eq!(ring.next(START + 9 * DAY_MS), Some(START + 9 * DAY_MS));
    assert_eq!(wrapping(&ring, START + 9 * DAY_MS), None);
}

#[test]
fn without_a_newer_one_a_key_wraps_for_an_hour_longer_and_no_more() {
    let ring = ring(&[key(1, START)]);
    let last = START + WRAPS_MS + LATE_MS;
    assert_eq!(wrapping(&ring, last - 1), Some(1));
    assert_eq!(wrapping(&ring, last), None);
    assert_eq!(ring.next(last), Some(last));
}

#[test]
fn a_key_that_is_not_kept_safely_does_not_wrap() {
    let ring = ring(&[key(1, START), key(2, START + 1)]);
    let is_first = |id| id == DayKeyId(1_u64.to_be_bytes());
    let found = ring.wrapping(START + 5, is_first).unwrap();
    assert!(is_first(found.id));
    assert_eq!(ring.wrapping(START + 5, |_| false), None);
}

#[test]
fn a_key_from_a_future_that_was_never_neither_wraps_nor_keeps_others_from_being_made() {
    let ring = ring(&[key(1, START + 9 * DAY_MS)]);
    assert_eq!(wrapping(&ring, START), None);
    assert_eq!(ring.next(START), Some(START));
}

#[test]
fn a_key_is_destroyed_when_its_time_is_over_and_a_walk_has_made_it_superfluous() {
    let mut ring = ring(&[key(1, START), key(2, START + DAY_MS)]);
    let rests_from = START + WRAPS_MS + LATE_MS + SETTLES_MS;
    let dies_at = START + LIVES_MS;
    assert!(!ring.needs_walk(rests_from - 1));
    assert!(ring.needs_walk(rests_from));
    ring.walked(rests_from - 1);
    assert!(ring.needs_walk(rests_from), "it began too early");
    assert_eq!(ring.destroy(dies_at), 0);
    ring.walked(rests_from);
    assert!(!ring.needs_walk(rests_from));
    assert_eq!(ring.destroy(dies_at - 1), 0);
    assert_eq!(ring.destroy(dies_at), 1);
    assert!(
        !ring.take_in(key(1, START), dies_at),
        "it does not come back"
    );
    assert_eq!(ring.keys(), [key(2, START + DAY_MS)]);
}

#[test]
fn g10_a_ring_is_bounded() {
    let mut ring = KeyRing::default();
    for n in 0..KEYS_MAX as u64 + 5 {
        assert_eq!(ring.take_in(key(n, START), START), n < KEYS_MAX as u64);
    }
}

/// A step of a cluster: time passes, and each node may meet the shelf on which all leave their keys.
#[derive(Clone, Debug)]
struct Step {
    minutes: u64,
    meets: [bool; 3],
    is_shelf_emptied: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (1..40_u64, any::<[bool; 3]>(), 0..20_u8);
    let step = step.prop_map(|(minutes, meets, dice)| Step {
        minutes,
        meets,
        is_shelf_emptied: dice == 0,
    });
    proptest::collection::vec(step, 200..400)
}

/// Three nodes and a shelf.
#[derive(Default)]
struct Cluster {
    rings: [KeyRing; 3],
    shelf: Vec<DayKey>,
    /// What was left on the shelf by whom: with these it may wrap.
    safe: Vec<(usize, DayKeyId)>,
    made: u64,
}

impl Cluster {
    fn meet(&mut self, node: usize, now: UnixMs) {
        let ring = &mut self.rings[node];
        for key in &self.shelf {
            ring.take_in(*key, now);
        }
        if let Some(wraps_from) = ring.next(now) {
            self.made += 1;
            ring.take_in(key(self.made, wraps_from), now);
        }
        for key in ring.keys() {
            if self.shelf.iter().all(|kept| kept.id != key.id) {
                self.shelf.push(*key);
            }
            self.safe.push((node, key.id));
        }
        if ring.needs_walk(now) {
            ring.walked(now);
        }
        ring.destroy(now);
        self.shelf.retain(|key| key.dies_at() > now);
    }

    fn wrapping(&self, node: usize, now: UnixMs) -> Option<DayKey> {
        let is_safe = |id| self.safe.contains(&(node, id));
        self.rings[node].wrapping(now, is_safe).copied()
    }
}

proptest! {
    #[test]
    fn whatever_a_node_wraps_can_be_opened_for_a_day_by_every_node_that_meets_the_others(
        steps in steps()
    ) {
        let (mut cluster, mut now) = (Cluster::default(), START);
        let mut wrapped: Vec<(DayKeyId, UnixMs)> = Vec::new();
        for step in steps {
            now += step.minutes * 60_000;
            if step.is_shelf_emptied {
                cluster.shelf.clear();
            }
            for node in 0..3 {
                if step.meets[node] {
                    cluster.meet(node, now);
                    let key = cluster.wrapping(node, now);
                    prop_assert!(key.is_some(), "a node that meets the others can wrap");
                    wrapped.extend(key.map(|key| (key.id, now)));
                }
            }
            // Everybody meets, twice: all keys that anybody holds are on the shelf after the first time.
            let mut later = Cluster { rings: cluster.rings.clone(), shelf: cluster.shelf.clone(), safe: Vec::new(), made: 1 << 32 };
            for node in [0, 1, 2, 0, 1, 2] {
                later.meet(node, now);
            }
            wrapped.retain(|(_, at)| at + DAY_MS > now);
            for (id, at) in &wrapped {
                for ring in &later.rings {
                    prop_assert!(ring.get(*id).is_some(), "{id} of {at} at {now}");
                }
            }
            for key in later.rings.iter().flat_map(KeyRing::keys) {
                prop_assert!(key.dies_at() > now, "{key:?} is left at {now}");
            }
        }
    }
}
