//! Two nodes on one MongoDB and one Redis.

use services::{
    redis::Redis,
    shared::{Setting, find},
};

use crate::{ServerOptions, TestServer};

/// What the nodes share, and two of them.
pub struct Cluster {
    /// The Redis of these two alone.
    pub redis: Redis,
    /// The nodes.
    pub nodes: [TestServer; 2],
    /// The flags that make a node one of them.
    pub flags: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts them with `more` flags each, on a database of their own.
    ///
    /// # Errors
    /// When one does not start, or MongoDB or the program of Redis is missing.
    pub async fn start(more: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(ServerOptions::flags(more)).await
    }

    /// As [`Self::start`], with these options for each node.
    ///
    /// # Errors
    /// As above.
    pub async fn start_with(mut options: ServerOptions) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = find(Setting::RedisProgram)?;
        let redis = Redis::start(program.as_ref(), folder.path(), &[])?;
        let database = format!("/e2e_{:016x}?", rand::random::<u64>());
        let store = find(Setting::Mongodb)?.replace("/?", &database);
        let broker = format!("broker={}", redis.url());
        let own = ["--store", &store, "--set", &broker].map(str::to_owned);
        options.flags.splice(0..0, own);
        let start = || TestServer::start_with(options.clone());
        let nodes = [start().await?, start().await?];
        Ok(Self {
            redis,
            nodes,
            flags: options.flags,
            _folder: folder,
        })
    }
}
