//! Redis servers of a test's own: real processes on loopback that end with the test.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to answer, and a cluster to agree.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// How often it is asked meanwhile.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// Slots of a Redis Cluster.
const SLOTS: u32 = 16_384;

/// One `redis-server` with nothing in it.
pub(super) struct Server {
    port: u16,
    options: Vec<&'static str>,
    child: Option<Child>,
    folder: TempDir,
}

impl Server {
    /// Starts one and waits until it answers.
    pub(super) async fn start(options: &[&'static str]) -> Self {
        let mut server = Self {
            port: free_port(),
            options: options.to_vec(),
            child: None,
            folder: TempDir::new().expect("a folder"),
        };
        server.restart().await;
        server
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it with everything it knows.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Starts it where it was, empty.
    pub(super) async fn restart(&mut self) {
        self.kill();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.port.to_string(), "--dir"])
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs: install it (Debian: apt-get install redis-server)");
        self.child = Some(child);
        eventually("redis answers", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        })
        .await;
    }

    /// Asks it something, past the broker.
    pub(super) fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        self.try_ask(command).expect("redis answers")
    }

    fn try_ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        command.query(&mut connection)
    }

    /// How often each command was called so far.
    pub(super) fn calls(&self, name: &str) -> u64 {
        let stats: String = self.ask(redis::cmd("INFO").arg("commandstats"));
        let prefix = format!("cmdstat_{name}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        line.and_then(|rest| rest.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Redis Cluster of three masters.
pub(super) struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// Starts it and waits until it serves every slot.
    pub(super) async fn start() -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(Server::start(&options).await);
        }
        let count = servers.len() as u32;
        for (n, server) in (0..).zip(&servers) {
            let (first, last) = (n * SLOTS / count, (n + 1) * SLOTS / count - 1);
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("ADDSLOTSRANGE").arg(first).arg(last);
            let _: String = server.ask(&slots);
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(servers[0].port);
            let _: String = server.ask(&meet);
        }
        for server in &servers {
            eventually("the cluster agrees", || {
                let info: String = server.ask(redis::cmd("CLUSTER").arg("INFO"));
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        Self { servers }
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        let hosts: Vec<String> = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}

/// Asks until it holds.
///
/// # Panics
/// When it does not within [`START_DEADLINE`].
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + START_DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// A port that nobody has, with room above it for the bus of a cluster.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
