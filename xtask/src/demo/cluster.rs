//! `cargo xtask demo --cluster`: two nodes on a MongoDB and a Redis of their own, until Ctrl-C.
//!
//! Node 1 serves the page, and `/v1/connect` sends people to either. A bot waits in each category, so
//! that a person alone gets a partner. What the servers keep is gone when they end.

use std::path::Path;

use anyhow::{Context as _, bail};
use services::{mongodb::ReplicaSet, redis::Redis};
use tokio::process::Child;

use super::{DemoArgs, Programs, Ready, Server, Stop, shut_down, start_bot};
use crate::{services::programs, tree};

/// How many nodes.
const NODES: u16 = 2;

/// UDP port of node 1; the next ones follow.
const QUIC_PORT: u16 = 4_433;

/// What the nodes stand on. Dropping it ends them.
pub(super) struct Services {
    mongodb: ReplicaSet,
    redis: Redis,
    _folder: Scratch,
}

/// A folder that is removed at the end.
struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in target/, which anybody may empty.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Services {
    /// Starts them.
    pub(super) fn start(root: &Path) -> anyhow::Result<Self> {
        let (mongod, redis_server) = programs(root)?;
        let path = tree::target_dir(root).join(format!("demo-{}", std::process::id()));
        let folder = Scratch(path);
        println!("   starting mongod and redis-server on loopback");
        Ok(Self {
            mongodb: ReplicaSet::start(&mongod, &folder.0.join("mongodb"), 1, &[])?,
            redis: Redis::start(&redis_server, &folder.0.join("redis"), &[])?,
            _folder: folder,
        })
    }
}

/// Runs the nodes and the bots until Ctrl-C.
pub(super) async fn run(
    root: &Path,
    args: &DemoArgs,
    (programs, services): (&Programs, &Services),
) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut nodes: Vec<Server> = Vec::new();
    for index in 0..NODES {
        let mut command = super::serve_command(root, &programs.server);
        node_flags(&mut command, args, services, index);
        let started = tokio::select! {
            started = Server::start(command) => started?,
            () = stop.wait() => return end(nodes, None).await,
        };
        nodes.push(started);
    }
    let ready: Vec<_> = nodes.iter().map(|node| &node.ready).collect();
    announce(&ready);
    let first = ready.first().context("there is a node")?;
    let bot = programs.bot.as_ref().context("the bot was built")?;
    let bot = start_bot(bot, first)?;
    let ended = tokio::select! {
        () = any_ends(&mut nodes) => true,
        () = stop.wait() => false,
    };
    end(nodes, Some(bot)).await?;
    if ended {
        bail!("a node ended by itself");
    }
    Ok(())
}

fn node_flags(
    command: &mut tokio::process::Command,
    args: &DemoArgs,
    services: &Services,
    index: u16,
) {
    let pages = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{}", args.port));
    command
        .arg("--listen-http")
        .arg(format!("127.0.0.1:{}", args.port + index))
        .arg("--listen-quic")
        .arg(format!("127.0.0.1:{}", QUIC_PORT + index))
        .arg("--data")
        .arg(args.data.join(format!("node-{}", index + 1)))
        .arg("--store")
        .arg(services.mongodb.url())
        .arg("--set")
        .arg(format!("broker={}", services.redis.url()))
        // Who stops the demo does not want to wait for people to move.
        .args(["--set", "drain=1s"])
        // The page comes from node 1, and connects to either.
        .arg("--set")
        .arg(format!("origins={}", pages.join(",")));
}

fn announce(nodes: &[&Ready]) {
    println!();
    for (number, node) in (1..).zip(nodes) {
        println!("   node {number}          {}", node.http);
        println!("   WebTransport    {}", node.webtransport);
    }
    if let Some(first) = nodes.first() {
        println!("   page            {}", first.http);
    }
    println!("   Open the page in two windows; alone you meet a bot. Ctrl-C stops everything.");
    println!("ready");
}

/// Waits until one of the nodes has ended, passing on what they print.
async fn any_ends(nodes: &mut [Server]) {
    let [first, second] = nodes else { return };
    tokio::select! {
        _ = first.child.wait() => {}
        _ = second.child.wait() => {}
        () = super::pass_on(&mut first.lines) => {}
        () = super::pass_on(&mut second.lines) => {}
    }
}

async fn end(nodes: Vec<Server>, bot: Option<Child>) -> anyhow::Result<()> {
    if let Some(bot) = bot {
        shut_down(bot).await?;
    }
    for node in nodes {
        shut_down(node.child).await?;
    }
    Ok(())
}
