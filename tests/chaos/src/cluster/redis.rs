//! Redis of any kind: none, one server, or a Redis Cluster.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use services::{
    PATIENCE,
    redis::{self, Redis},
};

/// How Redis runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RedisKind {
    /// Not at all: one node that coordinates itself.
    None,
    /// One server: lost, it comes back empty.
    #[default]
    Single,
    /// Three masters with a replica each.
    Cluster,
}

/// How often a state is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The servers.
pub struct RedisServers {
    kind: RedisKind,
    /// One; or the masters of the start, and their replicas.
    servers: Vec<Redis>,
}

impl RedisServers {
    pub(super) fn start(kind: RedisKind, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("redis");
        let servers = match kind {
            RedisKind::None => Vec::new(),
            RedisKind::Single => vec![Redis::start(program, &folder, &[])?],
            RedisKind::Cluster => redis::Cluster::start(program, &folder)?.nodes,
        };
        Ok(Self { kind, servers })
    }

    /// What nodes are told.
    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port()))
            .collect();
        match self.kind {
            RedisKind::None => "local".to_owned(),
            RedisKind::Single => format!("redis://{}", hosts.join(",")),
            RedisKind::Cluster => format!("redis+cluster://{}", hosts.join(",")),
        }
    }

    /// The master that a number chooses.
    ///
    /// # Errors
    /// When there is none.
    pub fn master(&mut self, number: u32) -> anyhow::Result<&mut Redis> {
        let mut masters: Vec<_> = self
            .servers
            .iter_mut()
            .filter(|server| is_master(server))
            .collect();
        if masters.is_empty() {
            bail!("Redis has no master");
        }
        let index = number as usize % masters.len();
        Ok(masters.swap_remove(index))
    }

    /// Empties all of it: a single server is killed and started again after `away`; the masters of a
    /// cluster, whose replicas would bring everything back, are told to forget.
    ///
    /// # Errors
    /// When a server does not do as it is told.
    pub async fn empty(&mut self, away: Duration) -> anyhow::Result<()> {
        match self.kind {
            RedisKind::None => bail!("there is no Redis to empty"),
            RedisKind::Single => {
                let server = self.servers.first_mut().context("no server")?;
                server.kill()?;
                tokio::time::sleep(away).await;
                server.restart()
            }
            RedisKind::Cluster => {
                for server in self.servers.iter().filter(|server| is_master(server)) {
                    redis::command(server.port(), &["FLUSHALL"])?;
                }
                Ok(())
            }
        }
    }

    /// Waits until every server answers and every slot is served.
    pub(super) fn wait_until_whole(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self
            .servers
            .iter()
            .all(|server| is_whole(self.kind, server))
        {
            if started.elapsed() > PATIENCE {
                bail!("Redis is not whole after {PATIENCE:?}");
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
        Ok(())
    }
}

fn is_master(server: &Redis) -> bool {
    redis::command(server.port(), &["INFO", "replication"])
        .is_ok_and(|info| info.contains("role:master"))
}

fn is_whole(kind: RedisKind, server: &Redis) -> bool {
    match kind {
        RedisKind::None | RedisKind::Single => redis::command(server.port(), &["PING"]).is_ok(),
        RedisKind::Cluster => {
            redis::command(server.port(), &["CLUSTER", "INFO"]).is_ok_and(|info| {
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            })
        }
    }
}
