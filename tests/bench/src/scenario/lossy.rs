//! `lossy`: sparse chat over a link that loses packets. No packet follows a message soon enough to
//! show its loss, so a lost message waits for a timer, and this is where transports differ.

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

/// Delay of the link each way. A message crosses it twice.
const DELAY: Duration = Duration::from_millis(20);

/// The least time that a message takes.
const FLOOR_MS: f64 = 40.0;

/// The loss of the link at first, heavy, so that a target learns that its links lose packets before
/// the counted time begins; otherwise it would take minutes.
const LESSON: Loss = Loss::Random(0.2);

/// One kind of loss.
pub(super) struct Lossy {
    loss: Loss,
    lesson: Duration,
    workload: Workload,
}

/// The kinds of the scenario.
pub(super) fn cases(scale: Scale) -> impl Iterator<Item = Lossy> {
    let spells = Loss::Spells {
        share: 0.02,
        mean: Duration::from_millis(50),
    };
    let full = [
        Loss::None,
        Loss::Random(0.01),
        Loss::Random(0.02),
        Loss::Random(0.05),
        spells,
    ];
    let kinds = scale.of(full.to_vec(), vec![Loss::Random(0.02)]);
    kinds.into_iter().map(move |loss| Lossy {
        loss,
        lesson: scale.of(Duration::from_secs(8), Duration::from_millis(300)),
        workload: Workload {
            users: scale.of(400, 20),
            rate: scale.of(400.0, 40.0),
            body_bytes: 60,
            warm_up: scale.of(Duration::from_secs(12), Duration::from_millis(600)),
            measured: scale.of(Duration::from_secs(15), Duration::from_millis(1_500)),
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
        let users = self.workload.users;
        let loss = match self.loss {
            Loss::None => "nothing lost".to_owned(),
            Loss::Random(share) => format!("{} % lost each way", share * 100.0),
            Loss::Spells { share, mean } => {
                format!(
                    "dead {} % of the time, {mean:?} long, each way",
                    share * 100.0
                )
            }
        };
        format!("{loss}, 40 ms there and back, {users} people, a message each second")
    }

    /// Storage and clustering do not change the losses, and bare relays lose the same as Socket.IO.
    fn takes(&self, target: &dyn Target) -> bool {
        let name = target.name();
        !name.ends_with("-memory") && !name.ends_with("-redis") && !name.starts_with("relay-")
    }

    fn loses_packets(&self) -> bool {
        true
    }

    fn rounds_max(&self) -> u32 {
        // The figures depend on the link, which has the same losses in each round, and not on the
        // machine.
        1
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
        let workload = Workload {
            seed: round.seed,
            ..self.workload
        };
        let losing = async {
            if self.loss != Loss::None {
                let loss = LESSON;
                lab.set(Conditions { loss, ..conditions }).await?;
                tokio::time::sleep(self.lesson).await;
            }
            let loss = self.loss;
            lab.set(Conditions { loss, ..conditions }).await?;
            lab.counts().await
        };
        let load = drive::load_on(running.as_ref(), peers, &workload);
        let (outcome, before) = tokio::join!(load, losing);
        let (outcome, counts) = (outcome?, lab.counts().await?.since(before?));
        // Without loss, so that the run ends at once.
        lab.set(conditions).await?;
        running.stop().await?;
        lab.stop().await?;
        let lesson = self.lesson.as_secs_f64();
        let lesson = if self.loss == Loss::None { 0.0 } else { lesson };
        let share = 1.0 - lesson / workload.length().as_secs_f64();
        Ok(sample(&outcome, counts, share))
    }
}

/// `counts` are those after the initial heavy loss; `share` of the messages were sent in that time.
fn sample(outcome: &Outcome, counts: Counts, share: f64) -> Sample {
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
    let per_message = |whole: u64| whole as f64 / (account.sent.max(1) as f64 * share);
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
