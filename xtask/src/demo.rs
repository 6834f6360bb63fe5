//! `cargo xtask demo`: the whole thing on this machine, until Ctrl-C.
//!
//! The server runs in a process group of its own, so that a Ctrl-C in the terminal reaches it once
//! and through us; when it has stopped, its exit code is ours.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{binary, stale};

mod cluster;

/// How the demo runs.
#[derive(Args)]
pub struct DemoArgs {
    /// TCP port of the page, REST and WebSocket on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Folder of the data; made when missing.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Build with optimisation.
    #[arg(long)]
    release: bool,
    /// Also start a bot that answers, so that one person alone can try it.
    #[arg(long)]
    bot: bool,
    /// Two nodes on MongoDB and Redis, with bots; needs their programs, which Debian gets installed.
    #[arg(long)]
    cluster: bool,
}

/// What the server printed when it was ready: `ready http=… webtransport=… …`.
#[derive(Debug, PartialEq)]
struct Ready {
    http: String,
    webtransport: String,
}

/// Builds what is stale, runs the server, waits for Ctrl-C.
///
/// # Errors
/// When a build fails, or the server does not start or ends with anything but 0.
pub fn demo(root: &Path, args: &DemoArgs) -> anyhow::Result<()> {
    let programs = build(root, args)?;
    let services = match args.cluster {
        true => Some(cluster::Services::start(root)?),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &services {
            Some(services) => cluster::run(root, args, (&programs, services)).await,
            None => run(root, args, &programs).await,
        }
    })
}

/// The programs of the demo.
struct Programs {
    server: PathBuf,
    bot: Option<PathBuf>,
}

fn build(root: &Path, args: &DemoArgs) -> anyhow::Result<Programs> {
    stale::build_page(root)?;
    Ok(if args.bot || args.cluster {
        let [server, bot] = binary::build(root, [binary::SERVER, "bot"], args.release)?;
        Programs {
            server,
            bot: Some(bot),
        }
    } else {
        let [server] = binary::build(root, [binary::SERVER], args.release)?;
        Programs { server, bot: None }
    })
}

async fn run(root: &Path, args: &DemoArgs, programs: &Programs) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut command = serve_command(root, &programs.server);
    command
        .arg("--listen-http")
        .arg(format!("127.0.0.1:{}", args.port))
        .arg("--data")
        .arg(&args.data);
    let Server {
        child: mut server,
        mut lines,
        ready,
    } = tokio::select! {
        started = Server::start(command) => started?,
        // Dropped, it is ended: it had not begun.
        () = stop.wait() => return Ok(()),
    };
    announce(&ready);
    let bot = programs.bot.as_ref();
    let bot = bot.map(|bot| start_bot(bot, &ready)).transpose()?;
    let status = tokio::select! {
        status = server.wait() => Some(status?),
        () = pass_on(&mut lines) => None,
        () = stop.wait() => None,
    };
    if let Some(bot) = bot {
        shut_down(bot).await?;
    }
    match status {
        Some(status) => bail!("the server ended by itself: {status}"),
        None => shut_down(server).await,
    }
}

/// A server that is ready.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ready: Ready,
}

impl Server {
    async fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.spawn().context("cannot start the server")?;
        let stdout = child.stdout.take().context("the server's output is ours")?;
        let mut lines = BufReader::new(stdout).lines();
        match wait_until_ready(&mut lines).await? {
            Some(ready) => Ok(Self {
                child,
                lines,
                ready,
            }),
            None => bail!("the server did not start: {}", child.wait().await?),
        }
    }
}

fn serve_command(root: &Path, server: &Path) -> Command {
    let mut command = Command::new(server);
    command
        .arg("serve")
        .arg("--web-root")
        .arg(root.join("examples/vanilla/dist"));
    detach(&mut command);
    command.stdout(Stdio::piped());
    command
}

/// Gives the process a group of its own and no input; it never outlives a failure of ours.
fn detach(command: &mut Command) {
    command
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
}

/// Passes the server's lines on until it is ready; `None` when it ended before.
async fn wait_until_ready(
    lines: &mut Lines<BufReader<ChildStdout>>,
) -> anyhow::Result<Option<Ready>> {
    while let Some(line) = lines.next_line().await? {
        if let Some(ready) = parse_ready(&line) {
            return Ok(Some(ready));
        }
        println!("{line}");
    }
    Ok(None)
}

async fn pass_on(lines: &mut Lines<BufReader<ChildStdout>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        println!("{line}");
    }
    // Its end is seen where the process is waited for.
    std::future::pending().await
}

fn parse_ready(line: &str) -> Option<Ready> {
    let fields = line.strip_prefix("ready ")?;
    let field = |name: &str| {
        let mut pairs = fields
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    Some(Ready {
        http: field("http")?,
        webtransport: field("webtransport").unwrap_or_default(),
    })
}

fn announce(ready: &Ready) {
    println!();
    println!("   page and REST   {}", ready.http);
    println!("   API docs        {}/docs", ready.http);
    println!("   WebTransport    {}", ready.webtransport);
    println!("   Open the page in two windows, or `cargo run --bin bot` to have company.");
    println!("   Ctrl-C stops it.");
    println!("ready");
}

fn start_bot(bot: &Path, ready: &Ready) -> anyhow::Result<Child> {
    let mut command = Command::new(bot);
    command.arg("--url").arg(&ready.http);
    detach(&mut command);
    command.spawn().context("cannot start the bot")
}

/// Asks the process to stop and waits for it.
async fn shut_down(mut child: Child) -> anyhow::Result<()> {
    let Some(id) = child.id() else {
        return Ok(());
    };
    // Neither std nor tokio sends a signal other than SIGKILL.
    let kill = Command::new("kill")
        .arg("-TERM")
        .arg(id.to_string())
        .status()
        .await;
    kill.context("cannot run `kill`")?;
    let status = child.wait().await?;
    if !status.success() {
        bail!("it did not stop cleanly: {status}");
    }
    Ok(())
}

/// Ctrl-C, a request to terminate, or a terminal that was closed.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_read_by_field() {
        let ready =
            parse_ready("ready http=http://127.0.0.1:8080 webtransport=https://localhost:4433 x=y");
        let expected = Ready {
            http: "http://127.0.0.1:8080".to_owned(),
            webtransport: "https://localhost:4433".to_owned(),
        };
        assert_eq!(ready, Some(expected));
        assert_eq!(parse_ready("INFO ready http=http://x"), None);
        assert_eq!(parse_ready("ready soon"), None);
    }
}
