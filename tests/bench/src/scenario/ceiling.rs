//! `ceiling`: the highest rate at which nothing is lost and 99 % arrive in time.

use std::time::Duration;

use async_trait::async_trait;

use super::{Case, Round, Scale};
use crate::{
    drive::{self, Outcome},
    metric::{self, Sample},
    search::Search,
    target::Target,
    workload::Workload,
};

/// "In time".
const IN_TIME_MS: f64 = 50.0;

/// The rate at which the search begins.
const START: f64 = 8_000.0;

/// How far the result may be below the lowest rate that failed, as a share.
const PRECISION: f64 = 0.10;

/// A search.
pub(super) struct Ceiling {
    scale: Scale,
}

impl Ceiling {
    pub(super) fn new(scale: Scale) -> Self {
        Self { scale }
    }

    fn workload(&self, rate: f64, seed: u64) -> Workload {
        Workload {
            // NoWrong accepts 20 messages a second from one person: enough people for 80,000 in
            // all.
            users: self.scale.of(4_000, 20),
            rate,
            body_bytes: 40,
            warm_up: self
                .scale
                .of(Duration::from_secs(1), Duration::from_millis(200)),
            measured: self
                .scale
                .of(Duration::from_secs(4), Duration::from_millis(600)),
            seed,
        }
    }
}

#[async_trait(?Send)]
impl Case for Ceiling {
    fn scenario(&self) -> &'static str {
        "ceiling"
    }

    fn title(&self) -> String {
        format!("highest rate with p99 under {IN_TIME_MS} ms")
    }

    fn takes(&self, target: &dyn Target) -> bool {
        target.is_default()
    }

    fn rounds_max(&self) -> u32 {
        // A search is many rounds.
        1
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let mut search = match self.scale {
            Scale::Full => Search::new(START, PRECISION, 9),
            Scale::Quick => Search::new(100.0, PRECISION, 2),
        };
        let mut best = None;
        let mut last_failure = None;
        while let Some(rate) = search.next_rate() {
            let running = target.start(&round.place).await?;
            let outcome = drive::load(running.as_ref(), &self.workload(rate, round.seed)).await?;
            running.stop().await?;
            let fault = fault(&outcome);
            search.record(fault.is_none());
            match fault {
                None => best = Some(outcome),
                Some(fault) => last_failure = Some(format!("at {rate:.0}/s: {fault}")),
            }
        }
        let mut sample = Sample::default();
        sample.push(&metric::CEILING, search.best().unwrap_or(0.0));
        if let Some(outcome) = best {
            sample.push(
                &metric::DELIVERY_P99,
                outcome.figures.delivery.quantile_ms(0.99),
            );
            let cpu_us = outcome.window.target.as_secs_f64() * 1e6;
            sample.push(&metric::CPU_PER_MESSAGE, outcome.window.per_message(cpu_us));
            sample.push(&metric::LAG_P99, outcome.figures.lag.quantile_ms(0.99));
            sample.push(
                &metric::GENERATOR_CPU,
                outcome.window.generator_share() * 100.0,
            );
        }
        // A quick run may be on a busy machine, whose speed says nothing.
        if self.scale == Scale::Full {
            sample.note(last_failure);
            let has_none = search.best().is_none();
            sample.note(has_none.then(|| "no rate passed".to_owned()));
        }
        Ok(sample)
    }
}

/// Why a rate does not pass; `None` when it passes. A saturated generator ends the search as well;
/// the note then says that the target was not the limit.
fn fault(outcome: &Outcome) -> Option<String> {
    let p99 = outcome.figures.delivery.quantile_ms(0.99);
    let effort = outcome.effort().complaint();
    let is_late = p99 >= IN_TIME_MS;
    let own = outcome.account.complaint();
    let late = is_late.then(|| format!("p99 {p99:.0} ms"));
    let reasons: Vec<String> = [late, own].into_iter().flatten().collect();
    if reasons.is_empty() {
        return None;
    }
    Some(
        reasons
            .into_iter()
            .chain(effort)
            .collect::<Vec<_>>()
            .join("; "),
    )
}
