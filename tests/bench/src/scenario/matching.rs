//! `match`: people join categories one after the other, as they come; arriving is trying.

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nowrong_protocol::ChatId;
use tokio::{sync::oneshot, task::JoinSet, time::timeout};

use super::{Case, Round, Scale};
use crate::{
    arrivals::Arrivals,
    drive::{self, Parked},
    latencies::Latencies,
    metric::{self, Sample},
    target::{NoWrong, Place, Storage, Target, nowrong::Person},
};

const CATEGORIES: u32 = 20;

const CONNECTING_MAX: usize = 32;

/// Time from the last one who joins to the end; who waits then found nobody.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// People who join.
pub(super) struct Matching {
    people: u32,
    /// How many join per second.
    rate: f64,
}

impl Matching {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            people: scale.of(10_000, 60),
            rate: scale.of(1_000.0, 100.0),
        }
    }
}

#[async_trait(?Send)]
impl Case for Matching {
    fn scenario(&self) -> &'static str {
        "match"
    }

    fn title(&self) -> String {
        let Self { people, rate } = self;
        format!("{people} people join {CATEGORIES} categories, {rate}/s")
    }

    fn takes(&self, target: &dyn Target) -> bool {
        let storage = target.as_nowrong().map(NoWrong::storage);
        target.is_default() && storage == Some(Storage::Disk)
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let target = target.as_nowrong().context("only NoWrong matches people")?;
        let categories = write_categories(&round.place)?;
        let running = target.start_with(&round.place, Some(&categories)).await?;
        let arriving = stream::iter(0..self.people).map(|_| async {
            let mut person = running.arrive().await?;
            person.welcomed().await?;
            anyhow::Ok(Parked::new(person))
        });
        let people = arriving.buffered(CONNECTING_MAX).try_collect().await?;
        let matches = self.join_all(people, round.seed).await?;
        running.end().await?;
        Ok(self.sample(&matches))
    }
}

/// A person's match.
#[derive(Clone, Copy, Debug)]
struct Match {
    chat: ChatId,
    /// When the person was due to join, from the start.
    due: Duration,
    /// When the match was known.
    at: Duration,
}

impl Matching {
    async fn join_all(&self, people: Vec<Parked<Person>>, seed: u64) -> anyhow::Result<Vec<Match>> {
        let started = Instant::now() + Duration::from_millis(100);
        let long_enough = Duration::from_secs_f64(f64::from(self.people) / self.rate * 2.0 + 10.0);
        // The one who is due is the next person; whose turn the schedule gives out is the category.
        let arrivals = Arrivals::new(self.rate, CATEGORIES, long_enough, seed);
        let arrivals: Vec<_> = arrivals.take(people.len()).collect();
        let last = arrivals.last().context("nobody joins")?.at;
        let mut tasks = JoinSet::new();
        let mut triggers = Vec::new();
        for (person, arrival) in people.into_iter().zip(&arrivals) {
            let (trigger, triggered) = oneshot::channel();
            triggers.push(trigger);
            let category = format!("bench-{}", arrival.user);
            tasks.spawn_local(join(person, category, triggered, (started, arrival.at)));
        }
        let mut triggers = triggers.into_iter();
        let mut batches = drive::pace(arrivals.into_iter(), started);
        while let Some(batch) = batches.recv().await {
            for trigger in triggers.by_ref().take(batch.len()) {
                // A person whose connection broke is not matched, which the figures show.
                let _ = trigger.send(());
            }
        }
        // Connections are kept to the end: a closed one would give its partner something to hear.
        let (mut matches, mut people) = (Vec::new(), Vec::new());
        let end = (started + last + END_DEADLINE).into();
        while let Ok(Some(joined)) = tokio::time::timeout_at(end, tasks.join_next()).await {
            if let Some((one, person)) = joined.context("a person's task failed")? {
                matches.push(one);
                people.push(person);
            }
        }
        tasks.shutdown().await;
        Ok(matches)
    }

    fn sample(&self, matches: &[Match]) -> Sample {
        let latencies = since_both_were_there(matches);
        let mut sample = Sample::default();
        sample.push(&metric::MATCHED, matches.len() as f64);
        sample.push(
            &metric::WAITING,
            f64::from(self.people) - matches.len() as f64,
        );
        sample.push(&metric::MATCH_P50, latencies.quantile_ms(0.5));
        sample.push(&metric::MATCH_P99, latencies.quantile_ms(0.99));
        sample.push(&metric::MATCH_MAX, latencies.max_ms());
        // With one person too many in each category.
        let waiting = f64::from(self.people) - matches.len() as f64;
        if waiting > f64::from(CATEGORIES) {
            sample.note(Some(format!("{waiting} people were not matched")));
        }
        sample
    }
}

/// Waits for the turn, joins, and waits for the match; `None` when there is none.
async fn join(
    parked: Parked<Person>,
    category: String,
    triggered: oneshot::Receiver<()>,
    (started, due): (Instant, Duration),
) -> Option<(Match, Person)> {
    triggered.await.ok()?;
    let mut person = parked.take().await.ok()?;
    person.join(&category, Vec::new()).await.ok()?;
    let chat = timeout(END_DEADLINE * 4, person.matched())
        .await
        .ok()?
        .ok()?
        .chat;
    let at = started.elapsed();
    Some((Match { chat, due, at }, person))
}

/// From the later of the two wishes to join until each knew of the match: before that nobody could
/// have matched them.
fn since_both_were_there(matches: &[Match]) -> Latencies {
    let mut later: HashMap<ChatId, Duration> = HashMap::new();
    for one in matches {
        let due = later.entry(one.chat).or_default();
        *due = one.due.max(*due);
    }
    let mut latencies = Latencies::default();
    for one in matches {
        latencies.record(one.at.saturating_sub(later[&one.chat]));
    }
    latencies
}

fn write_categories(place: &Place) -> anyhow::Result<PathBuf> {
    let mut text = String::new();
    for number in 0..CATEGORIES {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[category]]\nid = \"bench-{number}\"\ntitle = \"Bench {number}\"\n\
             description = \"For the bench.\"\nemoji = \"⏱\"\n\n"
        );
    }
    let path = place.scratch.join("categories.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_when_both_were_there() {
        let one = |chat, due, at| Match {
            chat: ChatId::from_bytes([chat; 16]),
            due: Duration::from_millis(due),
            at: Duration::from_millis(at),
        };
        let matches = [
            one(1, 100, 2_010),
            one(1, 2_000, 2_010),
            one(2, 50, 80),
            one(2, 50, 90),
        ];
        let latencies = since_both_were_there(&matches);
        assert_eq!(latencies.count(), 4);
        assert_eq!(latencies.quantile_ms(0.5).round(), 10.0);
        assert_eq!(latencies.max_ms().round(), 40.0);
    }
}
