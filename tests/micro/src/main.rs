//! `nowrong-micro`: runs a case many times, and compares callgrind's counts with the budgets.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Parser;
use nowrong_micro::{
    CASES,
    budget::{Budgets, TOLERANCE, Verdict},
    case, instructions,
};

/// Runs single operations of the message path.
#[derive(Parser)]
#[command(name = "nowrong-micro", version)]
enum Cli {
    /// Runs one case many times, for callgrind.
    Run {
        /// Which.
        case: String,
        /// How many times.
        operations: u32,
    },
    /// Fails when a case takes more instructions than its budget allows.
    Judge {
        /// The file of the budgets.
        file: PathBuf,
    },
    /// Makes the current counts the budgets.
    Take {
        /// The file of the budgets.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    match cli {
        Cli::Run { case, operations } => {
            let case = self::case(&case).with_context(|| format!("there is no case `{case}`"))?;
            (case.run)(operations);
            Ok(())
        }
        Cli::Judge { file } => judge(&file),
        Cli::Take { file } => take(&file),
    }
}

fn judge(file: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let budgets: Budgets = toml::from_str(&text)?;
    let verdicts = budgets.judge(&count_all()?);
    for verdict in &verdicts {
        println!("{}", line(verdict));
    }
    let over: Vec<_> = verdicts.iter().filter(|it| !it.is_good()).collect();
    if over.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = over.iter().map(|it| it.case.as_str()).collect();
    let compiler = compiler()?;
    let why = match compiler == budgets.compiler {
        true => String::new(),
        false => format!(" (taken with {}; this is {compiler})", budgets.compiler),
    };
    bail!(
        "over {TOLERANCE} % more instructions than their budgets, or without one{why}: {}. If that is meant, take new \
         budgets with `cargo run --profile budget -p nowrong-micro -- take {}` and say in the commit why",
        names.join(", "),
        file.display()
    )
}

fn take(file: &Path) -> anyhow::Result<()> {
    let budgets = Budgets {
        compiler: compiler()?,
        instructions: count_all()?,
    };
    let text = format!(
        "# Instructions for one operation of each case, as callgrind counts them in the profile `budget`.\n\
         # `cargo xtask check` fails when one takes {TOLERANCE} % more. `nowrong-micro take` writes this file.\n\n{}",
        toml::to_string(&budgets)?
    );
    std::fs::write(file, text)?;
    println!("wrote {}", file.display());
    Ok(())
}

fn count_all() -> anyhow::Result<BTreeMap<String, u64>> {
    let program = std::env::current_exe()?;
    let scratch = tempfile::tempdir()?;
    let count = |case| {
        let counted = instructions(case, &program, scratch.path())?;
        Ok((case.name.to_owned(), counted.round() as u64))
    };
    CASES.iter().map(count).collect()
}

fn compiler() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.context("cannot ask rustc for its version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn line(verdict: &Verdict) -> String {
    let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let growth = verdict.growth();
    let growth = growth.map_or_else(|| "-".to_owned(), |it| format!("{:+.1} %", it * 100.0));
    format!(
        "   {:<16} {:>8} instructions, budget {:>8}, {growth}",
        verdict.case,
        number(verdict.counted),
        number(verdict.budget)
    )
}
