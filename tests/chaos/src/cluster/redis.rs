//! Redis of any kind: none, one server, one that sentinels watch, or a Redis Cluster.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::ValueEnum;
use services::{
    PATIENCE,
    redis::{Cluster, Redis, Watched},
};

/// How Redis runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RedisKind {
    /// Not at all: one node that coordinates itself.
    None,
    /// One server, which comes back empty after a loss.
    #[default]
    Single,
    /// A master, a replica, and sentinels that promote it.
    Sentinel,
    /// Three masters with a replica each.
    Cluster,
}

/// How often a state is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The servers.
pub enum RedisServers {
    /// See [`RedisKind::None`].
    None,
    /// See [`RedisKind::Single`].
    Single(Redis),
    /// See [`RedisKind::Sentinel`].
    Sentinel(Watched),
    /// See [`RedisKind::Cluster`].
    Cluster(Cluster),
}

impl RedisServers {
    pub(super) fn start(kind: RedisKind, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("redis");
        Ok(match kind {
            RedisKind::None => Self::None,
            RedisKind::Single => Self::Single(Redis::start(program, &folder, &[])?),
            RedisKind::Sentinel => Self::Sentinel(Watched::start(program, &folder)?),
            RedisKind::Cluster => Self::Cluster(Cluster::start(program, &folder)?),
        })
    }

    /// The URL that the nodes are given.
    pub(super) fn url(&self) -> String {
        match self {
            Self::None => "local".to_owned(),
            Self::Single(server) => server.url(),
            Self::Sentinel(watched) => watched.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// The master that the number selects.
    ///
    /// # Errors
    /// When there is none.
    pub fn master(&mut self, number: u32) -> anyhow::Result<&mut Redis> {
        let mut masters: Vec<_> = self
            .servers()
            .iter_mut()
            .filter(|one| is_master(one))
            .collect();
        if masters.is_empty() {
            bail!("Redis has no master");
        }
        let index = number as usize % masters.len();
        Ok(masters.swap_remove(index))
    }

    /// Kills every server and starts them again, empty, after `away`.
    ///
    /// # Errors
    /// When a server does not get ready.
    pub async fn empty(&mut self, away: Duration) -> anyhow::Result<()> {
        for server in self.servers() {
            server.kill()?;
        }
        tokio::time::sleep(away).await;
        for server in self.servers() {
            server.restart()?;
        }
        Ok(())
    }

    /// Waits until every server responds, every slot is served, every replica is up to date, and
    /// the sentinels agree.
    pub(super) fn wait_until_whole(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.is_whole() {
            if started.elapsed() > PATIENCE {
                bail!("Redis is not whole after {PATIENCE:?}");
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
        Ok(())
    }

    fn is_whole(&mut self) -> bool {
        let is_cluster = matches!(self, Self::Cluster(_));
        let servers = self.servers();
        let masters = servers.iter().filter(|server| is_master(server));
        let ports: Vec<_> = masters.map(Redis::port).collect();
        // Half of the servers, where there are replicas.
        let has_its_masters = ports.len() == servers.len().div_ceil(2);
        has_its_masters
            && servers.iter().all(|server| is_in_step(server, is_cluster))
            && self.is_agreed(&ports)
    }

    fn is_agreed(&self, masters: &[u16]) -> bool {
        match self {
            Self::Sentinel(watched) => masters.iter().all(|port| watched.is_agreed(*port)),
            _ => true,
        }
    }

    fn servers(&mut self) -> &mut [Redis] {
        match self {
            Self::None => &mut [],
            Self::Single(server) => std::slice::from_mut(server),
            Self::Sentinel(watched) => &mut watched.servers,
            Self::Cluster(cluster) => &mut cluster.nodes,
        }
    }
}

fn is_master(server: &Redis) -> bool {
    says(server, "replication", &["role:master"])
}

fn is_in_step(server: &Redis, is_cluster: bool) -> bool {
    let serves_all = || {
        server.ask(&["CLUSTER", "INFO"]).is_ok_and(|info| {
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        })
    };
    let is_linked = is_master(server) || says(server, "replication", &["master_link_status:up"]);
    is_linked && (!is_cluster || serves_all())
}

fn says(server: &Redis, section: &str, words: &[&str]) -> bool {
    server
        .ask(&["INFO", section])
        .is_ok_and(|info| words.iter().all(|word| info.contains(word)))
}
