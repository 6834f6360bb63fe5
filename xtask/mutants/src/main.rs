//! `mutants`: changes one small thing in the Rust code, runs the tests of that crate, and expects that one of
//! them fails. `cargo xtask mutants` installs what it needs and starts it.
//!
//! The changes are those that cargo-mutants lists ([`list`]); which of them are tried is drawn by their names
//! ([`draw`]). Each is tried in a copy of the repository ([`copy`], [`trial`]), and what came of it is a file of
//! its own ([`record`]): so a run goes on where the last one stopped. A change that no test notices and that
//! changes nothing stands with its reason in `xtask/mutants.toml` ([`equivalent`]).

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]
#![allow(
    unreachable_pub,
    reason = "nothing depends on this crate: `pub` means used by another module"
)]

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Parser;

mod copy;
mod draw;
mod equivalent;
mod list;
mod record;
mod score;
mod subject;
mod trial;

use copy::Copy;
use equivalent::Equivalents;
use list::Mutant;
use record::Records;
use score::Score;
use subject::SUBJECTS;

/// How many mutants are tried: enough that one in ten that survives is seen, few enough for an evening.
const DRAWN: usize = 200;

/// Share of the viable mutants that the tests must catch, in percent.
const CAUGHT_PERCENT_MIN: usize = 90;

/// What to try.
#[derive(Parser)]
#[command(name = "mutants", version)]
struct Args {
    /// The repository.
    #[arg(long)]
    root: PathBuf,
    /// Folder for the copy, what is built in it, and the results.
    #[arg(long)]
    out: PathBuf,
    /// The program `cargo-mutants`.
    #[arg(long)]
    cargo_mutants: PathBuf,
    /// Only what changed since this revision, all of it.
    #[arg(long)]
    against: Option<String>,
    /// Only crates with this in their name.
    #[arg(long)]
    package: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let equivalents = Equivalents::read(&args.root)?;
    let _alone = claim(&args.out)?;
    let mutants = choose(args)?;
    if mutants.is_empty() {
        println!("   nothing to try");
        return Ok(());
    }
    let copy = Copy::make(&args.root, &args.out.join("tree"))?;
    let records = Records::open(&args.out.join("rust"))?;
    try_all(&mutants, &copy, &records)?;
    judge(&mutants, &records, &equivalents, args.package.is_none())
}

/// Only one run at a time: two would see each other's mutants in the copy. The claim ends with the process.
fn claim(out: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let file = File::create(out.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => bail!("another run is at work in {}: {error}", out.display()),
    }
}

fn choose(args: &Args) -> anyhow::Result<Vec<Mutant>> {
    let listed = list::list(&args.root, &args.cargo_mutants, args.against.as_deref())?;
    let count = listed.len();
    let mut mutants = match args.against {
        Some(_) => listed,
        None => draw::draw(listed, DRAWN),
    };
    if let Some(package) = &args.package {
        mutants.retain(|mutant| mutant.package.contains(package));
    }
    println!("   {} of {count} mutants are to be tried", mutants.len());
    Ok(mutants)
}

/// Tries what has no valid result yet.
fn try_all(mutants: &[Mutant], copy: &Copy, records: &Records) -> anyhow::Result<()> {
    let mut fingerprints = BTreeMap::new();
    for subject in SUBJECTS {
        fingerprints.insert(subject.package, copy.fingerprint(subject.folder)?);
    }
    let is_known = |mutant: &&Mutant| {
        let of_crate = fingerprints.get(mutant.package.as_str());
        let of_file = copy.fingerprint(&mutant.file).ok();
        records.is_valid(mutant, of_file, of_crate.copied())
    };
    let (known, left): (Vec<_>, Vec<_>) = mutants.iter().partition(is_known);
    println!("   {} are known, {} are left", known.len(), left.len());
    for subject in SUBJECTS {
        let of_subject = left
            .iter()
            .filter(|mutant| mutant.package == subject.package);
        let of_subject: Vec<_> = of_subject.collect();
        if of_subject.is_empty() {
            continue;
        }
        trial::baseline(copy, subject)?;
        for (index, mutant) in of_subject.iter().enumerate() {
            let outcome = trial::attempt(copy, subject, mutant)?;
            println!(
                "   {} {}/{}: {} · {}",
                subject.package,
                index + 1,
                of_subject.len(),
                outcome.shown(),
                mutant.name
            );
            let of_crate = fingerprints[subject.package];
            records.write(mutant, outcome, copy.fingerprint(&mutant.file)?, of_crate)?;
        }
    }
    Ok(())
}

fn judge(
    mutants: &[Mutant],
    records: &Records,
    equivalents: &Equivalents,
    is_whole: bool,
) -> anyhow::Result<()> {
    let mut score = Score::default();
    for mutant in mutants {
        let outcome = records.outcome(mutant).context("every mutant was tried")?;
        score.add(mutant, outcome, equivalents.reason(mutant));
    }
    println!("{}", score.shown());
    if !is_whole {
        return Ok(());
    }
    let percent = score.caught_percent();
    if percent < CAUGHT_PERCENT_MIN {
        bail!("{percent} % of the viable mutants were caught, under {CAUGHT_PERCENT_MIN} %");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path()).unwrap();
        assert!(claim(folder.path()).is_err());
        drop(first);
        assert!(claim(folder.path()).is_ok());
    }
}
