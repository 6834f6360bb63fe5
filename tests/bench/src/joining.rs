//! Many people join categories by a schedule, each once; measured is the time until each knows of a
//! match.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nowrong_protocol::{ChatId, frame::ChatState};
use tokio::{sync::oneshot, task::JoinSet, time::timeout};

use crate::{
    arrivals::Arrivals,
    drive::{self, Parked},
    latencies::Latencies,
    target::nowrong::Person,
};

/// Time from the last join to the end; people who still wait then found nobody.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// A person's match.
#[derive(Clone, Debug)]
pub struct Match {
    /// The chat, as the person was shown it.
    pub chat: ChatState,
    /// When the person was due to join, from the start.
    pub due: Duration,
    /// When the match was known.
    pub at: Duration,
}

/// Lets people join, `rate` a second on average, in random categories. Returns the people who were
/// matched, still connected.
///
/// # Errors
/// When nobody joins, or a task fails; an unmatched person is not an error.
pub async fn join_all(
    people: Vec<Parked<Person>>,
    categories: &[String],
    rate: f64,
    seed: u64,
) -> anyhow::Result<Vec<(Match, Person)>> {
    let started = Instant::now() + Duration::from_millis(100);
    let long_enough = Duration::from_secs_f64(people.len() as f64 / rate * 2.0 + 10.0);
    // The next person is due each time; the user number of the schedule stands for the category.
    let arrivals = Arrivals::new(rate, categories.len() as u32, long_enough, seed);
    let arrivals: Vec<_> = arrivals.take(people.len()).collect();
    let last = arrivals.last().context("nobody joins")?.at;
    let mut tasks = JoinSet::new();
    let mut triggers = Vec::new();
    for (person, arrival) in people.into_iter().zip(&arrivals) {
        let (trigger, triggered) = oneshot::channel();
        triggers.push(trigger);
        let category = categories[arrival.user as usize].clone();
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
    // Connections are kept to the end: closing one would send its partner a frame.
    let mut matched = Vec::new();
    let end = (started + last + END_DEADLINE).into();
    while let Ok(Some(joined)) = tokio::time::timeout_at(end, tasks.join_next()).await {
        matched.extend(joined.context("a person's task failed")?);
    }
    tasks.shutdown().await;
    Ok(matched)
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
        .ok()?;
    let at = started.elapsed();
    Some((Match { chat, due, at }, person))
}

/// The time from the later of the two joins until each knew of the match: before that nobody could
/// have matched them.
pub fn since_both_were_there<'a>(matches: impl Iterator<Item = &'a Match> + Clone) -> Latencies {
    let mut later: HashMap<ChatId, Duration> = HashMap::new();
    for one in matches.clone() {
        let due = later.entry(one.chat.chat).or_default();
        *due = one.due.max(*due);
    }
    let mut latencies = Latencies::default();
    for one in matches {
        latencies.record(one.at.saturating_sub(later[&one.chat.chat]));
    }
    latencies
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::{Framed, Position, frame::Why};

    use super::*;

    fn one(chat: u8, due: u64, at: u64) -> Match {
        let chat = ChatState {
            chat: ChatId::from_bytes([chat; 16]),
            category: String::new(),
            members: Vec::new(),
            you: 0,
            why: Framed(Why::default()),
            head: Position::START,
            resumed: Position::START,
            unread: 0,
            started_at_ms: 0,
            expires_at_ms: 0,
        };
        Match {
            chat,
            due: Duration::from_millis(due),
            at: Duration::from_millis(at),
        }
    }

    #[test]
    fn time_counts_from_when_both_were_there() {
        let matches = [
            one(1, 100, 2_010),
            one(1, 2_000, 2_010),
            one(2, 50, 80),
            one(2, 50, 90),
        ];
        let latencies = since_both_were_there(matches.iter());
        assert_eq!(latencies.count(), 4);
        assert_eq!(latencies.quantile_ms(0.5).round(), 10.0);
        assert_eq!(latencies.max_ms().round(), 40.0);
    }
}
