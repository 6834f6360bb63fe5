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

/// One named piece of `check` or `test`.
pub struct Part {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it covers, for the summary.
    pub about: &'static str,
    /// Runs it in the repository at the given root.
    pub run: fn(&Path) -> anyhow::Result<()>,
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
    parts: &'static [Part],
    args: &PartArgs,
) -> anyhow::Result<()> {
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
        outcomes.push(run_part(root, part));
    }
    sum_up(command, &outcomes)
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

fn run_part(root: &Path, part: &'static Part) -> Outcome {
    let started = Instant::now();
    let result = (part.run)(root);
    if let Err(error) = &result {
        println!("!! {}: {error:#}", part.name);
    }
    Outcome {
        part,
        elapsed: started.elapsed(),
        result,
    }
}

fn sum_up(command: &str, outcomes: &[Outcome]) -> anyhow::Result<()> {
    println!("== summary of {command}");
    for outcome in outcomes {
        let verdict = if outcome.result.is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        let seconds = outcome.elapsed.as_secs_f32();
        println!("   {:<10} {verdict:<7} {seconds:>7.1} s", outcome.part.name);
        if let Err(error) = &outcome.result {
            println!(
                "              {}",
                format!("{error:#}").replace('\n', "\n              ")
            );
        }
    }
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
            run: |_| Ok(()),
        },
        Part {
            name: "bad",
            about: "",
            run: |_| bail!("no"),
        },
    ];

    fn run(only: &[&str]) -> anyhow::Result<()> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        run_parts("try", Path::new("."), PARTS, &PartArgs { only })
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
