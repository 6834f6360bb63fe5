//! `pairs`: people in pairs write to each other at a steady rate.

use std::time::Duration;

use async_trait::async_trait;

use super::{Case, Round, Scale};
use crate::{
    drive::{self, Outcome},
    metric::{self, Sample},
    target::Target,
    workload::Workload,
};

/// One rate.
pub(super) struct Pairs {
    workload: Workload,
}

/// The rates of the scenario.
pub(super) fn cases(scale: Scale) -> impl Iterator<Item = Pairs> {
    let rates = scale.of([Some(2_000.0), Some(10_000.0)], [Some(200.0), None]);
    rates.into_iter().flatten().map(move |rate| Pairs {
        workload: Workload {
            users: scale.of(1_000, 20),
            rate,
            body_bytes: 40,
            warm_up: scale.of(Duration::from_secs(2), Duration::from_millis(300)),
            measured: scale.of(Duration::from_secs(8), Duration::from_millis(1_200)),
            seed: 0,
        },
    })
}

#[async_trait(?Send)]
impl Case for Pairs {
    fn scenario(&self) -> &'static str {
        "pairs"
    }

    fn title(&self) -> String {
        let Workload {
            users,
            rate,
            body_bytes,
            ..
        } = self.workload;
        format!("{users} people, {rate} messages/s of {body_bytes} bytes")
    }

    fn takes(&self, _target: &dyn Target) -> bool {
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
        Ok(sample(&outcome))
    }
}

/// The figures of a run.
pub(super) fn sample(outcome: &Outcome) -> Sample {
    let (window, figures) = (&outcome.window, &outcome.figures);
    let cpu_us = window.target.as_secs_f64() * 1e6;
    let mut sample = Sample::default();
    sample.push(&metric::DELIVERED, window.delivered_per_second());
    let quantiles = [
        (0.5, &metric::DELIVERY_P50, &metric::ACK_P50),
        (0.9, &metric::DELIVERY_P90, &metric::ACK_P90),
        (0.99, &metric::DELIVERY_P99, &metric::ACK_P99),
        (0.999, &metric::DELIVERY_P999, &metric::ACK_P999),
    ];
    for (share, delivery, _) in quantiles {
        sample.push(delivery, figures.delivery.quantile_ms(share));
    }
    for (share, _, ack) in quantiles {
        sample.push(ack, figures.ack.quantile_ms(share));
    }
    sample.push(&metric::CPU_PER_MESSAGE, window.per_message(cpu_us));
    sample.push(
        &metric::BYTES_PER_MESSAGE,
        window.per_message(window.traffic.bytes as f64),
    );
    sample.push(
        &metric::PACKETS_PER_MESSAGE,
        window.per_message(window.traffic.packets as f64),
    );
    sample.push(&metric::RESIDENT, window.resident_bytes as f64 / 1e6);
    sample.push(&metric::LAG_P99, figures.lag.quantile_ms(0.99));
    sample.push(&metric::GENERATOR_CPU, window.generator_share() * 100.0);
    sample.notes = outcome.complaints();
    sample
}
