//! The servers: nodes, MongoDB and Redis, on loopback, with their data in one folder. Dropping it
//! ends them all.
//!
//! Its methods wait for processes and block: they run on a thread of their own, see
//! [`faults`](crate::faults).

use std::{net::SocketAddr, num::NonZero, path::PathBuf};

use anyhow::{Context as _, bail};
use e2e::{ServerOptions, TestServer};
use services::{
    free_port,
    mongodb::{Mongod, ReplicaSet},
};
use tempfile::TempDir;

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
    _folder: TempDir,
}

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
        for _ in 0..shape.nodes {
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
            nodes.push(TestServer::start_with(options).await?);
        }
        Ok(Self {
            nodes,
            mongodb,
            redis,
            metrics_ports,
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
    ] {
        flags.extend(["--set".to_owned(), format!("limits.{key}=100000000")]);
    }
    flags
}
