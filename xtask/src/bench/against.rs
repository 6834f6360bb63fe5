//! `cargo xtask bench pairs --against REV`: this build and that of another revision, in turns.
//!
//! Each has its own load program, so that nothing in one depends on the other. Within a round they are measured
//! one right after the other, and the first one alternates; `nowrong-bench compare` judges the ratios.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{BenchArgs, start};
use crate::{binary, output::say, run::Run, services, tree};

/// How many rounds there are unless it is said: as few as have a spread.
const ROUNDS: u32 = 7;

/// Both transports of the server; a build is compared with itself, not with others.
const TARGETS: &str = "nowrong-webtransport,nowrong-websocket";

/// What is measured unless it is said.
const SCENARIO: &str = "pairs";

/// The programs of a measurement.
const PROGRAMS: [&str; 4] = [binary::SERVER, "nowrong-bench", "nowrong-micro", "netlab"];

/// Builds both, measures them in turns, and compares.
///
/// # Errors
/// When one does not build or cannot be measured, or a figure of this build is worse by more than the spread.
pub(super) fn against(root: &Path, args: &BenchArgs, revision: &str) -> anyhow::Result<()> {
    let folder = tree::target_dir(root).join("against");
    let old = Build {
        name: "old",
        programs: build_revision(root, &folder, (revision, args.quick))?,
    };
    let new = Build {
        name: "new",
        programs: binary::build(root, PROGRAMS, !args.quick)?,
    };
    let rounds = folder.join("rounds");
    if rounds.exists() {
        fs::remove_dir_all(&rounds).with_context(|| rounds.display().to_string())?;
    }
    let mut folders = Vec::new();
    for round in 1..=args.rounds.unwrap_or(ROUNDS) {
        let folder = rounds.join(round.to_string());
        for build in in_turn(round, &old, &new) {
            say!("   round {round}: the {} build", build.name);
            build.measure(root, args, (round, &folder))?;
        }
        folders.push(folder);
    }
    Run::new(root, new.program("nowrong-bench")?)
        .arg("compare")
        .args(&folders)
        .run()
}

/// Both, in another order each round: what the first leaves behind meets either.
fn in_turn<'a>(round: u32, old: &'a Build, new: &'a Build) -> [&'a Build; 2] {
    if round % 2 == 1 {
        [old, new]
    } else {
        [new, old]
    }
}

/// One of the two.
struct Build {
    name: &'static str,
    programs: [PathBuf; 4],
}

impl Build {
    fn program(&self, name: &str) -> anyhow::Result<&Path> {
        let at = PROGRAMS.iter().position(|program| *program == name);
        let path = at.and_then(|at| self.programs.get(at));
        Ok(path.with_context(|| format!("{name} was not built"))?)
    }

    /// One round, its report in `folder/old` or `folder/new`.
    fn measure(
        &self,
        root: &Path,
        args: &BenchArgs,
        (round, folder): (u32, &Path),
    ) -> anyhow::Result<()> {
        let out = folder.join(self.name);
        fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
        let seed = args.seed.unwrap_or(1) + u64::from(round);
        let mut run = start(root).arg(self.program("nowrong-bench")?).arg("run");
        run = run.arg("--server").arg(self.program(binary::SERVER)?);
        run = run.arg("--netlab").arg(self.program("netlab")?);
        run = run.arg("--micro").arg(self.program("nowrong-micro")?);
        run = run
            .arg("--socketio")
            .arg(root.join("tests/bench/peers/socketio"));
        run = run.arg("--redis").arg(services::redis_server()?);
        run = run.arg("--out").arg(&out);
        run = run.args(["--rounds", "1", "--seed", &seed.to_string()]);
        run = run.args(["--targets", args.targets.as_deref().unwrap_or(TARGETS)]);
        if args.quick {
            run = run.arg("--quick");
        }
        if args.scenarios.is_empty() {
            run = run.arg(SCENARIO);
        }
        let run = run.args(&args.scenarios);
        run.start_logged(&out.join("log"))?.finish()
    }
}

/// Builds the revision in a copy of its own below `folder`. Its build folder stays, so that the next
/// comparison with it, or with one near it, is quick.
fn build_revision(
    root: &Path,
    folder: &Path,
    (revision, is_quick): (&str, bool),
) -> anyhow::Result<[PathBuf; 4]> {
    let (tree, target) = (folder.join("tree"), folder.join("target"));
    checkout(root, &tree, revision)?;
    let bins = PROGRAMS.iter().flat_map(|name| ["--bin", name]);
    let mut build = Run::new(&tree, "cargo")
        .args(["build", "--locked", "--workspace", "--target-dir"])
        .arg(&target)
        .args(bins);
    if !is_quick {
        build = build.arg("--release");
    }
    build.run()?;
    let profile = target.join(if is_quick { "debug" } else { "release" });
    Ok(PROGRAMS.map(|name| profile.join(name)))
}

/// Has the files of the revision in `tree`, as a worktree of git, which writes only what differs.
fn checkout(root: &Path, tree: &Path, revision: &str) -> anyhow::Result<()> {
    let commit = ["rev-parse", "--verify", "--end-of-options"];
    let commit = Run::new(root, "git")
        .args(commit)
        .arg(format!("{revision}^{{commit}}"))
        .read()
        .with_context(|| format!("there is no revision `{revision}`"))?;
    let commit = commit.trim();
    if tree.join(".git").exists() {
        let checkout = ["checkout", "--quiet", "--force", "--detach", commit];
        return Run::new(tree, "git").args(checkout).run();
    }
    if tree.exists() {
        bail!("{} is in the way: remove it", tree.display());
    }
    let add = ["worktree", "add", "--quiet", "--force", "--detach"];
    Run::new(root, "git").args(add).arg(tree).arg(commit).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(name: &'static str) -> Build {
        Build {
            name,
            programs: PROGRAMS.map(PathBuf::from),
        }
    }

    #[test]
    fn who_comes_first_alternates() {
        let (old, new) = (build("old"), build("new"));
        let first = |round| in_turn(round, &old, &new)[0].name;
        assert_eq!([1, 2, 3].map(first), ["old", "new", "old"]);
    }

    #[test]
    fn programs_are_found_by_name() {
        let build = build("old");
        assert_eq!(build.program("netlab").unwrap(), Path::new("netlab"));
        assert!(build.program("other").is_err());
    }
}
