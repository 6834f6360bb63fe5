//! Runs external commands: each is printed as it would be typed, and with the time it took.
//!
//! Standard input is always closed, so no tool can wait for a person. A command that says nothing
//! for half a minute is reported as still running.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::output::{self, say};

/// How often a running command is looked at: short against any command, long against a CPU.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often a long command is reported as alive: CI services take silence for a hang.
const STILL_RUNNING_INTERVAL: Duration = Duration::from_secs(30);

/// How much of a log is shown when its command fails.
const LAST_LINES: usize = 60;

/// An external command about to run.
pub struct Run {
    command: Command,
}

impl Run {
    /// `program`, in the folder `dir`.
    pub fn new(dir: &Path, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null());
        Self { command }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds one argument.
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with its output where the words of this thread go: as a rule the terminal.
    ///
    /// # Errors
    /// When it cannot be started, or ends with anything but 0.
    pub fn run(mut self) -> anyhow::Result<()> {
        output::of_command(&mut self.command)?;
        self.finish()
    }

    fn finish(self) -> anyhow::Result<()> {
        self.start()?.finish()
    }

    fn start(mut self) -> anyhow::Result<Started> {
        let shown = self.shown();
        say!("   $ {shown}");
        let begin = Instant::now();
        let child = self.command.spawn();
        Ok(Started {
            child: child.with_context(|| cannot_start(&shown))?,
            shown,
            begin,
            log: None,
        })
    }

    /// Starts it with its output in the file `log`: for tools that say far more than anyone reads, and for
    /// those that run beside others.
    ///
    /// # Errors
    /// When it cannot be started, or the file cannot be written.
    pub fn start_logged(mut self, log: &Path) -> anyhow::Result<Started> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        self.command.stdout(file.try_clone()?).stderr(file);
        let mut started = self.start()?;
        started.log = Some(log.to_owned());
        Ok(started)
    }

    /// Runs it quietly and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started, or ends with anything but 0; the message holds its errors.
    pub fn read(mut self) -> anyhow::Result<String> {
        let shown = self.shown();
        let output = self
            .command
            .output()
            .with_context(|| cannot_start(&shown))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("`{shown}` failed: {}\n{}", output.status, errors.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it quietly and returns whether it ended with 0, and what it printed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn read_either(mut self) -> anyhow::Result<(bool, String)> {
        let shown = self.shown();
        let output = self.command.output();
        let output = output.with_context(|| cannot_start(&shown))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.success(), printed))
    }

    /// The command as it would be typed, with its folder when it is not the current one.
    fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let words: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let dir = self.command.get_current_dir();
        match dir.and_then(|dir| dir.strip_prefix(crate::tree::root().ok()?).ok()) {
            Some(dir) if dir != Path::new("") => {
                format!("(cd {} && {})", dir.display(), words.join(" "))
            }
            _ => words.join(" "),
        }
    }
}

/// A command that runs.
pub struct Started {
    child: Child,
    shown: String,
    begin: Instant,
    log: Option<PathBuf>,
}

impl Started {
    /// Waits until it ends.
    ///
    /// # Errors
    /// When it ends with anything but 0; the message holds the end of its log.
    pub fn finish(self) -> anyhow::Result<()> {
        let Self { shown, begin, .. } = self;
        let status = wait(self.child, &shown)?;
        say!("     {:.1} s", begin.elapsed().as_secs_f32());
        if status.success() {
            return Ok(());
        }
        let failed = anyhow::anyhow!("`{shown}` failed: {status}");
        Err(match self.log {
            Some(log) => failed.context(last_lines(&log)),
            None => failed,
        })
    }
}

/// Whether `program` succeeds with `args`.
pub fn is_available(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[expect(
    clippy::disallowed_methods,
    reason = "std waits for a child without a deadline only, and there is no runtime here to stall"
)]
fn wait(mut child: Child, shown: &str) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    let mut reports = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(POLL_INTERVAL);
        if started.elapsed() > STILL_RUNNING_INTERVAL * (reports + 1) {
            reports += 1;
            say!("     … {} s: {shown}", started.elapsed().as_secs());
        }
    }
}

/// The end of a log, for the message of a failure.
fn last_lines(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<_> = text.lines().rev().take(LAST_LINES).collect();
    lines.reverse();
    format!("the end of {}:\n{}", log.display(), lines.join("\n"))
}

fn cannot_start(shown: &str) -> String {
    format!("cannot start `{shown}`")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=./:,@+{}%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
