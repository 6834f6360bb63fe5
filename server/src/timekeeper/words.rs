//! What an operator is told about clocks.

use std::time::Duration;

use nowrong_core::{
    clock::{Beginning, Bounds, Leave, Note, Which},
    node::NodeId,
};
use nowrong_store::StoreId;

/// Why the node does not serve, or no longer: one sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoodAside(String);

impl StoodAside {
    pub(super) fn at_start(ahead_ms: i64, bounds: Bounds) -> Self {
        Self(format!(
            "the clock of this machine is {} that of `store`, more than `clock.off_max` ({}): compare both with a third one, mend the wrong one (NTP), then start again",
            apart(ahead_ms),
            span(bounds.off_max_ms),
        ))
    }

    pub(super) fn now(leave: Leave, bounds: Bounds) -> Self {
        let off_max = span(bounds.off_max_ms);
        Self(match leave {
            Leave::Machine(ahead_ms) => format!(
                "the clock of this machine is {} that of `store`, more than `clock.off_max` ({off_max}): mend it (NTP), then start this node again",
                apart(ahead_ms),
            ),
            Leave::Node(ahead_ms) => format!(
                "the time of this node is {} that of `store`, and another clock agrees with the store: start this node again, and it takes the time of the store",
                apart(ahead_ms),
            ),
            Leave::Start(back_ms) => format!(
                "the clock of this machine went back by {} soon after the start, so the time of this node is wrong: start it again",
                span(back_ms.unsigned_abs()),
            ),
        })
    }
}

pub(super) fn say_beginning(beginning: &Beginning, bounds: Bounds) {
    let Some(ahead_ms) = beginning.ahead_ms else {
        return;
    };
    let off = span(ahead_ms.unsigned_abs());
    if beginning.is_doubtful {
        let hold = span(bounds.hold_ms);
        tracing::warn!(
            "the data was last used {off} ago by the clock of this machine: if that is wrong, mend the clock within {hold} and start again; nothing is erased before that, and what has expired cannot be read"
        );
    } else {
        tracing::warn!(
            "the clock of this machine is {off} behind the data: time goes on from the data, mend the clock (NTP)"
        );
    }
}

pub(super) fn say(note: Note, bounds: Bounds, has_store_clock: bool) {
    match note {
        Note::Off(Which::Machine, ahead_ms) if has_store_clock => tracing::warn!(
            ahead_ms,
            "the clock of this machine is {} the time of the store, which counts: mend it (NTP); beyond {} this node stands aside",
            apart(ahead_ms),
            span(bounds.off_max_ms),
        ),
        Note::Off(Which::Machine, ahead_ms) => tracing::warn!(
            ahead_ms,
            "the clock of this machine was set: it is {} the time of this node",
            apart(ahead_ms),
        ),
        Note::Off(Which::Store, ahead_ms) if ahead_ms.unsigned_abs() <= bounds.off_max_ms => {
            tracing::warn!(
                ahead_ms,
                "the clock of `store` has changed: it is {} the time of this node, which follows slowly",
                apart(ahead_ms),
            );
        }
        Note::Off(Which::Store, ahead_ms) => tracing::error!(
            ahead_ms,
            "the clock of `store` has jumped: it is {} the time of this node, and nothing is swept: mend the clocks of the database's servers (NTP)",
            apart(ahead_ms),
        ),
        Note::Off(Which::Broker, ahead_ms) => tracing::warn!(
            ahead_ms,
            "the clock of Redis is {} the time of the store: mend it (NTP)",
            apart(ahead_ms),
        ),
        Note::Right(which) => tracing::info!("the clock of {} is right again", name(which)),
        Note::Held(ahead_ms) => tracing::warn!(
            ahead_ms,
            "the clock of this machine has leapt ahead by {}: if it stays so for {}, this node takes it over, and what has expired by it is erased",
            span(ahead_ms.unsigned_abs()),
            span(bounds.hold_ms),
        ),
        Note::Stepped(by_ms) => tracing::warn!(
            by_ms,
            "the time of this node went ahead by {}: the machine slept, or its clock was mended",
            span(by_ms),
        ),
    }
}

pub(super) fn say_node_apart(node: NodeId, apart_ms: i64) {
    tracing::warn!(
        %node,
        apart_ms,
        "the time of another node is {} that of this one: start it again, and see that its `store` is the same",
        apart(apart_ms),
    );
}

pub(super) fn say_replaced(known: StoreId, found: Option<StoreId>) {
    let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
    tracing::error!(
        %known,
        %found,
        "`store` holds other data than at the start of this node: it was restored or emptied; start all nodes again"
    );
}

fn name(which: Which) -> &'static str {
    match which {
        Which::Machine => "this machine",
        Which::Store => "the store",
        Which::Broker => "Redis",
    }
}

/// "3s ahead of" or "3s behind".
fn apart(ahead_ms: i64) -> String {
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    format!("{} {side}", span(ahead_ms.unsigned_abs()))
}

/// A length for people: to the second beyond ten seconds.
fn span(ms: u64) -> String {
    let exact = if ms < 10_000 { ms } else { ms / 1_000 * 1_000 };
    let span = humantime_serde::re::humantime::format_duration(Duration::from_millis(exact));
    span.to_string()
}
