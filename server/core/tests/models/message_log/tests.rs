//! The model with all rules, and without each one.

use super::{properties::*, *};
use crate::checker::{STUCK, check};

/// A message of each member.
const TWO: Bounds = Bounds {
    senders: &[0, 1],
    crashes: 0,
    failovers: 0,
    moves: 0,
    trims: 0,
    erasures: 0,
    epochs_max: 3,
};

/// A single message.
const ONE: Bounds = Bounds {
    senders: &[0],
    ..TWO
};

const FAILOVER: Bounds = Bounds {
    failovers: 1,
    ..TWO
};

const ERASURE: Bounds = Bounds { erasures: 1, ..TWO };

const CRASH_AND_FAILOVER: Bounds = Bounds {
    crashes: 1,
    ..FAILOVER
};

#[test]
fn three_messages_without_faults() {
    holds(Bounds {
        senders: &[0, 0, 1],
        ..TWO
    });
}

#[test]
fn a_node_crashes() {
    holds(Bounds { crashes: 1, ..TWO });
}

#[test]
fn redis_fails_over() {
    holds(FAILOVER);
}

#[test]
fn redis_fails_over_twice() {
    holds(Bounds {
        failovers: 2,
        epochs_max: 4,
        ..ONE
    });
}

#[test]
fn a_node_crashes_and_redis_fails_over() {
    holds(Bounds {
        senders: &[0],
        ..CRASH_AND_FAILOVER
    });
}

#[test]
fn a_client_moves_and_redis_fails_over() {
    holds(Bounds {
        moves: 1,
        failovers: 1,
        ..ONE
    });
}

#[test]
fn a_client_moves_and_a_node_crashes() {
    holds(Bounds {
        moves: 1,
        crashes: 2,
        ..ONE
    });
}

#[test]
fn the_log_drops_what_is_not_durable() {
    holds(Bounds { trims: 1, ..TWO });
}

#[test]
fn the_store_erases_the_chat() {
    holds(ERASURE);
}

#[test]
fn the_store_erases_the_chat_and_redis_fails_over() {
    holds(Bounds {
        senders: &[0],
        failovers: 1,
        ..ERASURE
    });
}

fn holds(bounds: Bounds) {
    let without = None;
    let checked = check(&MessageLog { bounds, without }).unwrap();
    println!("{bounds:?}: {checked}");
}

#[test]
fn what_redis_forgets_needs_a_new_epoch() {
    breaks(Rule::BindLogToMaster, FAILOVER, DIVERGED);
    breaks(Rule::SeedOwnEpoch, FAILOVER, DIVERGED);
    breaks(Rule::SeedNewerOnly, FAILOVER, DIVERGED);
    breaks(Rule::FenceAppend, FAILOVER, TWICE);
    breaks(Rule::FenceRead, FAILOVER, DIVERGED);
    breaks(Rule::IgnoreOldInbox, FAILOVER, TWICE);
}

#[test]
fn what_was_sent_again_must_be_known() {
    breaks(Rule::KnowAppended, TWO, TWICE);
    breaks(Rule::KnowStored, FAILOVER, TWICE);
    breaks(Rule::ReadKnownAfterBase, FAILOVER, TWICE);
}

#[test]
fn the_store_must_have_no_hole() {
    breaks(Rule::StoreWholeRun, TWO, HOLE);
    breaks(Rule::StoreAscending, CRASH_AND_FAILOVER, HOLE);
    let two_failovers = Bounds {
        failovers: 2,
        ..TWO
    };
    breaks(Rule::BaseOfSurvivors, two_failovers, HOLE);
}

#[test]
fn a_late_write_must_not_be_acked() {
    breaks(Rule::AckDurable, TWO, ACKED_LOST);
    breaks(Rule::RecheckEpoch, FAILOVER, NOT_DURABLE);
    breaks(Rule::RecheckChat, ERASURE, NOT_DURABLE);
    breaks(Rule::IgnoreVoid, FAILOVER, NOT_DURABLE);
    breaks(Rule::MessagesThenEpochs, CRASH_AND_FAILOVER, NOT_DURABLE);
    breaks(Rule::BumpThenBase, FAILOVER, ACKED_LOST);
    breaks(Rule::SetBaseOnce, FAILOVER, DIVERGED);
}

#[test]
fn clients_must_follow_the_epochs() {
    breaks(Rule::CheckLog, TWO, STUCK);
    breaks(Rule::Truncate, FAILOVER, TORN);
    let moving = Bounds {
        moves: 1,
        ..FAILOVER
    };
    breaks(Rule::FollowClient, moving, TORN);
}

/// Without the rule there is a counterexample.
fn breaks(rule: Rule, bounds: Bounds, property: &str) {
    let without = Some(rule);
    let violation = check(&MessageLog { bounds, without }).unwrap_err();
    assert_eq!(violation.property, property, "{violation:?}");
    println!("without {rule:?}: {property} ({violation})");
}
