//! NoWrong on two nodes: partners are on different ones, MongoDB stores the data and Redis connects
//! the nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::ensure;
use async_trait::async_trait;
use nowrong_client::{Api, NewAccount};
use nowrong_protocol::{ClientFrame, frame::Hello, version::VersionRange};
use services::{CLUSTER_SECRET, mongodb};
use tempfile::TempDir;
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, sleep},
};

use super::{
    Place, Running, Target,
    nowrong::{self, Person, bring_together},
};
use crate::{dialect, drive::Peer, process::Process, wire::Wire};

/// How many nodes there are.
const NODES: usize = 2;

/// Pairs that arrive at one time: how the servers handle a burst is the question of another
/// scenario (`match`).
const ENTERING_MAX: usize = 1;

/// Time until MongoDB has elected its one member.
const ELECTION_DEADLINE: Duration = Duration::from_secs(30);

/// See the module. Its people use WebSocket: other targets measure the transports, this one
/// measures the way between nodes.
pub(super) struct Cluster;

#[async_trait(?Send)]
impl Target for Cluster {
    fn name(&self) -> &'static str {
        "nowrong-cluster"
    }

    fn about(&self) -> &'static str {
        "NoWrong on two nodes over WebSocket, partners on different nodes; an ack means that MongoDB has the message"
    }

    fn is_cluster(&self) -> bool {
        true
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let folder = tempfile::tempdir_in(&place.scratch)?;
        let (mongodb, store) = start_mongodb(place, &folder).await?;
        let (redis, broker) = start_redis(place, "nowrong-redis-server").await?;
        let mut running = RunningCluster {
            nodes: Vec::new(),
            processes: vec![mongodb, redis],
            entering: Semaphore::new(ENTERING_MAX),
            folder,
        };
        for number in 0..NODES {
            running.start_node(place, number, (&store, &broker)).await?;
        }
        Ok(Box::new(running))
    }
}

/// Starts a Redis that stores nothing on disk; returns its URL too.
///
/// # Errors
/// When it does not get ready.
pub(super) async fn start_redis(place: &Place, name: &str) -> anyhow::Result<(Process, String)> {
    let listen = free_address(place)?;
    let (host, port) = (listen.ip().to_string(), listen.port().to_string());
    let flags = ["--bind", &host, "--port", &port, "--save", ""];
    let mut command = vec![place.redis.clone().into()];
    command.extend(flags.map(Into::into));
    let process = Process::start_listening(&place.program(name, command), listen).await?;
    Ok((process, format!("redis://{listen}")))
}

/// Starts a replica set of one member; returns its URL too.
async fn start_mongodb(place: &Place, folder: &TempDir) -> anyhow::Result<(Process, String)> {
    let listen = free_address(place)?;
    let (host, port) = (listen.ip().to_string(), listen.port().to_string());
    let data = folder.path().join("mongodb");
    std::fs::create_dir(&data)?;
    let mut command = vec![place.mongod.clone().into(), "--dbpath".into(), data.into()];
    let flags = [
        "--bind_ip",
        &host,
        "--port",
        &port,
        "--replSet",
        mongodb::SET_NAME,
        "--nounixsocket",
        "--quiet",
        "--setParameter",
        "transactionLifetimeLimitSeconds=10",
    ];
    command.extend(flags.map(Into::into));
    let program = place.program("nowrong-mongod", command);
    let process = Process::start_listening(&program, listen).await?;
    let ports = [listen.port()];
    mongodb::initiate(&ports)?;
    let deadline = Instant::now() + ELECTION_DEADLINE;
    while !mongodb::is_primary(listen.port()) {
        ensure!(Instant::now() < deadline, "MongoDB has no primary");
        sleep(Duration::from_millis(20)).await;
    }
    Ok((process, mongodb::url(&ports)))
}

/// An unused address for a target. In a namespace of its own every port is unused, so any port that
/// is free here will do.
///
/// # Errors
/// When there is none.
pub(super) fn free_address(place: &Place) -> anyhow::Result<SocketAddr> {
    let address = place.side.address;
    let here = match place.side.enter.is_empty() {
        true => address,
        false => Ipv4Addr::LOCALHOST.into(),
    };
    let port = TcpListener::bind((here, 0))?.local_addr()?.port();
    Ok((address, port).into())
}

struct RunningCluster {
    nodes: Vec<Node>,
    /// In the order in which they were started.
    processes: Vec<Process>,
    /// How many may come in now.
    entering: Semaphore,
    folder: TempDir,
}

/// A node, as people connect to it.
struct Node {
    api: Api,
    websocket: String,
}

impl RunningCluster {
    async fn start_node(
        &mut self,
        place: &Place,
        number: usize,
        (store, broker): (&str, &str),
    ) -> anyhow::Result<()> {
        let data = self.folder.path().join(format!("node-{number}"));
        let mut command = nowrong::command(place, data.into());
        let broker = format!("broker={broker}");
        let secret = format!("cluster_secret={CLUSTER_SECRET}");
        let flags = ["--store", store, "--set", &broker, "--set", &secret];
        command.extend(["--set", "threads=1"].map(Into::into));
        command.extend(flags.map(Into::into));
        let program = place.program(&format!("nowrong-cluster-{number}"), command);
        let process = Process::start(&program).await?;
        self.nodes.push(Node {
            api: Api::new(process.field("http")?)?,
            websocket: process.field("websocket")?.to_owned(),
        });
        self.processes.push(process);
        Ok(())
    }

    /// Registers a person and connects to the node that the number selects.
    async fn enter(&self, user: u32) -> anyhow::Result<Person> {
        let node = &self.nodes[user as usize % self.nodes.len()];
        let account = NewAccount::named(format!("bench {user}"));
        let user = node.api.register(&account).await?;
        let connect = user.connect().await?;
        let mut person = Person {
            user,
            wire: Wire::websocket(&node.websocket, false).await?,
            dialect: dialect::nowrong::NoWrong::over_messages(),
        };
        let hello = Hello {
            versions: VersionRange::SUPPORTED,
            connect_token: connect.connect_token,
            agent: "bench".to_owned(),
            resume: Vec::new(),
        };
        person.wire.send(ClientFrame::from(hello).encode()).await?;
        person.welcomed().await?;
        Ok(person)
    }
}

#[async_trait(?Send)]
impl Running for RunningCluster {
    fn processes(&self) -> Vec<&Process> {
        self.processes.iter().collect()
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let _entering = self.entering.acquire().await?;
        Ok(self.enter(user).await?.into())
    }

    async fn open_pair(&self, first: u32) -> anyhow::Result<[Peer; 2]> {
        let _entering = self.entering.acquire().await?;
        let mut one = self.enter(first).await?;
        let mut two = self.enter(first + 1).await?;
        bring_together(&mut one, &mut two, first).await?;
        Ok([one.into(), two.into()])
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        // The nodes end before the servers that they need.
        for process in self.processes.into_iter().rev() {
            process.stop().await?;
        }
        self.folder.close()?;
        Ok(())
    }
}
