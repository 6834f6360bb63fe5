//! The model with all rules, and without each one.

use super::{properties::*, *};
use crate::checker::{STUCK, check};

/// Three users who would all chat with each other, and no faults.
const CALM: Bounds = Bounds {
    ages: [0; USERS],
    users: 3,
    tickets: 3,
    cancels: 0,
    leaves: 0,
    blocks: 0,
    pauses: 0,
    moves: 0,
    crashes: 0,
    failovers: 0,
};

const CANCEL: Bounds = Bounds { cancels: 1, ..CALM };

const CRASH: Bounds = Bounds { crashes: 1, ..CALM };

const FAILOVER: Bounds = Bounds {
    failovers: 1,
    ..CALM
};

const MOVE: Bounds = Bounds { moves: 1, ..CALM };

#[test]
fn two_users_and_everything_but_a_crash() {
    holds(Bounds {
        users: 2,
        cancels: 1,
        leaves: 1,
        blocks: 1,
        pauses: 1,
        moves: 1,
        failovers: 1,
        ..CALM
    });
}

#[test]
fn a_node_crashes_and_redis_fails_over_while_a_user_cancels() {
    holds(Bounds {
        users: 2,
        cancels: 1,
        failovers: 1,
        ..CRASH
    });
}

#[test]
fn a_node_crashes_and_another_is_slow_between_two_age_brackets() {
    holds(Bounds {
        ages: [0, 1, 0],
        pauses: 1,
        ..CRASH
    });
}

#[test]
fn a_node_crashes_while_a_chat_ends() {
    holds(Bounds {
        leaves: 1,
        tickets: 4,
        ..CRASH
    });
}

#[test]
fn a_node_is_slow_and_redis_fails_over_while_a_user_cancels() {
    holds(Bounds {
        pauses: 1,
        failovers: 1,
        ..CANCEL
    });
}

#[test]
fn a_user_moves_and_cancels_while_a_node_is_slow() {
    holds(Bounds {
        pauses: 1,
        moves: 1,
        ..CANCEL
    });
}

#[test]
fn a_user_moves_and_cancels_while_redis_fails_over() {
    holds(Bounds {
        moves: 1,
        failovers: 1,
        ..CANCEL
    });
}

#[test]
fn a_user_moves_and_cancels_while_a_chat_ends() {
    holds(Bounds {
        moves: 1,
        leaves: 1,
        tickets: 4,
        ..CANCEL
    });
}

#[test]
fn a_block_is_made_while_a_user_moves() {
    holds(Bounds { blocks: 1, ..MOVE });
}

#[test]
fn a_second_ticket_of_a_user_harms_nobody() {
    let bounds = Bounds {
        cancels: 1,
        tickets: 4,
        ..MOVE
    };
    let without = vec![Rule::OneTicket];
    let checked = check(&Matcher { bounds, without }).unwrap();
    println!("without OneTicket, {bounds:?}: {checked}");
}

fn holds(bounds: Bounds) {
    let without = Vec::new();
    let checked = check(&Matcher { bounds, without }).unwrap();
    println!("{bounds:?}: {checked}");
}

#[test]
fn g6_a_chat_is_opened_in_one_step_or_people_are_locked_out() {
    let two = Bounds { users: 2, ..CRASH };
    breaks(&[Rule::OpenAtomically], two, STUCK);
}

#[test]
fn g6_a_claim_that_lapses_puts_a_user_into_two_chats() {
    breaks(&[Rule::OpenAtomically, Rule::KeepClaims], CALM, TWO_CHATS);
}

#[test]
fn g6_the_store_decides() {
    let leave = Bounds { leaves: 1, ..CALM };
    breaks(&[Rule::OneSeat], MOVE, TWO_CHATS);
    breaks(&[Rule::CancelInStore], CANCEL, BOTH_WON);
    breaks(&[Rule::SpendTicket], leave, USED_TWICE);
}

#[test]
fn g6_tickets_end_with_their_lease() {
    breaks(&[Rule::SkipLapsed], CRASH, GHOST);
    breaks(&[Rule::FreshIdentity], CRASH, GHOST);
}

#[test]
fn g7_who_must_not_meet_is_checked_twice() {
    let block = Bounds { blocks: 1, ..CALM };
    breaks(&[Rule::CheckBlocksAtOpen], block, BLOCKED_MET);
    let ages = Bounds {
        ages: [0, 1, 0],
        ..CALM
    };
    breaks(&[Rule::CheckAges], ages, WRONG_AGE);
}

#[test]
fn the_queue_has_who_waits_and_nobody_else() {
    let two = Bounds {
        users: 2,
        ..FAILOVER
    };
    breaks(&[Rule::EnterAgain], two, STUCK);
    breaks(&[Rule::OwnerEnters], CANCEL, STUCK);
    let cancel = Bounds {
        cancels: 1,
        ..FAILOVER
    };
    breaks(&[Rule::BindQueueToMaster], cancel, STUCK);
    breaks(&[Rule::KeepTime], FAILOVER, TIME_LOST);
}

/// Without the rules there is a counterexample.
fn breaks(without: &[Rule], bounds: Bounds, property: &str) {
    let without = without.to_vec();
    let violation = check(&Matcher { bounds, without }).unwrap_err();
    assert_eq!(violation.property, property, "{violation:?}");
    println!("{property} ({violation})");
}
