//! A command that consists of named parts: runs them all, then says which failed.
//!
//! One failing part never hides another. The last line counts parts, `N passed, N failed`, in the
//! form that test runners use.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;

use crate::{
    minutes::Minutes,
    trend::{self, Entry},
};

/// One named piece of `check` or `test`.
pub struct Part {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it covers, for the summary.
    pub about: &'static str,
    /// What is done, in the repository at the given root.
    pub work: Work,
}

/// The work of a part.
pub enum Work {
    /// The same in every form.
    Same(fn(&Path) -> anyhow::Result<()>),
    /// A short form for every push, and a long one.
    Forms {
        /// What only the long form does, for people.
        moved: &'static str,
        /// Does either.
        run: fn(&Path, Form) -> anyhow::Result<()>,
    },
}

/// How much of a part is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What every push runs.
    Short,
    /// What runs by night, and before somebody says that a change of a part is done.
    Long,
}

impl Form {
    /// `short`, or `long` in the long form.
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// Which parts to run.
#[derive(Args)]
pub struct PartArgs {
    /// Only this part; can be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

struct Outcome {
    part: &'static Part,
    elapsed: Duration,
    result: anyhow::Result<()>,
}

/// Runs the chosen `parts` of `command` and sums up.
///
/// # Errors
/// When a name of `--only` is unknown or a part failed.
pub fn run_parts(
    command: &str,
    root: &Path,
    (parts, form): (&'static [Part], Form),
    args: &PartArgs,
) -> anyhow::Result<()> {
    let outcomes = run_chosen(command, root, (parts, form), args)?;
    sum_up(command, form, &outcomes);
    record(command, root, form, &outcomes)?;
    verdict(&outcomes)
}

fn run_chosen(
    command: &str,
    root: &Path,
    (parts, form): (&'static [Part], Form),
    args: &PartArgs,
) -> anyhow::Result<Vec<Outcome>> {
    let chosen = choose(parts, &args.only)?;
    let count = chosen.len();
    let mut outcomes = Vec::new();
    for (index, part) in chosen.into_iter().enumerate() {
        println!(
            "== {command} {} ({}/{count}): {}",
            part.name,
            index + 1,
            part.about
        );
        outcomes.push(run_part(root, part, form));
    }
    Ok(outcomes)
}

fn choose(parts: &'static [Part], only: &[String]) -> anyhow::Result<Vec<&'static Part>> {
    if only.is_empty() {
        return Ok(parts.iter().collect());
    }
    let find = |name: &String| {
        parts.iter().find(|part| part.name == name).ok_or_else(|| {
            let names: Vec<_> = parts.iter().map(|part| part.name).collect();
            anyhow::anyhow!("there is no part `{name}`; there are: {}", names.join(", "))
        })
    };
    only.iter().map(find).collect()
}

fn run_part(root: &Path, part: &'static Part, form: Form) -> Outcome {
    let started = Instant::now();
    let result = match part.work {
        Work::Same(run) => run(root),
        Work::Forms { run, .. } => run(root, form),
    };
    if let Err(error) = &result {
        println!("!! {}: {error:#}", part.name);
    }
    Outcome {
        part,
        elapsed: started.elapsed(),
        result,
    }
}

fn sum_up(command: &str, form: Form, outcomes: &[Outcome]) {
    println!("== summary of {command}");
    for outcome in outcomes {
        let verdict = if outcome.result.is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        let seconds = outcome.elapsed.as_secs_f32();
        println!("   {:<10} {verdict:<7} {seconds:>7.1} s", outcome.part.name);
        if let (Work::Forms { moved, .. }, Form::Short) = (&outcome.part.work, form) {
            println!("              moved to `cargo xtask test --nightly`: {moved}");
        }
        if let Err(error) = &outcome.result {
            println!(
                "              {}",
                format!("{error:#}").replace('\n', "\n              ")
            );
        }
    }
}

/// Writes the seconds down, and after the short form says what they are of the minutes allowed.
fn record(command: &str, root: &Path, form: Form, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let entry = |outcome: &Outcome| Entry {
        command,
        part: outcome.part.name,
        form: form.of("short", "long"),
        is_ok: outcome.result.is_ok(),
        elapsed: outcome.elapsed,
        counted: outcome.elapsed,
    };
    let entries: Vec<_> = outcomes.iter().map(entry).collect();
    let file = trend::append(root, &entries)?;
    println!("   the seconds are in {}", file.display());
    if form == Form::Short {
        let key = |entry: &Entry<'_>| (format!("{command}.{}", entry.part), entry.counted);
        let times: Vec<_> = entries.iter().map(key).collect();
        let times = times.iter().map(|(part, time)| (part.as_str(), *time));
        for line in Minutes::read(root)?.used(times) {
            println!("   used: {line}");
        }
    }
    Ok(())
}

fn verdict(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} parts failed", outcomes.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &[Part] = &[
        Part {
            name: "good",
            about: "",
            work: Work::Same(|_| Ok(())),
        },
        Part {
            name: "bad",
            about: "",
            work: Work::Same(|_| bail!("no")),
        },
    ];

    fn run(only: &[&str]) -> anyhow::Result<()> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let args = PartArgs { only };
        verdict(&run_chosen(
            "try",
            Path::new("."),
            (PARTS, Form::Short),
            &args,
        )?)
    }

    #[test]
    fn one_failing_part_fails_the_command() {
        assert!(run(&[]).is_err());
        assert!(run(&["bad"]).is_err());
        assert!(run(&["good"]).is_ok());
    }

    #[test]
    fn an_unknown_part_is_named_with_those_that_exist() {
        let error = run(&["other"]).expect_err("there is no such part");
        assert_eq!(
            error.to_string(),
            "there is no part `other`; there are: good, bad"
        );
    }
}
