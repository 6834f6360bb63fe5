//! `cargo xtask demo --cluster`: two nodes on a MongoDB and a Redis of their own, until Ctrl-C.
//!
//! Node 1 serves the page, and `/v1/connect` sends people to either. A bot waits in each category, so
//! that a person alone gets a partner. What the servers keep is gone when they end.

use std::{path::Path, process::Command};

use services::{mongodb::ReplicaSet, redis::Redis};

use super::{DemoArgs, Programs, process::Ready};
use crate::{output::say, services::programs, tree};

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
        say!("   starting mongod and redis-server on loopback");
        Ok(Self {
            mongodb: ReplicaSet::start(&mongod, &folder.0.join("mongodb"), 1, &[])?,
            redis: Redis::start(&redis_server, &folder.0.join("redis"), &[])?,
            _folder: folder,
        })
    }
}

/// One command for each node.
pub(super) fn commands(
    root: &Path,
    args: &DemoArgs,
    (programs, services): (&Programs, &Services),
) -> Vec<Command> {
    let command = |index| {
        let mut command = super::serve_command(root, &programs.server);
        node_flags(&mut command, args, services, index);
        command
    };
    (0..NODES).map(command).collect()
}

fn node_flags(command: &mut Command, args: &DemoArgs, services: &Services, index: u16) {
    let pages = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{}", args.port));
    command
        .arg("--listen-http")
        .arg(format!("127.0.0.1:{}", args.port + index))
        .arg("--listen-quic")
        .arg(format!("127.0.0.1:{}", QUIC_PORT + index))
        .arg("--data")
        .arg(args.data.join(format!("node-{}", index + 1)))
        .envs([::services::CLUSTER_SECRET_ENV])
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

/// Says where everything is.
pub(super) fn announce(nodes: &[&Ready]) {
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
