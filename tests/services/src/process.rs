//! One server process: started with its output in a file, and reliably ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::PATIENCE;

/// Time between two polls of a state.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server process. Dropping it ends it with SIGKILL, unless it was [left
/// running](Process::leave).
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    is_left: bool,
}

impl Process {
    /// Starts `command`; its output goes to the file `log`. Keys pressed on the terminal do not
    /// reach it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let out = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null());
        command.stdout(out.try_clone()?).stderr(out);
        std::os::unix::process::CommandExt::process_group(command, 0);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
            is_left: false,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Calls `probe` until it returns true.
    ///
    /// # Errors
    /// When the process ends first or [`PATIENCE`] runs out; the message holds its last output.
    pub fn wait_until(
        &mut self,
        what: &str,
        mut probe: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while !probe() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{what}: the process ended, {status}\n{}", self.last_words());
            }
            if started.elapsed() > PATIENCE {
                bail!("{what}: not within {PATIENCE:?}\n{}", self.last_words());
            }
            pause();
        }
        Ok(())
    }

    /// Ends it as a crash would, with SIGKILL, and waits until it has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Leaves it running when this value is dropped.
    pub fn leave(mut self) -> u32 {
        self.is_left = true;
        self.id()
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_left {
            // It may have ended by itself: then there is nothing to end.
            let _ = self.kill();
        }
    }
}

/// Sends `signal`, such as `-STOP`, to the process `id`.
///
/// # Errors
/// When there is no such process.
pub fn signal(id: u32, signal: &str) -> anyhow::Result<()> {
    let mut kill = Command::new("kill");
    kill.args([signal, &id.to_string()]).stderr(Stdio::null());
    if !kill.status()?.success() {
        bail!("kill {signal} {id} failed");
    }
    Ok(())
}

/// Whether the process `id` runs and was started for the folder `folder`, which is among its
/// arguments: the id alone may belong to another process by now.
pub fn is_running(id: u32, folder: &Path) -> bool {
    let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let folder = folder.to_string_lossy();
    arguments
        .split(|byte| *byte == 0)
        .any(|argument| String::from_utf8_lossy(argument).starts_with(&*folder))
}

/// Asks the process `id` to end, waits, and ends it with SIGKILL if it does not.
///
/// # Errors
/// When it is still there after that.
pub fn end(id: u32, folder: &Path) -> anyhow::Result<()> {
    for signal_name in ["-TERM", "-KILL"] {
        let started = Instant::now();
        // It may have ended already; the loop notices that.
        let _ = signal(id, signal_name);
        while started.elapsed() < Duration::from_secs(10) {
            if !is_running(id, folder) {
                return Ok(());
            }
            pause();
        }
    }
    bail!("the process {id} does not end")
}

#[expect(
    clippy::disallowed_methods,
    reason = "asks again after a while; there is no runtime here to stall"
)]
fn pause() {
    std::thread::sleep(POLL_INTERVAL);
}
