//! `rest`: requests at a steady rate, and the list of categories as fast as possible.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_trait::async_trait;
use nowrong_client::{Api, ApiError, NewAccount, User};
use tokio::task::JoinSet;

use super::{Case, Round, Scale};
use crate::{
    arrivals::Arrivals,
    drive,
    latencies::Latencies,
    metric::{self, Metric, Sample},
    target::{NoWrong, Storage, Target, Transport, nowrong::RunningNoWrong},
};

/// Accounts that ask for connections.
const ACCOUNTS: u32 = 50;

/// Requests under way at one time when going as fast as possible.
const FLAT_OUT: u32 = 32;

/// The kinds of requests, in equal shares, by the user numbers of the schedule.
const KINDS: [&Metric; 3] = [
    &metric::REGISTER_P99,
    &metric::CATEGORIES_P99,
    &metric::CONNECT_P99,
];

/// Requests per second, and for how long.
pub(super) struct Rest {
    rate: f64,
    length: Duration,
    flat_out: Duration,
}

impl Rest {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            rate: scale.of(500.0, 60.0),
            length: scale.of(Duration::from_secs(10), Duration::from_secs(1)),
            flat_out: scale.of(Duration::from_secs(4), Duration::from_millis(300)),
        }
    }
}

#[derive(Default)]
struct Asked {
    latencies: [Latencies; KINDS.len()],
    failures: u32,
    why: Option<ApiError>,
}

#[async_trait(?Send)]
impl Case for Rest {
    fn scenario(&self) -> &'static str {
        "rest"
    }

    fn title(&self) -> String {
        format!("{} requests/s", self.rate)
    }

    fn takes(&self, target: &dyn Target) -> bool {
        // REST is the same with either transport.
        let kind = target.as_nowrong().map(|it| (it.transport(), it.storage()));
        target.is_default() && kind == Some((Transport::WebSocket, Storage::Disk))
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let target: &NoWrong = target.as_nowrong().context("only NoWrong has this REST")?;
        let running = target.start_with(&round.place, None).await?;
        let asked = self.ask_at_rate(&running, round.seed).await?;
        let mut sample = Sample::default();
        for (metric, latencies) in KINDS.iter().zip(&asked.latencies) {
            sample.push(metric, latencies.quantile_ms(0.99));
        }
        sample.push(
            &metric::CATEGORIES_RATE,
            self.ask_flat_out(running.api()).await?,
        );
        sample.note(
            asked
                .why
                .map(|why| format!("{} requests failed: {why}", asked.failures)),
        );
        running.end().await?;
        Ok(sample)
    }
}

impl Rest {
    async fn ask_at_rate(&self, running: &RunningNoWrong, seed: u64) -> anyhow::Result<Asked> {
        let mut users = Vec::new();
        for _ in 0..ACCOUNTS {
            let account = NewAccount::named(running.fresh_name());
            users.push(running.api().register(&account).await?);
        }
        let asked = Rc::new(RefCell::new(Asked::default()));
        let started = Instant::now() + Duration::from_millis(20);
        let kinds = KINDS.len() as u32;
        let mut batches = drive::pace(Arrivals::new(self.rate, kinds, self.length, seed), started);
        let mut tasks = JoinSet::new();
        let mut users = users.iter().cycle();
        while let Some(batch) = batches.recv().await {
            for arrival in batch {
                let user = users.next().context("there are accounts")?.clone();
                let name = running.fresh_name();
                let asked = asked.clone();
                tasks.spawn_local(async move {
                    let outcome = ask(arrival.user, user, name).await;
                    let latency = started.elapsed().saturating_sub(arrival.at);
                    let mut asked = asked.borrow_mut();
                    match outcome {
                        Ok(()) => asked.latencies[arrival.user as usize].record(latency),
                        Err(error) => {
                            asked.failures += 1;
                            asked.why = Some(error);
                        }
                    }
                });
            }
        }
        // Each request has its deadline.
        while tasks.join_next().await.is_some() {}
        Ok(asked.take())
    }

    async fn ask_flat_out(&self, api: &Api) -> anyhow::Result<f64> {
        let answers = Rc::new(Cell::new(0_u32));
        let end = Instant::now() + self.flat_out;
        let mut tasks = JoinSet::new();
        for _ in 0..FLAT_OUT {
            let (api, answers) = (api.clone(), answers.clone());
            tasks.spawn_local(async move {
                while Instant::now() < end {
                    api.categories().await?;
                    answers.set(answers.get() + 1);
                }
                Ok::<_, ApiError>(())
            });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome??;
        }
        Ok(f64::from(answers.get()) / self.flat_out.as_secs_f64())
    }
}

async fn ask(kind: u32, user: User, name: String) -> Result<(), ApiError> {
    match kind {
        0 => user
            .api()
            .register(&NewAccount::named(name))
            .await
            .map(drop),
        1 => user.api().categories().await.map(drop),
        _ => user.connect().await.map(drop),
    }
}
