//! People chat, come and go while things break, or while nodes are restarted one after the other.
//! Then everything is repaired, everybody reads back their chats, and the checker judges.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use super::Say;
use crate::{
    aftermath,
    checker::{Breach, check},
    cluster::{Cluster, RedisKind, Shape},
    crew::Crew,
    diary::Diary,
    door::Door,
    faults::{self, FaultLog},
    guest::{GaveUp, Slowest},
    pair::{self, Member},
    report,
    schedule::Schedule,
    wanderer::{self, Wanderer},
};

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers.
    pub shape: Shape,
    /// Seed of the faults and the people.
    pub seed: u64,
    /// What happens to the servers.
    pub trouble: Trouble,
    /// How many pairs.
    pub pairs: usize,
    /// How many people come and go.
    pub wanderers: usize,
    /// Where data and reports go.
    pub out: PathBuf,
}

/// What happens to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Faults by the schedule, for this long.
    Faults(Duration),
    /// Each node is stopped and started again, one after the other.
    Rolling,
}

/// Pairs that meet at one time.
const MEETING_MAX: usize = 8;

/// How often a line of progress is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Most messages of one member: a chat holds at most 10,000.
const MESSAGES_MAX: u32 = 4_000;

/// The longest pause between two messages of one member, in a short run.
const PAUSE_MAX: Duration = Duration::from_millis(1_500);

/// The same while nodes are restarted: short, so that an interruption shows.
const ROLLING_PAUSE_MAX: Duration = Duration::from_millis(200);

/// How long the burst of arrivals lasts: it is not a fault, and its waits are not counted.
const ARRIVAL: Duration = Duration::from_secs(3);

/// The file of the faults and of the long waits, in the folder for reports.
const WAITS: &str = "long waits";

/// Runs the plan.
///
/// # Errors
/// When a promise was broken, or the run was not possible.
pub async fn run(plan: &Plan, say: Say) -> anyhow::Result<()> {
    say(format!("seed {}", plan.seed));
    std::fs::create_dir_all(&plan.out)?;
    let cluster = Cluster::start(&plan.shape).await?;
    let nodes = cluster.addresses();
    let door = Door::open(&nodes).await?;
    let crew = Arc::new(Crew::new(&door.url(), plan.seed, pause_max(plan.trouble))?);
    let members = gather(&crew, plan.pairs).await?;
    let wanderers = arrive(&crew, plan).await?;
    say(format!(
        "{} pairs chat, {} people come and go",
        plan.pairs, plan.wanderers
    ));

    let faults = Arc::new(FaultLog::default());
    let progress = JoinSet::from_iter([show_progress(crew.clone(), faults.clone(), say)]);
    let talking = all(members, Member::talk);
    let wandering = all(wanderers, Wanderer::wander);
    sleep(ARRIVAL).await;
    crew.is_timing.store(true, Ordering::Relaxed);
    let cluster = trouble(plan, cluster, faults.clone()).await?;
    crew.quiet.cancel();
    say("everything is repaired, everybody finishes".to_owned());

    let (members, mut diaries) = sort(joined(talking).await?);
    let (members, gave_up) = sort(joined(all(members, Member::last_word)).await?);
    diaries.extend(gave_up);
    diaries.extend(joined(wandering).await?);
    let read = joined(all(members, Member::read_back)).await?;
    let mut slowest: Vec<Slowest> = read.iter().map(|(_, slowest)| *slowest).collect();
    diaries.extend(read.into_iter().map(|(diary, _)| diary));
    let aftermath = aftermath::inspect(&crew, &nodes).await?;
    drop(progress);

    say(summary(&crew, &faults, &mut slowest));
    if plan.shape.has_clocks {
        let times = cluster.times_stood_aside();
        say(format!(
            "nodes stood aside for their clocks, and said so: {times} times"
        ));
    }
    let waits = report::waits(&crew, &faults.all(), &diaries);
    std::fs::write(plan.out.join(WAITS), waits)?;
    let breaches = check(&diaries, &aftermath);
    say(report::verdict(&breaches));
    judge(plan, &breaches, &diaries, &cluster)
}

fn pause_max(trouble: Trouble) -> Duration {
    match trouble {
        // The average pause is half of the longest.
        Trouble::Faults(time) => PAUSE_MAX.max(time * 2 / MESSAGES_MAX),
        Trouble::Rolling => ROLLING_PAUSE_MAX,
    }
}

async fn gather(crew: &Arc<Crew>, pairs: usize) -> anyhow::Result<Vec<Member>> {
    let mut meeting = JoinSet::new();
    let mut members = Vec::with_capacity(2 * pairs);
    for pair in 0..pairs {
        if meeting.len() >= MEETING_MAX
            && let Some(met) = meeting.join_next().await
        {
            members.extend(pair_of(met)?);
        }
        let crew = crew.clone();
        meeting.spawn(async move { pair::meet(&crew, pair).await });
    }
    while let Some(met) = meeting.join_next().await {
        members.extend(pair_of(met)?);
    }
    Ok(members)
}

type Met = Result<anyhow::Result<[Member; 2]>, tokio::task::JoinError>;

fn pair_of(met: Met) -> anyhow::Result<[Member; 2]> {
    met?.context("a pair did not meet")
}

async fn arrive(crew: &Arc<Crew>, plan: &Plan) -> anyhow::Result<Vec<Wanderer>> {
    let mut wanderers = Vec::with_capacity(plan.wanderers);
    for number in 0..plan.wanderers {
        wanderers.push(wanderer::arrive(crew, 2 * plan.pairs + number).await?);
    }
    Ok(wanderers)
}

/// Runs `task` for each person, all at once.
fn all<T: Send + 'static, F>(people: Vec<T>, task: impl Fn(T) -> F) -> JoinSet<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    people.into_iter().map(task).collect()
}

async fn joined<T: 'static>(mut tasks: JoinSet<T>) -> anyhow::Result<Vec<T>> {
    let mut outcomes = Vec::with_capacity(tasks.len());
    while let Some(outcome) = tasks.join_next().await {
        outcomes.push(outcome.context("somebody's task failed")?);
    }
    Ok(outcomes)
}

/// The people who continue, and the diaries of those who gave up.
fn sort(outcomes: Vec<Result<Member, GaveUp>>) -> (Vec<Member>, Vec<Diary>) {
    let (mut members, mut diaries) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(member) => members.push(member),
            Err(diary) => diaries.push(*diary),
        }
    }
    (members, diaries)
}

async fn trouble(plan: &Plan, cluster: Cluster, faults: Arc<FaultLog>) -> anyhow::Result<Cluster> {
    match plan.trouble {
        Trouble::Faults(time) => {
            let has_redis = plan.shape.redis != RedisKind::None;
            let schedule = match plan.shape.has_clocks {
                true => Schedule::of_clocks(plan.seed, has_redis),
                false => Schedule::new(plan.seed, has_redis),
            };
            faults::run(cluster, schedule, Instant::now() + time, faults).await
        }
        Trouble::Rolling => faults::roll(cluster).await,
    }
}

async fn show_progress(crew: Arc<Crew>, log: Arc<FaultLog>, say: Say) {
    let mut ticks = interval(PROGRESS_INTERVAL);
    loop {
        ticks.tick().await;
        let (seconds, faults) = (crew.now().as_secs(), log.total());
        say(format!(
            "{seconds:>4} s · {faults} faults · {}",
            crew.summary()
        ));
    }
}

fn summary(crew: &Crew, faults: &FaultLog, slowest: &mut [Slowest]) -> String {
    let faults: Vec<_> = faults
        .counts()
        .iter()
        .map(|(name, count)| format!("{count} × {name}"))
        .collect();
    let faults = match faults.is_empty() {
        true => "none".to_owned(),
        false => faults.join(" · "),
    };
    slowest.sort();
    let at = |share: f64| {
        let index = (slowest.len() as f64 * share).ceil() as usize;
        slowest
            .get(index.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    };
    format!(
        "faults: {faults}\n   people: {}\n   longest wait for an ack of each member of a pair: p50 {:.1?} · p99 {:.1?} · max {:.1?} (sent at {:.1?})",
        crew.summary(),
        at(0.5).took,
        at(0.99).took,
        at(1.0).took,
        at(1.0).sent_at,
    )
}

/// Fails with the first broken promise, and writes down the evidence.
fn judge(
    plan: &Plan,
    breaches: &[Breach],
    diaries: &[Diary],
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let Some(first) = breaches.first() else {
        return Ok(());
    };
    let folder: &Path = &plan.out.join(format!("seed-{}", plan.seed));
    report::write(folder, breaches, diaries, &cluster.logs())?;
    bail!(
        "{first}\n{} breaches in all, see {}; the seed was {}",
        breaches.len(),
        folder.display(),
        plan.seed
    )
}
