//! A process under measurement: pinned to its core, ready when it says so, ended after the run.
//!
//! It cannot outlive the generator: if that is killed, the kernel ends the process.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::{sleep, timeout},
};

use crate::counters;

/// Time to get ready, and time to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time from SIGTERM to SIGKILL.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// How often a process that does not report its readiness is polled.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How to start a process.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The processor that it may use; `None` is any.
    pub core: Option<usize>,
    /// Where its log goes.
    pub log: PathBuf,
}

impl Program {
    /// The error for a process that did not get ready, with its log.
    fn not_ready(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        format!("{:?} did not get ready: {said}", self.command)
    }
}

/// A running process.
pub struct Process {
    child: Child,
    pid: u32,
    ready: String,
    /// Kept open as long as the process may write to it; `None` when it writes to its log.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it and waits for its line that begins with `ready`.
    ///
    /// # Errors
    /// When it does not get ready; the message holds its log.
    pub async fn start(program: &Program) -> anyhow::Result<Self> {
        let mut command = command(program)?;
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.context("cannot start a target")?;
        let pid = child.id().context("a target ended at once")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut ready = String::new();
        let line = timeout(PATIENCE, stdout.read_line(&mut ready)).await;
        if !matches!(line, Ok(Ok(_))) || !ready.starts_with("ready") {
            bail!(program.not_ready());
        }
        Ok(Self {
            child,
            pid,
            ready,
            _stdout: Some(stdout),
        })
    }

    /// Starts a process that does not report its readiness: it is ready when it listens at
    /// `address`.
    ///
    /// # Errors
    /// When it does not get ready; the message holds its log.
    pub async fn start_listening(program: &Program, address: SocketAddr) -> anyhow::Result<Self> {
        let child = command(program)?.spawn();
        let mut child = child.context("cannot start a target")?;
        let pid = child.id().context("a target ended at once")?;
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(ASK_EVERY).await;
            }
        };
        let is_ready = tokio::select! {
            listening = timeout(PATIENCE, listening) => listening.is_ok(),
            _ = child.wait() => false,
        };
        if !is_ready {
            bail!(program.not_ready());
        }
        Ok(Self {
            child,
            pid,
            ready: String::new(),
            _stdout: None,
        })
    }

    /// The value of `key=value` in the line that reported its readiness.
    ///
    /// # Errors
    /// When it has none.
    pub fn field(&self, key: &str) -> anyhow::Result<&str> {
        let value = self
            .ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        value.with_context(|| format!("no {key} in: {}", self.ready.trim_end()))
    }

    /// Processor time that it has used.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        counters::processor_time(self.pid).context("the target has ended")
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        counters::resident_bytes(self.pid).context("the target has ended")
    }

    /// Asks it to stop; ends it if it does not.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status();
        asked.await.context("cannot run `kill`")?;
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

fn command(program: &Program) -> anyhow::Result<Command> {
    let log = std::fs::File::create(&program.log)
        .with_context(|| format!("cannot write {}", program.log.display()))?;
    let mut words: Vec<OsString> = Vec::new();
    if let Some(core) = program.core {
        words.extend([
            "taskset".into(),
            "--cpu-list".into(),
            core.to_string().into(),
        ]);
    }
    words.extend(["setpriv".into(), "--pdeathsig".into(), "KILL".into()]);
    words.extend(program.command.iter().cloned());
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    Ok(command)
}

/// Pins this process to a core.
///
/// # Errors
/// When `taskset` is missing or refuses.
pub async fn pin_self(core: usize) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args([
            "--all-tasks",
            "--cpu-list",
            "--pid",
            &core.to_string(),
            &pid,
        ])
        .stdout(Stdio::null())
        .status();
    if !pinned.await.context("cannot run `taskset`")?.success() {
        bail!("cannot pin the generator to core {core}");
    }
    Ok(())
}
