//! Redis: single servers, a cluster of three masters with a replica each, and a master with a replica
//! that sentinels watch.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{
    free_port,
    server::{Launch, Server, arguments},
};

/// How long a server may take to answer one command.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing is written to disk: a Redis that starts again is empty, as tests want it. Its arguments
/// stay readable, so that it can be recognised by its folder.
const FORGETFUL: [&str; 6] = ["--save", "", "--appendonly", "no", "--set-proc-title", "no"];

/// How far above its port a node of a cluster speaks to the others.
const BUS_OFFSET: u16 = 10_000;

/// Masters of a cluster.
const MASTERS: usize = 3;

/// Name of the master that sentinels watch.
const SERVICE: &str = "nowrong";

/// Sentinels of a master: two of them must agree that it is lost.
const SENTINELS: usize = 3;

/// Hash slots of every cluster.
const SLOTS: usize = 16_384;

/// A `redis-server`. Dropping it ends it.
#[derive(Debug)]
pub struct Redis(Server);

impl Redis {
    /// Starts the program on a free port in `folder`, which is created; returns when it accepts
    /// commands. `flags` come last.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(program: &Path, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let port = free_port_below_bus()?;
        let arguments = settings(folder, port, flags);
        Self::launch(program, folder, port, arguments)
    }

    /// Like [`Self::start`], but with its settings in a file, where they may be changed for its
    /// next start: sentinels write there which server is a replica of which.
    ///
    /// # Errors
    /// When it does not get ready.
    fn start_with_file(program: &Path, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let port = free_port_below_bus()?;
        let file = folder.join("redis.conf");
        fs::create_dir_all(folder)?;
        fs::write(&file, in_file(&settings(folder, port, flags)))?;
        let arguments = arguments([&*file.to_string_lossy()]);
        Self::launch(program, folder, port, arguments)
    }

    fn launch(
        program: &Path,
        folder: &Path,
        port: u16,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        Server::start(Launch {
            program: program.to_owned(),
            folder: folder.to_owned(),
            port,
            arguments,
            is_ready,
        })
        .map(Self)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// Sends it a command; returns the reply as text.
    ///
    /// # Errors
    /// As [`command`].
    pub fn ask(&self, words: &[&str]) -> anyhow::Result<String> {
        command(self.port(), words)
    }

    /// How often the command `name` (in lower case) was called since the server started.
    ///
    /// # Errors
    /// As [`command`].
    pub fn calls(&self, name: &str) -> anyhow::Result<u64> {
        let stats = self.ask(&["INFO", "commandstats"])?;
        let prefix = format!("cmdstat_{name}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        let count = line.and_then(|rest| rest.split(',').next());
        Ok(count.map_or(Ok(0), str::parse)?)
    }

    /// Ends it as a crash would: SIGKILL.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()
    }

    /// Starts it again on the same port, empty, after [`Self::kill`].
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.0.restart()
    }

    /// Leaves it running; returns its process id.
    pub fn leave(self) -> u32 {
        self.0.leave()
    }

    /// Waits until this replica has everything that its master has.
    fn wait_until_in_step(&mut self) -> anyhow::Result<()> {
        let port = self.port();
        self.0.process().wait_until("a replica is up to date", || {
            command(port, &["INFO", "replication"])
                .is_ok_and(|info| info.contains("master_link_status:up"))
        })
    }
}

/// The settings of a server as arguments; `flags` come last.
fn settings(folder: &Path, port: u16, flags: &[&str]) -> Vec<String> {
    let (path, number) = (folder.to_string_lossy(), port.to_string());
    let own = ["--dir", &path, "--bind", "127.0.0.1", "--port", &number];
    arguments(own.iter().chain(&FORGETFUL).chain(flags).copied())
}

/// Arguments as the lines of a file: a name begins a line, and an empty value is quoted.
fn in_file(arguments: &[String]) -> String {
    let mut text = String::new();
    for argument in arguments {
        match argument.strip_prefix("--") {
            Some(name) => text += &format!("\n{name}"),
            None if argument.is_empty() => text += " \"\"",
            None => text += &format!(" {argument}"),
        }
    }
    text + "\n"
}

/// Whether the server at the port accepts commands, even if only from clients that know its
/// password.
fn is_ready(port: u16) -> bool {
    match command(port, &["PING"]) {
        Ok(reply) => reply == "PONG",
        Err(error) => error.to_string().contains("NOAUTH"),
    }
}

/// A free port that leaves room for the bus of a cluster, which listens [`BUS_OFFSET`] above it.
fn free_port_below_bus() -> anyhow::Result<u16> {
    loop {
        let bus = free_port()?.checked_add(BUS_OFFSET);
        let bus = bus.and_then(|bus| TcpListener::bind((Ipv4Addr::LOCALHOST, bus)).ok());
        if let Some(bus) = bus {
            return Ok(bus.local_addr()?.port() - BUS_OFFSET);
        }
    }
}

/// A Redis Cluster: three masters, then their replicas in the same order. Dropping it ends it.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts the nodes below `folder` and waits until all slots are served and replicated.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        // A lost master is replaced within about two seconds, so that tests of it are short.
        let flags = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--repl-diskless-sync-delay",
            "0",
            "--cluster-replica-validity-factor",
            "0",
        ];
        let nodes: anyhow::Result<Vec<_>> = (0..2 * MASTERS)
            .map(|index| Redis::start(program, &folder.join(index.to_string()), &flags))
            .collect();
        let mut cluster = Self { nodes: nodes? };
        cluster.assign_slots()?;
        cluster.meet()?;
        cluster.replicate()?;
        Ok(cluster)
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis+cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    /// Leaves the nodes running; returns their process ids.
    pub fn leave(self) -> Vec<u32> {
        self.nodes.into_iter().map(Redis::leave).collect()
    }

    fn assign_slots(&self) -> anyhow::Result<()> {
        for (index, master) in self.nodes[..MASTERS].iter().enumerate() {
            let (first, after) = (index * SLOTS / MASTERS, (index + 1) * SLOTS / MASTERS);
            let (first, last) = (first.to_string(), (after - 1).to_string());
            let epoch = (index + 1).to_string();
            command(master.port(), &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
            command(master.port(), &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        Ok(())
    }

    fn meet(&mut self) -> anyhow::Result<()> {
        let (first, others) = self.nodes.split_first_mut().context("no nodes")?;
        let port = first.port().to_string();
        for node in &*others {
            command(node.port(), &["CLUSTER", "MEET", "127.0.0.1", &port])?;
        }
        let wanted = format!("cluster_known_nodes:{}", 2 * MASTERS);
        for node in self.nodes.iter_mut() {
            let port = node.port();
            node.0
                .process()
                .wait_until("the nodes know each other", || {
                    command(port, &["CLUSTER", "INFO"]).is_ok_and(|info| {
                        info.contains(&wanted) && info.contains("cluster_state:ok")
                    })
                })?;
        }
        Ok(())
    }

    fn replicate(&mut self) -> anyhow::Result<()> {
        let (masters, replicas) = self.nodes.split_at_mut(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            let id = command(master.port(), &["CLUSTER", "MYID"])?;
            let port = replica.port();
            command(port, &["CLUSTER", "REPLICATE", &id])?;
            replica.wait_until_in_step()?;
        }
        Ok(())
    }
}

/// A Redis with a replica, and three sentinels that promote it when the master is lost. Dropping it
/// ends it.
#[derive(Debug)]
pub struct Watched {
    /// The original master, then its replica.
    pub servers: [Redis; 2],
    sentinels: Vec<Server>,
}

impl Watched {
    /// Starts all servers below `folder` and waits until the sentinels agree that everything works.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let flags = ["--repl-diskless-sync-delay", "0"];
        let master = Redis::start_with_file(program, &folder.join("master"), &flags)?;
        let port = master.port().to_string();
        let of_master = [&flags[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let mut replica = Redis::start_with_file(program, &folder.join("replica"), &of_master)?;
        replica.wait_until_in_step()?;
        let sentinels: anyhow::Result<Vec<_>> = (0..SENTINELS)
            .map(|index| sentinel(program, &folder.join(index.to_string()), &port))
            .collect();
        let mut watched = Self {
            servers: [master, replica],
            sentinels: sentinels?,
        };
        for sentinel in &mut watched.sentinels {
            let (port, master) = (sentinel.port(), watched.servers[0].port());
            sentinel
                .process()
                .wait_until("the sentinels agree", || is_well(port, master))?;
        }
        Ok(watched)
    }

    /// Whether every sentinel considers the server at `port` the master and has nothing to repair.
    pub fn is_agreed(&self, port: u16) -> bool {
        let mut sentinels = self.sentinels.iter();
        sentinels.all(|sentinel| is_well(sentinel.port(), port))
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        let hosts = self
            .sentinels
            .iter()
            .map(|one| format!("127.0.0.1:{}", one.port()));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        format!("redis+sentinel://{hosts}/{SERVICE}")
    }
}

/// Whether the sentinel at port `sentinel` finds everything in order: the master at `master`, its
/// replica, and the other sentinels.
fn is_well(sentinel: u16, master: u16) -> bool {
    let watched = format!("status=ok,address=127.0.0.1:{master},slaves=1,sentinels={SENTINELS}");
    command(sentinel, &["INFO", "sentinel"]).is_ok_and(|info| info.contains(&watched))
}

/// Starts a sentinel that watches the master at `port`.
fn sentinel(program: &Path, folder: &Path, port: &str) -> anyhow::Result<Server> {
    let own = free_port()?;
    fs::create_dir_all(folder)?;
    // A sentinel keeps its knowledge in its file. A lost master is replaced after a second or two,
    // so that tests of it are short.
    let config = folder.join("sentinel.conf");
    let text = format!(
        "port {own}\nbind 127.0.0.1\ndir {}\nset-proc-title no\n\
         sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n\
         sentinel down-after-milliseconds {SERVICE} 1000\n\
         sentinel failover-timeout {SERVICE} 3000\n",
        folder.display()
    );
    fs::write(&config, text)?;
    Server::start(Launch {
        program: program.to_owned(),
        folder: folder.to_owned(),
        port: own,
        arguments: arguments([&*config.to_string_lossy(), "--sentinel"]),
        is_ready,
    })
}

/// Sends one command (RESP2) to the server at `port` and returns its reply as text.
///
/// # Errors
/// When it does not reply, or replies with an error.
pub fn command(port: u16, words: &[&str]) -> anyhow::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).context("an empty reply")?;
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "$" => {
            let mut text = vec![0; rest.parse::<u16>()?.into()];
            reader.read_exact(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => bail!("{} failed: {rest}", words.join(" ")),
    }
}
