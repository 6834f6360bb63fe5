//! `match`: people join categories one after the other; each join tries to find a partner at once.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Context as _;
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Case, Round, Scale};
use crate::{
    drive::Parked,
    joining::{Match, join_all, since_both_were_there},
    metric::{self, Sample},
    target::{NoWrong, Place, Storage, Target, nowrong::Person},
};

const CATEGORIES: u32 = 20;

const CONNECTING_MAX: usize = 32;

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
        let file = write_categories(&round.place)?;
        let running = target.start_with(&round.place, Some(&file)).await?;
        let arriving = stream::iter(0..self.people).map(|_| async {
            let mut person = running.arrive().await?;
            person.welcomed().await?;
            anyhow::Ok(Parked::new(person))
        });
        let people = arriving.buffered(CONNECTING_MAX).try_collect().await?;
        let categories: Vec<_> = (0..CATEGORIES)
            .map(|number| format!("bench-{number}"))
            .collect();
        let matched = join_all(people, &categories, self.rate, round.seed).await?;
        running.end().await?;
        Ok(self.sample(&matched))
    }
}

impl Matching {
    fn sample(&self, matches: &[(Match, Person)]) -> Sample {
        let latencies = since_both_were_there(matches.iter().map(|(one, _)| one));
        let mut sample = Sample::default();
        sample.push(&metric::MATCHED, matches.len() as f64);
        sample.push(
            &metric::WAITING,
            f64::from(self.people) - matches.len() as f64,
        );
        sample.push(&metric::MATCH_P50, latencies.quantile_ms(0.5));
        sample.push(&metric::MATCH_P99, latencies.quantile_ms(0.99));
        sample.push(&metric::MATCH_MAX, latencies.max_ms());
        // One person may be left over in each category.
        let waiting = f64::from(self.people) - matches.len() as f64;
        if waiting > f64::from(CATEGORIES) {
            sample.note(Some(format!("{waiting} people were not matched")));
        }
        sample
    }
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
