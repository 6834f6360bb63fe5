//! The fuzz targets: first every input of the corpora again, then a short run with new ones.
//!
//! Both are built once, as cargo-fuzz would build them, but by cargo alone: so nobody has to compile that
//! tool first.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::{
    output::say,
    part::Form,
    run::{Run, is_available},
    tree,
};

/// How long each target looks for new inputs at each push: chance finds little in it, but a target that
/// cannot run at all is seen.
const SHORT_SECONDS_PER_TARGET: u32 = 5;

/// How long it does in the long form.
const LONG_SECONDS_PER_TARGET: u32 = 10;

/// How many targets run at once: each keeps one core busy.
const AT_ONCE: usize = 2;

/// How the line begins with which a target says how many inputs it ran.
const EXECUTED: &str = "stat::number_of_executed_units";

/// What cargo-fuzz 0.13 gives the compiler: coverage that libFuzzer reads, AddressSanitizer, assertions, and
/// one unit of code generation, without which much is not inlined.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth \
     -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing -Zsanitizer=address \
     -Cdebug-assertions -Ccodegen-units=1";

/// What AddressSanitizer is told: inlined code may be there twice.
const ASAN_OPTIONS: &str = "detect_odr_violation=0";

/// Replays and runs every target of `fuzz/`.
///
/// # Errors
/// When the nightly toolchain is missing, a target does not build, or an input breaks a promise.
pub fn fuzz(root: &Path, form: Form) -> anyhow::Result<()> {
    if !is_available("cargo", &["+nightly", "--version"]) {
        bail!(
            "fuzzing needs a nightly toolchain: `rustup toolchain install nightly --profile minimal`"
        );
    }
    let host = host(root)?;
    cargo(root, "test", &host).run()?;
    cargo(root, "build", &host).arg("--bins").run()?;
    let targets = targets(root)?;
    let programs = folder(root).join(host).join("release");
    let seconds = form.of(SHORT_SECONDS_PER_TARGET, LONG_SECONDS_PER_TARGET);
    for some in targets.chunks(AT_ONCE) {
        run_targets(root, &programs, some, seconds)?;
    }
    say!("   {} targets held", targets.len());
    Ok(())
}

/// `cargo test` or `cargo build` of the fuzz crate, in a folder of its own, for the `host` by name: so
/// build scripts are compiled without the flags.
fn cargo(root: &Path, verb: &str, host: &str) -> Run {
    Run::new(root, "cargo")
        .args(["+nightly", verb, "--locked", "--release", "--target", host])
        .args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"])
        .arg(folder(root))
        .env("RUSTFLAGS", FLAGS)
        .env("ASAN_OPTIONS", ASAN_OPTIONS)
}

fn folder(root: &Path) -> PathBuf {
    tree::target_dir(root).join("fuzz")
}

/// The machine's name among those that rustc compiles for.
fn host(root: &Path) -> anyhow::Result<String> {
    let said = Run::new(root, "rustc").args(["+nightly", "-vV"]).read()?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc did not name its host")?.to_owned())
}

/// The targets, by the names of their sources.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let sources = root.join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&sources).with_context(|| sources.display().to_string())?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let stems = paths.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let mut targets: Vec<_> = stems.collect();
    targets.sort();
    if targets.is_empty() {
        bail!("fuzz/ has no targets");
    }
    Ok(targets)
}

/// Has these targets look for new inputs, all at once. The inputs go to folders under `target/`, so that the
/// corpora in the tree only grow by hand; so does what libFuzzer prints, beside each folder.
fn run_targets(
    root: &Path,
    programs: &Path,
    targets: &[String],
    seconds: u32,
) -> anyhow::Result<()> {
    let mut running = Vec::new();
    for target in targets {
        let found = tree::target_dir(root).join("fuzz-found").join(target);
        std::fs::create_dir_all(&found)?;
        let log = found.with_extension("log");
        running.push(command(root, programs, (target, &found), seconds).start_logged(&log)?);
    }
    // All end by themselves, so that a failure of one is told after the others are done.
    let outcomes: Vec<_> = running.into_iter().map(|target| target.finish()).collect();
    for (outcome, target) in outcomes.into_iter().zip(targets) {
        outcome.with_context(|| format!("the target {target}"))?;
        let log = tree::target_dir(root).join("fuzz-found").join(target);
        let text = std::fs::read_to_string(log.with_extension("log")).unwrap_or_default();
        for line in text.lines().filter(|line| line.starts_with(EXECUTED)) {
            say!("     {target}: {line}");
        }
    }
    Ok(())
}

fn command(root: &Path, programs: &Path, (target, found): (&str, &Path), seconds: u32) -> Run {
    let crashes = found.with_extension("crash-");
    Run::new(root, programs.join(target))
        .env("ASAN_OPTIONS", ASAN_OPTIONS)
        .arg(found)
        .arg(root.join("fuzz/corpus").join(target))
        .arg(format!("-artifact_prefix={}", crashes.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=5", "-rss_limit_mb=1024", "-verbosity=0"])
        .arg("-print_final_stats=1")
}
