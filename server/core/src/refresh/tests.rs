//! Tables of single steps, and random histories of people who lose responses, and of thieves.

use proptest::{collection::vec, prelude::*};

use super::*;

const NOW: UnixMs = 1_800_000_000_000;
const HOUR: u64 = 60 * 60 * 1_000;

fn hash(number: u32) -> TokenHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

/// A family as a store keeps it: the list, and which tokens were exchanged.
struct Kept {
    family: Family,
    exchanged: Vec<u32>,
    made: u32,
    now: UnixMs,
    is_revoked: bool,
}

impl Kept {
    /// A family whose first token is number 0.
    fn new() -> Self {
        Self {
            family: Family::begin(hash(0), None, NOW),
            exchanged: Vec::new(),
            made: 0,
            now: NOW,
            is_revoked: false,
        }
    }

    /// Brings token `number`; returns its successor, or `None` when it is refused.
    fn bring(&mut self, number: u32) -> Option<u32> {
        if self.is_revoked {
            return None;
        }
        let is_listed = self.exchanged.contains(&number);
        let token = Presented {
            hash: hash(number),
            replaced_at: is_listed.then_some(NOW),
            is_listed,
        };
        self.exchanged.push(number);
        match self.family.present(&token, hash(self.made + 1), self.now) {
            Exchange::Renewed { .. } => {
                self.made += 1;
                Some(self.made)
            }
            Exchange::Reused => {
                self.is_revoked = true;
                None
            }
            Exchange::TooMany { .. } => None,
        }
    }
}

/// Each step brings a token, named by its number (successors are numbered as they are made), and
/// says whether it is taken.
#[test]
fn a_token_can_be_exchanged_until_a_successor_was_used() {
    let cases: [(&str, &[(u32, bool)]); 8] = [
        ("one after the other", &[(0, true), (1, true), (2, true)]),
        ("a lost response", &[(0, true), (0, true), (2, true)]),
        (
            "many",
            &[(0, true), (0, true), (0, true), (0, true), (4, true)],
        ),
        (
            "siblings",
            &[
                (0, true),
                (0, true),
                (0, true),
                (1, true),
                (2, true),
                (3, true),
            ],
        ),
        (
            "a late sibling",
            &[(0, true), (0, true), (1, true), (3, true), (2, true)],
        ),
        ("a parent", &[(0, true), (1, true), (0, false), (2, false)]),
        (
            "an ancestor",
            &[(0, true), (1, true), (2, true), (0, false), (3, false)],
        ),
        (
            "the parent of siblings",
            &[(0, true), (0, true), (2, true), (0, false), (1, false)],
        ),
    ];
    for (case, steps) in cases {
        let mut kept = Kept::new();
        for (step, (number, is_taken)) in steps.iter().enumerate() {
            // However much time passes between them.
            kept.now += 7 * HOUR;
            let taken = kept.bring(*number).is_some();
            assert_eq!(taken, *is_taken, "{case}, step {step}");
        }
    }
}

#[test]
fn the_same_successor_again_is_one_chain_however_many_exchange_it() {
    let presented = |number, is_listed: bool| Presented {
        hash: hash(number),
        replaced_at: is_listed.then_some(NOW),
        is_listed,
    };
    let renewed = Exchange::Renewed {
        dropped: Vec::new(),
    };
    let mut family = Family::begin(hash(0), None, NOW);
    for step in 0..100 {
        // Twenty tabs, the first of which finds the token unused.
        for tab in 0..20 {
            let now = NOW + u64::from(step) * HOUR;
            let exchange = family.present(&presented(step, tab > 0), hash(step + 1), now);
            assert_eq!(exchange, renewed, "step {step}, tab {tab}");
        }
        assert_eq!(family.open.len(), 2, "the token and its successor");
    }
    let late = family.present(&presented(98, true), hash(99), NOW);
    assert_eq!(late, Exchange::Reused);
}

#[test]
fn a_log_out_ends_one_chain_and_the_last_one_ends_the_family() {
    let bring = |number: u32| Presented {
        hash: hash(number),
        replaced_at: None,
        is_listed: true,
    };
    // A key, two tokens for it, and what followed from the first of them.
    let mut family = Family::begin(hash(1), Some(hash(900)), NOW);
    for (used, next) in [(900, 2), (1, 3), (3, 4)] {
        family.present(&bring(used), hash(next), NOW);
    }
    let open = |family: &Family| -> Vec<_> { family.open.iter().map(|it| it.hash).collect() };
    assert_eq!(open(&family), [hash(2), hash(3), hash(4)]);
    for token in [3, 4] {
        let mut family = family.clone();
        let LogOut::Dropped(mut dropped) = family.log_out(&bring(token), NOW) else {
            panic!("a sibling goes on");
        };
        dropped.sort_unstable();
        assert_eq!(dropped, [hash(3), hash(4)]);
        assert_eq!(open(&family), [hash(2)]);
        assert_eq!(family.log_out(&bring(2), NOW), LogOut::Revoked);
        assert!(family.open.is_empty());
    }
    // A token whose successor was used is in the hands of two.
    assert_eq!(family.clone().log_out(&bring(1), NOW), LogOut::Revoked);
    assert_eq!(family.log_out(&bring(700), NOW), LogOut::Revoked);
}

#[test]
fn the_key_of_a_registration_is_good_until_the_first_token_is_used() {
    let key = Presented {
        hash: hash(900),
        replaced_at: Some(NOW),
        is_listed: true,
    };
    let unused = |number| Presented {
        hash: hash(number),
        replaced_at: None,
        is_listed: false,
    };
    let renewed = Exchange::Renewed {
        dropped: Vec::new(),
    };
    let mut family = Family::begin(hash(1), Some(key.hash), NOW);
    assert_eq!(family.present(&key, hash(2), NOW + HOUR), renewed);
    assert_eq!(family.present(&key, hash(3), NOW + HOUR), renewed);
    let mut of_first = family.clone();
    for (family, number) in [(&mut of_first, 1), (&mut family, 3)] {
        assert_eq!(family.present(&unused(number), hash(4), NOW), renewed);
        assert_eq!(family.present(&key, hash(5), NOW), Exchange::Reused);
        assert_eq!(
            family.present(&unused(2), hash(6), NOW),
            renewed,
            "a sibling"
        );
    }
}

#[test]
fn tokens_of_a_server_before_this_rule_join_the_list_unless_their_successor_may_be_in_use() {
    let cases = [
        (None, false, true),
        (Some(0), false, true),
        (Some(UNLISTED_GRACE_MS - 1), false, true),
        (Some(UNLISTED_GRACE_MS), false, false),
        (Some(0), true, false),
    ];
    for (ago, is_listed, is_taken) in cases {
        let token = Presented {
            hash: hash(1),
            replaced_at: ago.map(|ago| NOW - ago),
            is_listed,
        };
        let mut family = Family::default();
        let exchange = family.present(&token, hash(2), NOW);
        let taken = matches!(exchange, Exchange::Renewed { .. });
        assert_eq!(taken, is_taken, "{ago:?} {is_listed}");
        if is_taken {
            // From now on the list decides.
            let again = Presented {
                is_listed: true,
                ..token
            };
            let next = Presented {
                hash: hash(2),
                replaced_at: None,
                is_listed: false,
            };
            let renewed = Exchange::Renewed {
                dropped: Vec::new(),
            };
            assert_eq!(family.present(&again, hash(3), NOW + 9 * HOUR), renewed);
            assert_eq!(family.present(&next, hash(4), NOW + 9 * HOUR), renewed);
            let reused = family.present(&again, hash(5), NOW + 9 * HOUR);
            assert_eq!(reused, Exchange::Reused);
        }
    }
}

#[test]
fn repetitions_without_end_hold_a_bounded_list_and_the_newest_is_good() {
    let mut kept = Kept::new();
    let mut newest = 0;
    for number in 2..10_000 {
        newest = kept.bring(0).unwrap();
        assert_eq!(kept.family.open.len(), OPEN_MAX.min(number));
    }
    assert!(kept.bring(newest).is_some());
    assert!(kept.family.open.len() <= OPEN_MAX);
}

#[test]
fn a_family_that_renews_itself_without_end_has_to_wait() {
    let mut kept = Kept::new();
    let mut newest = 0;
    for _ in 0..=OLD_MAX {
        newest = kept.bring(newest).unwrap();
    }
    let token = Presented {
        hash: hash(newest),
        replaced_at: None,
        is_listed: false,
    };
    kept.now += OLD_WINDOW_MS - 5;
    let before = kept.family.clone();
    let wait = Exchange::TooMany { retry_after_ms: 5 };
    assert_eq!(kept.family.present(&token, hash(9_999), kept.now), wait);
    assert_eq!(kept.family, before, "nothing has changed");
    kept.now += 5;
    assert!(kept.bring(newest).is_some());
}

#[test]
fn a_clock_that_went_back_makes_nobody_wait() {
    let mut kept = Kept::new();
    kept.family.window_at = NOW + 1_000 * HOUR;
    kept.family.old = OLD_MAX;
    let newest = kept.bring(0).unwrap();
    assert!(kept.bring(newest).is_some());
}

/// What happens to one exchange of a client.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The response arrives.
    Received,
    /// The server did it, and the response is lost.
    Lost,
    /// The request never arrives.
    NotSent,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Received), Just(Fate::Lost), Just(Fate::NotSent)]
}

/// A client that always brings the newest token it has received.
struct Client(u32);

impl Client {
    /// Returns whether the token was taken.
    fn renew(&mut self, kept: &mut Kept, fate: Fate) -> bool {
        if matches!(fate, Fate::NotSent) {
            return true;
        }
        let next = kept.bring(self.0);
        if let (Some(next), Fate::Received) = (next, fate) {
            self.0 = next;
        }
        next.is_some()
    }
}

proptest! {
    /// Whatever is lost, in whatever order the tabs renew, and however long they wait: who brings the
    /// newest token that it has received is never refused.
    #[test]
    fn losses_alone_never_cost_anybody_the_account(
        tabs in 1..5_usize,
        steps in vec((0..5_usize, fate(), 0..24 * HOUR), 0..OPEN_MAX - 8),
    ) {
        let mut kept = Kept::new();
        let mut clients: Vec<Client> = (0..tabs).map(|_| Client(0)).collect();
        // The tabs begin at the same moment, with the same token.
        for client in &mut clients {
            prop_assert!(client.renew(&mut kept, Fate::Received));
        }
        for (tab, fate, pause) in steps {
            kept.now += pause;
            prop_assert!(clients[tab % tabs].renew(&mut kept, fate), "tab {}", tab % tabs);
        }
    }

    /// A thief takes the newest token of an owner. As soon as one of the two has used a successor of it
    /// while the other still brings the token itself, nobody of the family is served any more.
    #[test]
    fn a_thief_and_an_owner_who_both_go_on_are_found(
        before in vec(fate(), 0..20),
        ahead in vec(fate(), 2..20),
        is_owner_first in any::<bool>(),
    ) {
        let mut kept = Kept::new();
        let mut owner = Client(0);
        for fate in before {
            prop_assert!(owner.renew(&mut kept, fate));
        }
        let mut thief = Client(owner.0);
        let (first, second) = match is_owner_first {
            true => (&mut owner, &mut thief),
            false => (&mut thief, &mut owner),
        };
        let stolen = first.0;
        for fate in ahead {
            prop_assert!(first.renew(&mut kept, fate));
        }
        // It has received a successor and has used that one.
        let has_used = kept.exchanged.iter().any(|it| *it > stolen);
        let is_served = second.renew(&mut kept, Fate::Received);
        prop_assert_eq!(is_served, !has_used);
        if has_used {
            prop_assert!(!first.renew(&mut kept, Fate::Received), "the family is revoked");
        }
    }
}
