//! Tries a mutant: writes it into the copy, builds and runs the tests of its crate, puts the file back.
//!
//! Cargo and the tests it starts are one process group, so that tests which hang end with cargo.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{copy::Copy, list::Mutant, record::Outcome, subject::Subject};

/// Most time to compile a crate and its tests.
const BUILD_DEADLINE: Duration = Duration::from_secs(600);

/// Most time for a stage of tests: many times what the slowest takes, on a machine that does other things.
const TESTS_DEADLINE: Duration = Duration::from_secs(180);

/// How often a command is looked at: short against all of them.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often its output is read for a test that failed: the others, which may hang, need not end then.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// What the harness says of a test that failed, at once.
const FAILED: &str = "FAILED";

/// The core is optimised for its models, which is slow to compile; here few of them run.
const CONFIG: &str = "profile.dev.package.nowrong-core.opt-level=1";

/// Fails unless all tests pass without any mutant.
///
/// # Errors
/// When they do not, or do not build; the message names the log.
pub fn baseline(copy: &Copy, subject: &Subject) -> anyhow::Result<()> {
    println!("   {}: the tests as they are", subject.package);
    match stages(copy, subject)? {
        Outcome::Survived => Ok(()),
        other => bail!(
            "the tests of {} without a mutant: {}; see {}",
            subject.package,
            other.shown(),
            log(copy).display()
        ),
    }
}

/// Tries one mutant.
///
/// # Errors
/// When its file cannot be changed or put back, or cargo cannot be started.
pub fn attempt(copy: &Copy, subject: &Subject, mutant: &Mutant) -> anyhow::Result<Outcome> {
    let path = copy.root().join(&mutant.file);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    fs::write(&path, mutant.apply(&text))?;
    let outcome = stages(copy, subject);
    fs::write(&path, text)?;
    outcome
}

fn stages(copy: &Copy, subject: &Subject) -> anyhow::Result<Outcome> {
    for stage in subject.stages {
        let what = stage.split(|word| *word == "--").next().unwrap_or_default();
        let build = [what, &["--no-run"]].concat();
        match cargo_test(copy, subject, &build, BUILD_DEADLINE)? {
            Ending::Passed => {}
            Ending::Failed | Ending::Hung => return Ok(Outcome::Unviable),
        }
        match cargo_test(copy, subject, stage, TESTS_DEADLINE)? {
            Ending::Passed => {}
            Ending::Failed => return Ok(Outcome::Caught),
            Ending::Hung => return Ok(Outcome::Hung),
        }
    }
    Ok(Outcome::Survived)
}

/// How `cargo test` ended.
enum Ending {
    Passed,
    Failed,
    /// It did not end in its time.
    Hung,
}

/// Runs `cargo test` for the subject, until it ends, a test fails, or its time is over.
fn cargo_test(
    copy: &Copy,
    subject: &Subject,
    words: &[&str],
    deadline: Duration,
) -> anyhow::Result<Ending> {
    let file = File::create(log(copy))?;
    let child = Command::new("cargo")
        .current_dir(copy.root())
        .args(["test", "--locked", "--quiet", "--config", CONFIG])
        .args(["--package", subject.package])
        .args(words)
        .env("CARGO_TARGET_DIR", target(copy))
        .env("CARGO_INCREMENTAL", "1")
        // An input that a property fails for is of no use to anybody but this mutant.
        .env("PROPTEST_FAILURE_PERSISTENCE", "off")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .context("cannot start cargo")?;
    wait(child, &log(copy), deadline)
}

fn target(copy: &Copy) -> PathBuf {
    copy.root().with_file_name("target")
}

fn log(copy: &Copy) -> PathBuf {
    copy.root().with_file_name("tests.log")
}

#[expect(
    clippy::disallowed_methods,
    reason = "std waits for a child without a deadline only, and there is no runtime here to stall"
)]
fn wait(mut child: Child, log: &Path, deadline: Duration) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let mut read_at = started;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() {
                Ending::Passed
            } else {
                Ending::Failed
            });
        }
        if started.elapsed() > deadline {
            kill(&mut child)?;
            return Ok(Ending::Hung);
        }
        if read_at.elapsed() > READ_INTERVAL {
            read_at = Instant::now();
            if fs::read_to_string(log).is_ok_and(|text| text.contains(FAILED)) {
                kill(&mut child)?;
                return Ok(Ending::Failed);
            }
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Ends the command and all that it started.
fn kill(child: &mut Child) -> anyhow::Result<()> {
    let group = format!("-{}", child.id());
    Command::new("kill")
        .args(["-KILL", "--", &group])
        .status()?;
    child.wait()?;
    Ok(())
}
