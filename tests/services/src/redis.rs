//! Redis: single servers, and a cluster of three masters with a replica each.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{free_port, process::Process};

/// How long a server may take to answer one command.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing is written to disk: a Redis that starts again is empty, which is what tests want of it.
/// Its arguments stay readable, so that it is known by its folder.
const FORGETFUL: [&str; 6] = ["--save", "", "--appendonly", "no", "--set-proc-title", "no"];

/// Masters of a cluster.
const MASTERS: usize = 3;

/// Hash slots of every cluster.
const SLOTS: usize = 16_384;

/// A `redis-server`. Dropping it ends it.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    flags: Vec<String>,
}

impl Redis {
    /// Starts the program on a free port in `folder`, which is created; answers when it takes
    /// commands. `flags` come last.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(program: &Path, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self::start_at(program, folder, free_port()?, flags)
    }

    fn start_at(
        program: &Path,
        folder: &Path,
        port: u16,
        flags: Vec<String>,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut redis = Command::new(program);
        redis.arg("--dir").arg(folder);
        redis.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        redis.args(FORGETFUL).args(&flags);
        let mut process = Process::start(&mut redis, &folder.join("log"))?;
        process.wait_until("redis-server takes commands", || {
            command(port, &["PING"]).is_ok_and(|reply| reply == "PONG")
        })?;
        Ok(Self {
            process,
            program: program.to_owned(),
            folder: folder.to_owned(),
            port,
            flags,
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would: SIGKILL.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same port, empty, after [`Self::kill`].
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let flags = self.flags.clone();
        *self = Self::start_at(&self.program, &self.folder, self.port, flags)?;
        Ok(())
    }

    /// Lets it run on; answers its process id.
    pub fn leave(self) -> u32 {
        self.process.leave()
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

    /// Where clients find it.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Lets the nodes run on; answers their process ids.
    pub fn leave(self) -> Vec<u32> {
        self.nodes.into_iter().map(Redis::leave).collect()
    }

    fn assign_slots(&self) -> anyhow::Result<()> {
        for (index, master) in self.nodes[..MASTERS].iter().enumerate() {
            let (first, after) = (index * SLOTS / MASTERS, (index + 1) * SLOTS / MASTERS);
            let (first, last) = (first.to_string(), (after - 1).to_string());
            let epoch = (index + 1).to_string();
            command(master.port, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
            command(master.port, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        Ok(())
    }

    fn meet(&mut self) -> anyhow::Result<()> {
        let (first, others) = self.nodes.split_first_mut().context("no nodes")?;
        let port = first.port.to_string();
        for node in &*others {
            command(node.port, &["CLUSTER", "MEET", "127.0.0.1", &port])?;
        }
        let wanted = format!("cluster_known_nodes:{}", 2 * MASTERS);
        for node in self.nodes.iter_mut() {
            let port = node.port;
            node.process.wait_until("the nodes know each other", || {
                command(port, &["CLUSTER", "INFO"])
                    .is_ok_and(|info| info.contains(&wanted) && info.contains("cluster_state:ok"))
            })?;
        }
        Ok(())
    }

    fn replicate(&mut self) -> anyhow::Result<()> {
        let (masters, replicas) = self.nodes.split_at_mut(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            let id = command(master.port, &["CLUSTER", "MYID"])?;
            let port = replica.port;
            command(port, &["CLUSTER", "REPLICATE", &id])?;
            replica.process.wait_until("a replica is in step", || {
                command(port, &["INFO", "replication"])
                    .is_ok_and(|info| info.contains("master_link_status:up"))
            })?;
        }
        Ok(())
    }
}

/// Sends one command (RESP2) to the server at `port` and answers its reply as text.
///
/// # Errors
/// When it does not answer, or answers an error.
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
