//! `cluster`: as `pairs`, with partners on different nodes.

use std::time::Duration;

use async_trait::async_trait;

use super::{Case, Round, Scale, pairs};
use crate::{
    drive,
    metric::{self, Sample},
    target::Target,
    workload::Workload,
};

/// Two nodes, and the servers they need, on one core.
pub(super) struct Cluster {
    workload: Workload,
}

impl Cluster {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            workload: Workload {
                users: scale.of(1_000, 20),
                rate: scale.of(1_000.0, 100.0),
                body_bytes: 40,
                warm_up: scale.of(Duration::from_secs(2), Duration::from_millis(300)),
                measured: scale.of(Duration::from_secs(8), Duration::from_millis(1_200)),
                seed: 0,
            },
        }
    }
}

#[async_trait(?Send)]
impl Case for Cluster {
    fn scenario(&self) -> &'static str {
        "cluster"
    }

    fn title(&self) -> String {
        let Workload { users, rate, .. } = self.workload;
        format!("{users} people in pairs across two nodes, {rate} messages/s")
    }

    fn takes(&self, _target: &dyn Target) -> bool {
        true
    }

    fn spans_nodes(&self) -> bool {
        true
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
        let cpu = outcome.window.target_share() * 100.0;
        sample.push(&metric::TARGET_CPU, cpu);
        Ok(sample)
    }
}
