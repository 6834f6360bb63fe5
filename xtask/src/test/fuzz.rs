//! The fuzz targets: first every input of the corpora again, then a short run with new ones.

use std::path::Path;

use anyhow::bail;

use crate::{
    output::say,
    part::Form,
    run::{Run, is_available},
};

/// How long each target looks for new inputs at each push: chance finds little in it, but a target that
/// cannot run at all is seen.
const SHORT_SECONDS_PER_TARGET: u32 = 5;

/// How long it does in the long form.
const LONG_SECONDS_PER_TARGET: u32 = 10;

/// How the line begins with which a target says how many inputs it ran.
const EXECUTED: &str = "stat::number_of_executed_units";

/// The version of cargo-fuzz that the targets are built with.
const CARGO_FUZZ_VERSION: &str = "0.13.2";

/// Replays and runs every target of `fuzz/`.
///
/// # Errors
/// When the nightly toolchain is missing, a target does not build, or an input breaks a promise.
pub fn fuzz(root: &Path, form: Form) -> anyhow::Result<()> {
    let replay = ["test", "--locked", "--manifest-path", "fuzz/Cargo.toml"];
    Run::new(root, "cargo").args(replay).run()?;
    require_tools(root)?;
    let cargo = || Run::new(root, "cargo").args(["+nightly", "fuzz"]);
    cargo().args(["build"]).run()?;
    let targets = cargo().args(["list"]).read()?;
    let targets: Vec<_> = targets.split_whitespace().collect();
    if targets.is_empty() {
        bail!("fuzz/ has no targets");
    }
    let seconds = form.of(SHORT_SECONDS_PER_TARGET, LONG_SECONDS_PER_TARGET);
    for target in &targets {
        run_target(root, target, seconds)?;
    }
    say!("   {} targets held", targets.len());
    Ok(())
}

/// Looks for new inputs. They go to a folder under `target/`, so that the corpus in the tree only
/// grows by hand; so does what libFuzzer prints, beside the folder.
fn run_target(root: &Path, target: &str, seconds: u32) -> anyhow::Result<()> {
    let found = crate::tree::target_dir(root)
        .join("fuzz-found")
        .join(target);
    std::fs::create_dir_all(&found)?;
    let log = found.with_extension("log");
    let seconds = format!("-max_total_time={seconds}");
    Run::new(root, "cargo")
        .args(["+nightly", "fuzz", "run", target])
        .arg(&found)
        .arg(root.join("fuzz/corpus").join(target))
        .args([
            "--",
            &seconds,
            "-timeout=5",
            "-rss_limit_mb=1024",
            "-verbosity=0",
            "-print_final_stats=1",
        ])
        .run_logged(&log)?;
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    for line in text.lines().filter(|line| line.starts_with(EXECUTED)) {
        say!("     {line}");
    }
    Ok(())
}

fn require_tools(root: &Path) -> anyhow::Result<()> {
    if !is_available("cargo", &["+nightly", "--version"]) {
        bail!(
            "fuzzing needs a nightly toolchain: `rustup toolchain install nightly --profile minimal`"
        );
    }
    if is_available("cargo", &["fuzz", "--version"]) {
        return Ok(());
    }
    let install = [
        "install",
        "cargo-fuzz",
        "--locked",
        "--version",
        CARGO_FUZZ_VERSION,
    ];
    Run::new(root, "cargo").args(install).run()
}
