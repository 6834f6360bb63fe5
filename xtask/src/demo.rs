//! `cargo xtask demo`: the whole thing on this machine, until Ctrl-C.
//!
//! Builds the server, the SDK and the page, and nothing of tests and benches. Start reading at [`demo`].

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    binary,
    output::{self, say},
    stale, tree,
};

mod cluster;
mod process;

use process::{Event, Events, Ready, Server, detach, shut_down};

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
    /// Also start a bot that writes back, so that one person alone can try it.
    #[arg(long)]
    bot: bool,
    /// Two nodes on MongoDB and Redis, with bots; needs their programs, which Debian gets installed.
    #[arg(long)]
    cluster: bool,
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
    let commands = match &services {
        Some(services) => cluster::commands(root, args, (&programs, services)),
        None => vec![command(root, args, &programs)],
    };
    run(commands, &programs)
}

/// The programs of the demo.
struct Programs {
    server: PathBuf,
    bot: Option<PathBuf>,
}

/// Builds the page beside the programs: npm waits for the network and for its own tools, cargo for cores.
fn build(root: &Path, args: &DemoArgs) -> anyhow::Result<Programs> {
    let log = tree::target_dir(root).join("page.log");
    std::fs::create_dir_all(tree::target_dir(root))?;
    let file = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
    say!(
        "   building what is stale of server, SDK and page: minutes the first time, seconds later"
    );
    let (page, programs) = std::thread::scope(|scope| {
        let page = scope.spawn(|| {
            output::keep_in(file);
            stale::build_page(root)
        });
        let programs = build_programs(root, args);
        (page.join(), programs)
    });
    let Ok(page) = page else {
        bail!(
            "building the page panicked; what it said is in {}",
            log.display()
        );
    };
    page.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
        .context("the page was not built")?;
    programs
}

fn build_programs(root: &Path, args: &DemoArgs) -> anyhow::Result<Programs> {
    // One node needs no MongoDB and no Redis, which are a good part of what there is to compile.
    let (server, bot) = ([binary::SERVER], [binary::SERVER, "bot"]);
    Ok(if args.cluster {
        let [server, bot] = binary::build(root, bot, args.release)?;
        Programs {
            server,
            bot: Some(bot),
        }
    } else if args.bot {
        let [server, bot] = binary::build_lean(root, bot, args.release)?;
        Programs {
            server,
            bot: Some(bot),
        }
    } else {
        let [server] = binary::build_lean(root, server, args.release)?;
        Programs { server, bot: None }
    })
}

/// Runs one server for each of `commands`, and the bot if it was built, until Ctrl-C.
fn run(commands: Vec<Command>, programs: &Programs) -> anyhow::Result<()> {
    let mut events = Events::new()?;
    let mut servers = Vec::new();
    for command in commands {
        match Server::start(command, &mut events)? {
            Some(server) => servers.push(server),
            None => return end(servers, None),
        }
    }
    let ready: Vec<_> = servers.iter().map(|server| &server.ready).collect();
    match ready.as_slice() {
        [only] => announce(only),
        nodes => cluster::announce(nodes),
    }
    let bot = match (&programs.bot, ready.first()) {
        (Some(bot), Some(first)) => Some(start_bot(bot, first)?),
        _ => None,
    };
    let is_stopped = loop {
        match events.next()? {
            Event::Line(line) => println!("{line}"),
            Event::Ended => break false,
            Event::Stop => break true,
        }
    };
    end(servers, bot)?;
    if !is_stopped {
        bail!("a server ended by itself");
    }
    Ok(())
}

fn command(root: &Path, args: &DemoArgs, programs: &Programs) -> Command {
    let mut command = serve_command(root, &programs.server);
    command
        .arg("--listen-http")
        .arg(format!("127.0.0.1:{}", args.port))
        .arg("--data")
        .arg(&args.data);
    command
}

fn serve_command(root: &Path, server: &Path) -> Command {
    let mut command = Command::new(server);
    command
        .arg("serve")
        .arg("--web-root")
        .arg(root.join("examples/vanilla/dist"));
    command
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

/// Asks the bot and then the servers to stop, and waits for them.
fn end(servers: Vec<Server>, bot: Option<Child>) -> anyhow::Result<()> {
    if let Some(bot) = bot {
        shut_down(bot)?;
    }
    for server in servers {
        server.shut_down()?;
    }
    Ok(())
}
