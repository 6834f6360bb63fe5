//! A lab, as its users see it: a network namespace behind an emulated link. Dropping it ends both.

use std::{ffi::OsString, net::Ipv4Addr, path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::conditions::{Conditions, Counts, Direction, Request};

/// The end of the link in the namespace of the process that started the lab.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The end of the link in the namespace behind it.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Time for a part of the lab to reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds a namespace open; an hour is longer than any test.
const HOLD: &str = "ip link set lo up && echo ready && exec sleep 3600";

/// A running lab.
pub struct Lab {
    /// Holds the namespace behind the link.
    _holder: Part,
    pid: u32,
    emulator: Part,
    requests: ChildStdin,
}

impl Lab {
    /// Starts a lab with the program `netlab`. Its link is a wire at first.
    ///
    /// # Errors
    /// When a lab cannot be made here; the message says what is missing.
    pub async fn start(program: &Path, seed: u64) -> anyhow::Result<Self> {
        let (holder, _stdin) = Part::start(["unshare", "--net", "sh", "-c", HOLD]).await?;
        let pid = holder.child.id().context("the namespace is gone")?;
        let arguments = [pid.to_string(), seed.to_string()];
        let words = [program.as_os_str().to_owned()].into_iter();
        let words = words.chain(arguments.map(OsString::from));
        let (emulator, requests) = Part::start(words).await?;
        Ok(Self {
            _holder: holder,
            pid,
            emulator,
            requests: requests.context("no standard input")?,
        })
    }

    /// The prefix of a command that should run behind the link.
    pub fn enter(&self) -> [OsString; 5] {
        let pid = self.pid.to_string();
        ["nsenter", "--target", &pid, "--net", "--"].map(OsString::from)
    }

    /// From now on both directions have these conditions.
    ///
    /// # Errors
    /// When the emulator is gone.
    pub async fn set(&mut self, conditions: Conditions) -> anyhow::Result<()> {
        for direction in Direction::BOTH {
            self.ask(Request::Set(direction, conditions)).await?;
        }
        Ok(())
    }

    /// The traffic of the link so far.
    ///
    /// # Errors
    /// When the emulator is gone.
    pub async fn counts(&mut self) -> anyhow::Result<Counts> {
        self.ask(Request::Count).await
    }

    /// Ends the link and waits until its devices are gone.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut emulator = self.emulator;
        drop(self.requests);
        let ended = timeout(PATIENCE, emulator.child.wait()).await;
        ended.context("the emulator does not end")??;
        Ok(())
    }

    async fn ask(&mut self, request: Request) -> anyhow::Result<Counts> {
        let line = serde_json::to_string(&request)? + "\n";
        self.requests.write_all(line.as_bytes()).await?;
        let answer = self.emulator.line().await?;
        serde_json::from_str(&answer).with_context(|| format!("the emulator said: {answer}"))
    }
}

/// A process of the lab. The kernel ends it with the one that started it.
struct Part {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Part {
    async fn start(
        words: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> anyhow::Result<(Self, Option<ChildStdin>)> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command.args(words.into_iter().map(Into::into));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no standard output")?;
        let said = BufReader::new(stdout).lines();
        let mut part = Self { child, said };
        let first = part.line().await;
        let first =
            first.context("a network namespace with an emulated link cannot be made here")?;
        anyhow::ensure!(first == "ready", "a part of the lab said: {first}");
        Ok((part, stdin))
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = timeout(PATIENCE, self.said.next_line()).await;
        let line = line.context("a part of the lab does not answer")??;
        line.context("a part of the lab has ended")
    }
}
