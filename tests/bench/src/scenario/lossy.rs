//! `lossy`: sparse chat over a link that loses packets. Each message has nothing behind it that would
//! show its loss, so what is lost waits for a timer: what transports differ in.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use netlab::{Conditions, Counts, INSIDE, Lab, Loss};

use super::{Case, Round, Scale};
use crate::{
    drive::{self, Outcome},
    metric::{self, Sample},
    target::{Side, Target},
    workload::Workload,
};

/// Each way. A message crosses the link twice.
const DELAY: Duration = Duration::from_millis(20);

/// What a message takes at least.
const FLOOR_MS: f64 = 40.0;

/// One share of loss.
pub(super) struct Lossy {
    loss: f64,
    workload: Workload,
}

/// The shares of the scenario.
pub(super) fn cases(scale: Scale) -> impl Iterator<Item = Lossy> {
    let shares = scale.of(&[0.0, 0.01, 0.02, 0.05][..], &[0.02][..]);
    shares.iter().map(move |loss| Lossy {
        loss: *loss,
        workload: Workload {
            users: scale.of(400, 20),
            rate: scale.of(400.0, 40.0),
            body_bytes: 60,
            warm_up: scale.of(Duration::from_secs(2), Duration::from_millis(300)),
            measured: scale.of(Duration::from_secs(20), Duration::from_millis(1_500)),
            seed: 0,
        },
    })
}

#[async_trait(?Send)]
impl Case for Lossy {
    fn scenario(&self) -> &'static str {
        "lossy"
    }

    fn title(&self) -> String {
        let (loss, users) = (self.loss * 100.0, self.workload.users);
        format!(
            "{loss} % lost each way, 40 ms there and back, {users} people, a message each second"
        )
    }

    /// What is stored where does not change what is lost.
    fn takes(&self, target: &dyn Target) -> bool {
        let is_in_memory = |name: &str| name.ends_with("-memory");
        !is_in_memory(target.name())
    }

    fn rounds_max(&self) -> u32 {
        2
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let mut lab = Lab::start(&round.place.netlab, round.seed)
            .await
            .context("`lossy` needs Linux, TUN devices and the right to make network namespaces")?;
        let conditions = Conditions {
            delay: DELAY,
            ..Conditions::default()
        };
        lab.set(conditions).await?;
        let mut place = round.place.clone();
        place.side = Side {
            address: INSIDE.into(),
            enter: lab.enter().to_vec(),
        };
        let running = target.start(&place).await?;
        let peers = drive::connect_pairs(running.as_ref(), self.workload.users).await?;
        lab.set(Conditions {
            loss: Loss::Random(self.loss),
            ..conditions
        })
        .await?;
        let before = lab.counts().await?;
        let workload = Workload {
            seed: round.seed,
            ..self.workload
        };
        let outcome = drive::load_on(running.as_ref(), peers, &workload).await?;
        let counts = lab.counts().await?.since(before);
        // Without loss, so that it ends at once.
        lab.set(conditions).await?;
        running.stop().await?;
        lab.stop().await?;
        Ok(sample(&outcome, counts))
    }
}

/// `counts` are of the whole run, as is the number of messages that they are divided by.
fn sample(outcome: &Outcome, counts: Counts) -> Sample {
    let (delivery, account) = (&outcome.figures.delivery, &outcome.account);
    let mut sample = Sample::default();
    sample.push(&metric::DELIVERED, outcome.window.delivered_per_second());
    let quantiles = [
        (0.5, &metric::DELIVERY_P50),
        (0.9, &metric::DELIVERY_P90),
        (0.99, &metric::DELIVERY_P99),
        (0.999, &metric::DELIVERY_P999),
    ];
    for (share, metric) in quantiles {
        sample.push(metric, delivery.quantile_ms(share));
    }
    let late = [(100, &metric::LATE_100), (250, &metric::LATE_250)];
    for (limit, metric) in late {
        let share = delivery.share_above(Duration::from_millis(limit));
        sample.push(metric, share * 100.0);
    }
    let per_message = |whole: u64| whole as f64 / (account.sent.max(1)) as f64;
    sample.push(&metric::BYTES_PER_MESSAGE, per_message(counts.bytes));
    sample.push(&metric::PACKETS_PER_MESSAGE, per_message(counts.packets));
    sample.push(&metric::LAG_P99, outcome.figures.lag.quantile_ms(0.99));
    sample.notes.clone_from(&outcome.faults);
    sample.note(account.complaint());
    sample.note(outcome.effort().complaint());
    let is_short = delivery.quantile_ms(0.0) < FLOOR_MS;
    let short = "messages came sooner than the link lets them: it was not in the way";
    sample.note(is_short.then(|| short.to_owned()));
    sample
}
