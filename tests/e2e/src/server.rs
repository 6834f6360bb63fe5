//! The real server binary as a process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, bail};
use nowrong_client::Api;
use services::CLUSTER_SECRET_ENV;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{PATIENCE, disk::Disk, within};

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// More flags of `nowrong serve`.
    pub flags: Vec<String>,
    /// Whether the log holds only what went wrong.
    pub is_quiet: bool,
    /// Where standard error leads.
    pub stderr: Stderr,
    /// Megabytes of a disk of its own for the data; `None`: the data are on the disk of the machine.
    pub disk_mb: Option<u32>,
}

/// Where the standard error of a server leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stderr {
    /// Into a file: [`TestServer::log`].
    #[default]
    Log,
    /// Onto a full device.
    FullDevice,
    /// Into a pipe whose reader is gone.
    BrokenPipe,
}

impl ServerOptions {
    /// These flags on top of what every test uses.
    pub fn flags(flags: &[&str]) -> Self {
        Self {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// A running server with a data folder of its own.
pub struct TestServer {
    child: Child,
    folder: TempDir,
    disk: Option<Disk>,
    options: ServerOptions,
    places: Places,
}

/// Where a server listens.
struct Places {
    http: SocketAddr,
    quic: SocketAddr,
    websocket: String,
}

impl TestServer {
    /// Starts a server on free ports.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a server on free ports with more flags.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_with(options: ServerOptions) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .disable_cleanup(std::env::var_os("KEEP").is_some())
            .tempdir()?;
        let disk = match options.disk_mb {
            Some(size) => Some(Disk::mount(&folder.path().join("data"), size).await?),
            None => None,
        };
        let (child, places) = spawn(folder.path(), disk.as_ref(), &options, [any(), any()]).await?;
        Ok(Self {
            child,
            folder,
            disk,
            options,
            places,
        })
    }

    /// The REST client of this server.
    pub fn api(&self) -> Api {
        Api::new(&self.url()).expect("a loopback address is a URL")
    }

    /// `http://address` of this server.
    pub fn url(&self) -> String {
        format!("http://{}", self.places.http)
    }

    /// Where WebTransport listens; port 0 where it is off.
    pub fn quic(&self) -> SocketAddr {
        self.places.quic
    }

    /// Where REST and WebSocket listen.
    pub fn http(&self) -> SocketAddr {
        self.places.http
    }

    /// The URL that clients open a WebSocket to.
    pub fn websocket(&self) -> &str {
        &self.places.websocket
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything the server has logged, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the process as a crash would: SIGKILL.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .context("the server cannot be killed")
    }

    /// Starts it again on the same data and the same ports.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.restart_with(&[]).await
    }

    /// Starts it again with more flags for this time.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn restart_with(&mut self, flags: &[&str]) -> anyhow::Result<()> {
        let mut options = self.options.clone();
        options
            .flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        let Places { http, quic, .. } = self.places;
        let disk = self.disk.as_ref();
        let (child, _) = spawn(self.folder.path(), disk, &options, [http, quic]).await?;
        self.child = child;
        Ok(())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(within("the server ends by itself", self.child.wait()).await?)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn has_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to stop with SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.terminate().await?;
        self.ended().await
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        self.signal("-TERM").await
    }

    /// Sends a signal such as `-STOP`.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("the server has ended")?;
        let status = Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .await?;
        if !status.success() {
            bail!("kill {signal} {pid} failed");
        }
        Ok(())
    }

    /// From now on no file can be written beyond this many bytes, as on a full disk; `None` lifts the
    /// limit.
    ///
    /// # Errors
    /// When the process is gone, or `prlimit` is missing.
    pub async fn limit_files(&self, bytes: Option<u64>) -> anyhow::Result<()> {
        let pid = self.child.id().context("the server has ended")?.to_string();
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let limit = format!("--fsize={limit}:");
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
        if !status.await.context("prlimit (util-linux)")?.success() {
            bail!("prlimit {limit} failed");
        }
        Ok(())
    }

    /// Fills its disk ([`ServerOptions::disk_mb`]) but for `left` bytes; `None` makes room again.
    ///
    /// # Errors
    /// When it has no disk of its own, or the disk cannot be written to.
    pub fn fill_disk(&self, left: Option<u64>) -> anyhow::Result<()> {
        self.disk.as_ref().context("it has no disk")?.fill(left)
    }

    /// The resident memory of the process in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let pid = self.child.id().context("the server has ended")?;
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .context("no resident pages")?
            .parse()?;
        Ok(pages * 4_096)
    }
}

/// Any free port of this machine.
fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn spawn(
    folder: &Path,
    disk: Option<&Disk>,
    options: &ServerOptions,
    [http, quic]: [SocketAddr; 2],
) -> anyhow::Result<(Child, Places)> {
    let log = stderr(folder, options.stderr)?;
    let mut command = match disk {
        Some(disk) => disk.command(binary()?)?,
        None => Command::new(binary()?),
    };
    let mut child = command
        // Ours; the server would take it for a key of its own.
        .env_remove("NOWRONG_BIN")
        .envs([CLUSTER_SECRET_ENV])
        .arg("serve")
        .args([
            "--listen-http",
            &http.to_string(),
            "--listen-quic",
            &quic.to_string(),
        ])
        .args([
            "--data",
            &folder.join("data").to_string_lossy(),
            "--log-level",
            if options.is_quiet { "warn" } else { "debug" },
        ])
        // All people of a test come from one address.
        .args([
            "--set",
            "limits.register_burst=100000",
            "--set",
            "limits.requests_burst=100000",
            "--set",
            "limits.account_burst=100000",
            // Tests that ask for proofs of work say so.
            "--set",
            "limits.proof_work=0",
        ])
        .args(&options.flags)
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    let Ok(Ok(Some(ready))) = ready else {
        let said = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        bail!("the server did not get ready; it said:\n{said}");
    };
    Ok((child, places(&ready)?))
}

fn stderr(folder: &Path, stderr: Stderr) -> std::io::Result<Stdio> {
    let mut file = std::fs::File::options();
    Ok(match stderr {
        Stderr::Log => file
            .create(true)
            .append(true)
            .open(folder.join("log"))?
            .into(),
        Stderr::FullDevice => file.write(true).open("/dev/full")?.into(),
        Stderr::BrokenPipe => std::io::pipe()?.1.into(),
    })
}

/// Reads the line `ready http=… webtransport=… websocket=…`.
fn places(ready: &str) -> anyhow::Result<Places> {
    let field = |key: &str| {
        let mut words = ready.split_whitespace();
        let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        value.with_context(|| format!("no {key} in: {ready}"))
    };
    let address = |key: &str| -> anyhow::Result<SocketAddr> {
        let value = field(key)?;
        if value == "off" {
            return Ok(any());
        }
        let authority = value.split("//").nth(1);
        let authority = authority.and_then(|rest| rest.split('/').next());
        Ok(authority
            .with_context(|| format!("no address in {key} of: {ready}"))?
            .parse()?)
    };
    Ok(Places {
        http: address("http")?,
        quic: address("webtransport")?,
        websocket: field("websocket")?.to_owned(),
    })
}

/// The binary under test: `NOWRONG_BIN`, else the one that Cargo built beside this test.
///
/// # Errors
/// When it was not built.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("NOWRONG_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let profile = test
        .ancestors()
        .nth(2)
        .context("a test lies in target/PROFILE/deps")?;
    let path = profile.join("nowrong");
    if !path.exists() {
        bail!(
            "{} is missing: run `cargo build -p nowrong-server` first",
            path.display()
        );
    }
    Ok(path)
}
