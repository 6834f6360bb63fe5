//! The scenarios: how targets are loaded, and how the rounds of all targets alternate.

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tokio::time::timeout;

use crate::{
    metric::Sample,
    report::Row,
    target::{Place, Target, Transport},
};

mod ceiling;
mod cluster;
mod idle;
mod lossy;
mod matching;
mod pairs;
mod rest;
mod storm;
mod tier2;

/// How large everything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// For real figures.
    Full,
    /// To see that everything works: few people, short times.
    Quick,
}

impl Scale {
    /// `full`, or `quick` for a quick run.
    pub fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// The settings of one round.
#[derive(Clone, Debug)]
pub struct Round {
    /// Where programs and data are.
    pub place: Place,
    /// Seed of the schedules; each round has another.
    pub seed: u64,
}

/// Most time for one round. The longest, a search on a slow machine, takes a few minutes.
const ROUND_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// One setting of a scenario.
#[async_trait(?Send)]
pub trait Case {
    /// The scenario it belongs to.
    fn scenario(&self) -> &'static str;

    /// Its parameters, such as `2,000 messages/s`.
    fn title(&self) -> String;

    /// Whether it can run on this target and says something about it.
    fn takes(&self, target: &dyn Target) -> bool;

    /// Whether packets get lost: only then a target without its fast path is worth measuring.
    fn loses_packets(&self) -> bool {
        false
    }

    /// Whether some people use one transport and some the other.
    fn mixes_transports(&self) -> bool {
        false
    }

    /// Whether partners are on different nodes.
    fn spans_nodes(&self) -> bool {
        false
    }

    /// Most rounds that are worth their time.
    fn rounds_max(&self) -> u32 {
        u32::MAX
    }

    /// Runs it once: starts the target, measures, and stops it.
    ///
    /// # Errors
    /// When the target cannot be measured at all; faults that a figure can express are not errors.
    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample>;
}

/// The scenarios, each with one line for people.
pub const SCENARIOS: &[(&str, &str)] = &[
    (
        "pairs",
        "1,000 people write to each other at 2,000 and 10,000 messages/s",
    ),
    (
        "idle",
        "memory and processor time of 10,000 connections that do nothing",
    ),
    ("match", "10,000 people join 20 categories"),
    ("rest", "register, categories and connect at 500 requests/s"),
    (
        "storm",
        "5,000 clients lose their connections at once and come back",
    ),
    (
        "tier2",
        "50,000 people over both transports write at 1,667 messages/s",
    ),
    (
        "cluster",
        "1,000 people write to partners on another node at 1,000 messages/s",
    ),
    (
        "ceiling",
        "the highest rate at which 99 % arrive within 50 ms",
    ),
    (
        "lossy",
        "sparse chat over a link of 40 ms there and back that loses 0, 1, 2 and 5 % each way",
    ),
    (
        "micro",
        "instructions and time of codec, chat log and matcher",
    ),
];

/// The cases of the named scenarios, or of all.
pub fn cases(scale: Scale, names: &[String]) -> Vec<Box<dyn Case>> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    cases.extend(pairs::cases(scale).map(|case| Box::new(case) as _));
    cases.push(Box::new(idle::Idle::new(scale)));
    cases.push(Box::new(matching::Matching::new(scale)));
    cases.push(Box::new(rest::Rest::new(scale)));
    cases.push(Box::new(storm::Storm::new(scale)));
    cases.push(Box::new(tier2::Tier2::new(scale)));
    cases.push(Box::new(cluster::Cluster::new(scale)));
    cases.push(Box::new(ceiling::Ceiling::new(scale)));
    cases.extend(lossy::cases(scale).map(|case| Box::new(case) as _));
    cases.retain(|case| names.is_empty() || names.iter().any(|name| name == case.scenario()));
    cases
}

/// Measures a case on all targets that it takes, in alternating rounds: A B C A B C. Slow changes
/// of the machine then affect all of them alike. `say` gets a line for each round.
pub async fn measure(
    case: &dyn Case,
    targets: &[Box<dyn Target>],
    place: &Place,
    rounds: std::ops::Range<u64>,
    mut say: impl FnMut(String),
) -> Vec<Row> {
    let says_something = |target: &dyn Target| {
        let nowrong = target.as_nowrong();
        let is_plain = nowrong.is_none_or(|one| one.has_fast_path());
        let is_mixed = nowrong.is_some_and(|one| one.transport() == Transport::Both);
        let is_fitting = is_mixed == case.mixes_transports()
            && target.is_cluster() == case.spans_nodes()
            && (is_plain || case.loses_packets());
        is_fitting && case.takes(target)
    };
    let targets: Vec<_> = targets
        .iter()
        .filter(|one| says_something(one.as_ref()))
        .collect();
    let mut rows: Vec<Row> = targets
        .iter()
        .map(|target| Row::new(case.scenario(), case.title(), target.name()))
        .collect();
    for seed in rounds.take(case.rounds_max() as usize) {
        for (target, row) in targets.iter().zip(&mut rows) {
            let round = Round {
                place: place.clone(),
                seed,
            };
            let measuring = timeout(ROUND_DEADLINE, case.measure(target.as_ref(), &round)).await;
            let outcome = measuring.unwrap_or_else(|_| Err(anyhow!("not done in time")));
            say(format!(
                "{} · {} · {}: {}",
                case.scenario(),
                case.title(),
                target.name(),
                match &outcome {
                    Ok(sample) => sample.summary(),
                    Err(error) => format!("FAILED: {error:#}"),
                }
            ));
            row.add(outcome);
        }
    }
    rows
}
