//! `cargo xtask mutants`: small changes of the code, each of which some test should notice. Of Rust by
//! `xtask/mutants` with cargo-mutants, of the SDK by Stryker.
//!
//! Not a part of `test`: it takes hours. Results lie in `target/mutants`, and a run goes on where the last
//! one stopped.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::{
    binary,
    output::say,
    run::{Run, is_available},
    stale, tree,
};

/// The version that lists the mutants: another one may name them in another way.
const CARGO_MUTANTS_VERSION: &str = "27.1.0";

/// The sources of the SDK that are changed, from its folder. Generated code is what Rust makes it.
const SDK_SOURCES: &str = "src";
const SDK_GENERATED: &str = "src/generated/";
const SDK_TESTING: &str = "src/testing/";

/// What to change.
#[derive(Args)]
pub struct MutantsArgs {
    /// Only this side; both without it.
    #[arg(long, value_enum)]
    only: Option<Side>,
    /// Only what changed since this revision.
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Of Rust only the crates with this in their name; there is no verdict then.
    #[arg(long)]
    package: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The pure crates.
    Rust,
    /// The TypeScript SDK.
    Sdk,
}

/// Tries the mutants of both sides.
///
/// # Errors
/// When a tool cannot be installed, the tests fail without a mutant, or too few mutants are caught. The
/// other side is tried before that is said.
pub fn mutants(root: &Path, args: &MutantsArgs) -> anyhow::Result<()> {
    let is_meant = |side| args.only.is_none_or(|only| only == side);
    let rust = match is_meant(Side::Rust) {
        true => rust(root, args).context("the mutants of Rust"),
        false => Ok(()),
    };
    let sdk = match is_meant(Side::Sdk) {
        true => sdk(root, args.against.as_deref()).context("the mutants of the SDK"),
        false => Ok(()),
    };
    if let (Err(error), Err(_)) = (&rust, &sdk) {
        say!("!! {error:#}");
    }
    sdk.and(rust)
}

fn rust(root: &Path, args: &MutantsArgs) -> anyhow::Result<()> {
    let folder = tree::target_dir(root).join("mutants");
    let cargo_mutants = cargo_mutants(root, &folder)?;
    let [program] = binary::build(root, ["mutants"], false)?;
    let mut run = Run::new(root, program).arg("--root").arg(root);
    run = run.arg("--out").arg(&folder);
    run = run.arg("--cargo-mutants").arg(cargo_mutants);
    if let Some(revision) = &args.against {
        run = run.args(["--against", revision]);
    }
    if let Some(package) = &args.package {
        run = run.args(["--package", package]);
    }
    run.run()
}

/// The program, installed below `folder` when it is not there: another version elsewhere stays as it is.
fn cargo_mutants(root: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let program = folder.join("tools/bin/cargo-mutants");
    if is_available(&program.to_string_lossy(), &["mutants", "--version"]) {
        return Ok(program);
    }
    let install = ["install", "cargo-mutants", "--locked", "--version"];
    Run::new(root, "cargo")
        .args(install)
        .arg(CARGO_MUTANTS_VERSION)
        .arg("--root")
        .arg(folder.join("tools"))
        .arg("--target-dir")
        .arg(folder.join("tools/target"))
        .run()?;
    std::fs::remove_dir_all(folder.join("tools/target"))?;
    Ok(program)
}

/// Stryker has its files, its score and its reports in its own configuration.
fn sdk(root: &Path, against: Option<&str>) -> anyhow::Result<()> {
    let package = root.join("sdk-ts");
    stale::install_npm(&package)?;
    let mut run = Run::new(&package, "npm").args(["run", "mutants"]);
    if let Some(revision) = against {
        let changed = [
            "diff",
            "--name-only",
            "--diff-filter=d",
            "--relative",
            revision,
        ];
        let changed = Run::new(&package, "git")
            .args(changed)
            .args(["--", SDK_SOURCES])
            .read()?;
        let files = sources(&changed);
        if files.is_empty() {
            return Ok(());
        }
        run = run.args(["--", "--mutate", &files]);
    }
    run.run()
}

/// Those of the files that are changed by mutants, separated by commas.
fn sources(files: &str) -> String {
    let is_meant = |file: &&str| {
        let is_test = file.contains(".test.") || file.starts_with(SDK_TESTING);
        file.ends_with(".ts") && !is_test && !file.starts_with(SDK_GENERATED)
    };
    files.lines().filter(is_meant).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_by_hand_and_is_no_test_is_changed() {
        let files = "src/chat/log.ts\nsrc/generated/code.ts\nsrc/testing/fake.ts\nsrc/chat/log.test.ts\nsrc/a.md\nsrc/b.ts\n";
        assert_eq!(sources(files), "src/chat/log.ts,src/b.ts");
    }
}
