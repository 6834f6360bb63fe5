//! The servers: nodes, MongoDB and Redis, on loopback, with their data in one folder. Dropping it
//! ends them all.
//!
//! Its methods wait for processes and block: they run on a thread of their own, see
//! [`faults`](crate::faults).

use std::{
    net::SocketAddr,
    num::NonZero,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use e2e::{ServerOptions, TestServer};
use services::{
    free_port,
    mongodb::{Mongod, ReplicaSet},
};
use tempfile::TempDir;

use crate::schedule::Wrong;

mod redis;

pub use redis::RedisKind;
use redis::RedisServers;

/// The parts of a cluster.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many nodes.
    pub nodes: usize,
    /// How Redis runs.
    pub redis: RedisKind,
    /// The program `mongod`.
    pub mongod: PathBuf,
    /// The program `redis-server`.
    pub redis_server: PathBuf,
    /// Members of the replica set: three, so that one may be lost; or one, when nothing breaks and
    /// times are measured, since three of them on one machine would share its processors and its
    /// disk.
    pub mongodb_members: usize,
    /// Folder for the data of MongoDB and Redis.
    pub data: PathBuf,
    /// Whether nodes publish their metrics.
    pub has_metrics: bool,
    /// Whether the clocks of the nodes' machines can go wrong.
    pub has_clocks: bool,
}

/// Most attempts to start a node again, each as long as a start may take: while the store elects a
/// primary the first attempt may fail, and a supervisor would try again too.
const STARTS_MAX: usize = 5;

/// See the module.
pub struct Cluster {
    nodes: Vec<TestServer>,
    mongodb: ReplicaSet,
    redis: RedisServers,
    metrics_ports: Vec<u16>,
    clocks: Vec<WrongClock>,
    _folder: TempDir,
}

/// The clock of one node's machine.
struct WrongClock {
    /// The file by which the node sees it go wrong.
    path: PathBuf,
    /// How often the node has stood aside for it, as far as is known.
    times_aside: usize,
}

/// What a node says that stands aside.
const LEAVES: &str = "this node leaves the cluster";

impl Cluster {
    /// Starts everything, with data below `scratch`.
    ///
    /// # Errors
    /// When a server does not get ready.
    pub async fn start(shape: &Shape) -> anyhow::Result<Self> {
        if shape.nodes > 1 && shape.redis == RedisKind::None {
            bail!("{} nodes need Redis to know of each other", shape.nodes);
        }
        std::fs::create_dir_all(&shape.data)?;
        let folder = tempfile::tempdir_in(&shape.data)?;
        let mongodb = folder.path().join("mongodb");
        let mongodb = ReplicaSet::start(&shape.mongod, &mongodb, shape.mongodb_members, &[])?;
        let redis = RedisServers::start(shape.redis, &shape.redis_server, folder.path())?;
        let flags = flags(&mongodb.url(), &redis.url(), shape.nodes);
        let mut nodes = Vec::with_capacity(shape.nodes);
        let mut metrics_ports = Vec::new();
        let mut clocks = Vec::new();
        for number in 0..shape.nodes {
            let mut options = ServerOptions {
                flags: flags.clone(),
                is_quiet: true,
                ..ServerOptions::default()
            };
            if shape.has_metrics {
                let port = free_port()?;
                let flag = format!("listen_metrics=127.0.0.1:{port}");
                options.flags.extend(["--set".to_owned(), flag]);
                metrics_ports.push(port);
            }
            if shape.has_clocks {
                let path = folder.path().join(format!("clock-{number}"));
                let flag = format!("@{}", path.display());
                options.flags.extend(["--clock-ahead".to_owned(), flag]);
                let times_aside = 0;
                clocks.push(WrongClock { path, times_aside });
            }
            nodes.push(TestServer::start_with(options).await?);
        }
        Ok(Self {
            nodes,
            mongodb,
            redis,
            metrics_ports,
            clocks,
            _folder: folder,
        })
    }

    /// Where the nodes listen for REST and WebSocket; the same after each start.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(TestServer::http).collect()
    }

    /// The port on which each node publishes its metrics, if it was asked to.
    pub fn metrics_ports(&self) -> &[u16] {
        &self.metrics_ports
    }

    /// The nodes.
    pub fn nodes(&mut self) -> &mut [TestServer] {
        &mut self.nodes
    }

    /// The node that a number selects.
    pub fn node(&mut self, number: u32) -> &mut TestServer {
        let index = number as usize % self.nodes.len();
        &mut self.nodes[index]
    }

    /// Makes the clock of a node's machine wrong, or right again.
    ///
    /// # Errors
    /// When its file cannot be written, or the shape has no clocks.
    pub fn set_clock(&mut self, number: u32, wrong: Option<Wrong>) -> anyhow::Result<()> {
        let text = match wrong {
            None => "0".to_owned(),
            Some(Wrong::Jumps(ms)) => ms.to_string(),
            Some(Wrong::Stands) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                format!("={}", now.as_millis())
            }
        };
        let index = number as usize % self.nodes.len();
        let clock = self.clocks.get(index).context("no clock can go wrong")?;
        // In one step, so that no node reads half a number.
        let next = clock.path.with_extension("next");
        std::fs::write(&next, text)?;
        Ok(std::fs::rename(&next, &clock.path)?)
    }

    /// Whether a node has said that it stands aside, since this was last asked.
    pub fn has_stood_aside(&mut self, number: u32) -> bool {
        let index = number as usize % self.nodes.len();
        let times = self.nodes[index].log().matches(LEAVES).count();
        let known = self
            .clocks
            .get_mut(index)
            .map(|clock| &mut clock.times_aside);
        known.is_some_and(|known| std::mem::replace(known, times) < times)
    }

    /// How often nodes have stood aside.
    pub fn times_stood_aside(&self) -> usize {
        self.clocks.iter().map(|clock| clock.times_aside).sum()
    }

    /// Redis.
    pub fn redis(&mut self) -> &mut RedisServers {
        &mut self.redis
    }

    /// The primary of MongoDB, once there is one.
    ///
    /// # Errors
    /// When none is elected in time.
    pub fn primary(&mut self) -> anyhow::Result<&mut Mongod> {
        self.mongodb.wait_for_primary()?;
        let mut members = self.mongodb.members.iter_mut();
        members
            .find(|member| member.is_primary())
            .context("the primary of MongoDB stepped down just now")
    }

    /// Waits until MongoDB has a primary and Redis serves all keys.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn heal(&mut self) -> anyhow::Result<()> {
        self.mongodb.wait_for_primary()?;
        self.redis.wait_until_whole()
    }

    /// The log of each node.
    pub fn logs(&self) -> Vec<String> {
        self.nodes.iter().map(TestServer::log).collect()
    }
}

/// Starts a node that has ended, on the same data and ports.
///
/// # Errors
/// When it does not get ready after several attempts.
pub async fn start_again(node: &mut TestServer) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    for _ in 0..STARTS_MAX {
        outcome = node.restart().await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// All people come from one address, so limits by address are set out of reach. The nodes share the
/// cores.
fn flags(mongodb: &str, redis: &str, nodes: usize) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (cores / nodes.max(1)).max(1);
    let mut flags: Vec<String> = ["--store", mongodb].map(str::to_owned).to_vec();
    for pair in [format!("broker={redis}"), format!("threads={threads}")] {
        flags.extend(["--set".to_owned(), pair]);
    }
    for key in [
        "connections_max",
        "connections_per_prefix_max",
        "handshakes_burst",
        "text_bytes_burst",
    ] {
        flags.extend(["--set".to_owned(), format!("limits.{key}=100000000")]);
    }
    // Hundreds register at once: the work would take the processor from the nodes.
    flags.extend(["--set", "limits.proof_work=0"].map(str::to_owned));
    flags
}
