//! `tier2`: 50,000 people on one machine, over both transports, each writing now and then.

use std::time::Duration;

use async_trait::async_trait;

use super::{Case, Round, Scale, pairs};
use crate::{
    drive,
    metric::{self, Sample},
    target::Target,
    workload::Workload,
};

/// Many people, few messages from each.
pub(super) struct Tier2 {
    workload: Workload,
}

impl Tier2 {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            workload: Workload {
                users: scale.of(50_000, 40),
                rate: scale.of(1_667.0, 100.0),
                body_bytes: 40,
                warm_up: scale.of(Duration::from_secs(10), Duration::from_millis(300)),
                measured: scale.of(Duration::from_secs(60), Duration::from_millis(1_200)),
                seed: 0,
            },
        }
    }
}

#[async_trait(?Send)]
impl Case for Tier2 {
    fn scenario(&self) -> &'static str {
        "tier2"
    }

    fn title(&self) -> String {
        let Workload { users, rate, .. } = self.workload;
        format!("{users} people, {rate} messages/s")
    }

    fn takes(&self, _target: &dyn Target) -> bool {
        true
    }

    fn mixes_transports(&self) -> bool {
        true
    }

    fn rounds_max(&self) -> u32 {
        1
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let running = target.start(&round.place).await?;
        let workload = Workload {
            seed: round.seed,
            ..self.workload
        };
        let outcome = drive::load(running.as_ref(), &workload).await?;
        running.stop().await?;
        let mut sample = pairs::sample(&outcome);
        sample.push(
            &metric::RESIDENT_PER_CONNECTION,
            outcome.window.resident_bytes as f64 / f64::from(workload.users) / 1e3,
        );
        let cpu = outcome.window.target_share() * 100.0;
        sample.push(&metric::TARGET_CPU, cpu);
        Ok(sample)
    }
}
