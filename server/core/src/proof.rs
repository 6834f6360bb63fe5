//! How much work a new account costs: little while few register, more while many do. Pure.
//!
//! A [`Pressure`] is a bucket that every new account fills and that runs out at the rate of calm times: as
//! long as it holds less than a minute of calm, the work is the operator's; beyond, it grows with what is in
//! it, up to [`PRESSURE_MAX`] times. So a rush makes accounts dearer within seconds and for as long as it
//! lasts, and an operator who expects a crowd says so with one number.

use nowrong_protocol::limits::PROOF_WORK_MAX;

/// How many times the work may grow: what takes a slow phone less than a second then takes it some ten.
pub const PRESSURE_MAX: u16 = 16;

/// Most work that an operator may ask for in calm times.
pub const WORK_MAX: u16 = PROOF_WORK_MAX / PRESSURE_MAX;

const MS_PER_MINUTE: u64 = 60_000;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofRule {
    /// Numbers to try for each one of a proof, in calm times; at most [`WORK_MAX`], 0 for no proofs.
    pub work: u16,
    /// New accounts per minute that are calm times; at least 1.
    pub calm_per_minute: u32,
}

/// How many accounts were made lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressure {
    /// Accounts, each as [`MS_PER_MINUTE`] units; runs out at `calm_per_minute` units a millisecond.
    level: u64,
    at_ms: u64,
}

impl Pressure {
    /// Notes a new account.
    pub fn add(&mut self, rule: ProofRule, now_ms: u64) {
        let calm = MS_PER_MINUTE * u64::from(rule.calm_per_minute);
        let most = calm * u64::from(PRESSURE_MAX);
        self.level = (self.level_at(rule, now_ms) + MS_PER_MINUTE).min(most);
        // A clock that went back must not empty the bucket when it goes forward again.
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// The work for the next account; 0 when the rule has none.
    pub fn work(&self, rule: ProofRule, now_ms: u64) -> u16 {
        let calm = (MS_PER_MINUTE * u64::from(rule.calm_per_minute)).max(1);
        let level = self.level_at(rule, now_ms).max(calm);
        let work = u64::from(rule.work).saturating_mul(level) / calm;
        u16::try_from(work).map_or(PROOF_WORK_MAX, |work| work.min(PROOF_WORK_MAX))
    }

    fn level_at(&self, rule: ProofRule, now_ms: u64) -> u64 {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let gone = passed_ms.saturating_mul(rule.calm_per_minute.into());
        self.level.saturating_sub(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: ProofRule = ProofRule {
        work: 200,
        calm_per_minute: 60,
    };

    fn after(accounts: u32, every_ms: u64) -> (Pressure, u64) {
        let mut pressure = Pressure::default();
        let start_ms = 1_000_000;
        let mut now_ms = start_ms;
        for _ in 0..accounts {
            now_ms += every_ms;
            pressure.add(RULE, now_ms);
        }
        (pressure, now_ms)
    }

    #[test]
    fn calm_times_cost_what_the_operator_says() {
        for (accounts, every_ms) in [(0, 0), (1, 0), (60, 0), (10_000, 1_000)] {
            let (pressure, now_ms) = after(accounts, every_ms);
            assert_eq!(
                pressure.work(RULE, now_ms),
                200,
                "{accounts} every {every_ms} ms"
            );
        }
    }

    #[test]
    fn a_rush_costs_more_up_to_a_bound_and_is_forgotten() {
        let (pressure, now_ms) = after(120, 0);
        assert_eq!(pressure.work(RULE, now_ms), 400);
        assert_eq!(pressure.work(RULE, now_ms + 30_000), 300);
        assert_eq!(pressure.work(RULE, now_ms + 60_000), 200);
        let (pressure, now_ms) = after(100_000, 1);
        assert_eq!(pressure.work(RULE, now_ms), 3_200);
        assert_eq!(pressure.work(RULE, now_ms + 16 * 60_000), 200);
    }

    #[test]
    fn a_clock_that_jumps_changes_little() {
        let (mut pressure, now_ms) = after(120, 0);
        assert_eq!(pressure.work(RULE, 0), 400, "back");
        pressure.add(RULE, 0);
        assert_eq!(pressure.work(RULE, now_ms), 403);
        assert_eq!(pressure.work(RULE, u64::MAX), 200, "ahead");
    }

    #[test]
    fn no_rule_overflows() {
        let extreme = ProofRule {
            work: WORK_MAX,
            calm_per_minute: u32::MAX,
        };
        let mut pressure = Pressure::default();
        pressure.add(extreme, u64::MAX);
        assert_eq!(pressure.work(extreme, 0), WORK_MAX);
        let none = ProofRule { work: 0, ..RULE };
        assert_eq!(after(100_000, 0).0.work(none, 1_000_000), 0);
    }
}
