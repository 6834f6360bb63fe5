//! The longer a ticket waits, the more people it accepts.

use nowrong_protocol::frame::Stage;

/// Waiting times in milliseconds at which a ticket begins to accept anyone of its language, anyone
/// of its category, and recent partners too.
pub const WIDENING_MS: [u64; 3] = [3_000, 8_000, 15_000];

/// How often a ticket at the last stage is retried, in milliseconds. Other tickets at the last
/// stage find it by their own retries; this covers tickets that they did not look at, and tickets
/// that came back.
pub const RETRY_INTERVAL_MS: u64 = 5_000;

/// The stage of a ticket that has waited since `since_ms`. If the clock went backwards, it is the
/// first.
pub fn stage_at(since_ms: u64, now_ms: u64) -> Stage {
    let waited = now_ms.saturating_sub(since_ms);
    match WIDENING_MS.iter().filter(|after| waited >= **after).count() {
        0 => Stage::Interests,
        1 => Stage::Language,
        2 => Stage::Category,
        _ => Stage::Anyone,
    }
}

/// When to retry a ticket that has waited since `since_ms`: when it widens next, and at the last
/// stage every [`RETRY_INTERVAL_MS`]. Always after `now_ms`.
pub fn next_retry_ms(since_ms: u64, now_ms: u64) -> u64 {
    let waited = now_ms.saturating_sub(since_ms);
    let widens = WIDENING_MS.into_iter().find(|after| waited < *after);
    let after = widens
        .unwrap_or_else(|| (waited - waited % RETRY_INTERVAL_MS).saturating_add(RETRY_INTERVAL_MS));
    since_ms.saturating_add(after)
}

/// The rank of a stage; unknown stages of newer versions rank as the first.
pub(super) fn rank(stage: Stage) -> usize {
    match stage {
        Stage::Interests | Stage::Unknown(_) => 0,
        Stage::Language => 1,
        Stage::Category => 2,
        Stage::Anyone => 3,
    }
}

/// The newest `since_ms` of tickets that have reached the stage of this rank; `None` when no ticket
/// can have.
pub(super) fn since_of(rank: usize, now_ms: u64) -> Option<u64> {
    match rank {
        0 => Some(u64::MAX),
        _ => now_ms.checked_sub(WIDENING_MS[rank - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_widens_at_3_8_and_15_seconds() {
        for (waited, stage, next) in [
            (0, Stage::Interests, 3_000),
            (2_999, Stage::Interests, 3_000),
            (3_000, Stage::Language, 8_000),
            (7_999, Stage::Language, 8_000),
            (8_000, Stage::Category, 15_000),
            (15_000, Stage::Anyone, 20_000),
            (19_999, Stage::Anyone, 20_000),
            (20_000, Stage::Anyone, 25_000),
        ] {
            let since = 1_000_000;
            assert_eq!(stage_at(since, since + waited), stage, "{waited}");
            assert_eq!(
                next_retry_ms(since, since + waited),
                since + next,
                "{waited}"
            );
            for r in 0..=3 {
                let has_reached = since_of(r, since + waited).is_some_and(|max| since <= max);
                assert_eq!(has_reached, rank(stage) >= r, "{waited} {r}");
            }
        }
        assert_eq!(stage_at(5, 0), Stage::Interests);
        assert_eq!(since_of(1, 2_999), None);
    }
}
