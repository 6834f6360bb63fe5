//! MongoDB: replica sets of one or more members.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};

use crate::{
    bson::{Value, command},
    free_port,
    server::{Launch, Server, arguments},
};

/// Name of every replica set here.
pub const SET_NAME: &str = "nowrong";

/// Flags that keep a server small and quick to start: no test holds more than a few megabytes. One
/// of them is what the README asks for in a cluster: the transaction of a node that died ends after
/// 10 s.
const SMALL: [&str; 10] = [
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--oplogSize",
    "64",
    "--nounixsocket",
    "--quiet",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
    "--setParameter",
    "transactionLifetimeLimitSeconds=10",
];

/// A `mongod`. Dropping it ends it.
#[derive(Debug)]
pub struct Mongod(Server);

impl Mongod {
    /// Starts the program on a free port with its data in `folder`, which is created; returns when
    /// it accepts commands. `flags` come last.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(program: &Path, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let (port, path) = (free_port()?, folder.to_string_lossy());
        let number = port.to_string();
        let own = [
            "--dbpath",
            &path,
            "--bind_ip",
            "127.0.0.1",
            "--port",
            &number,
        ];
        let all = own.iter().chain(&SMALL).chain(flags);
        Server::start(Launch {
            program: program.to_owned(),
            folder: folder.to_owned(),
            port,
            arguments: arguments(all.copied()),
            is_ready: |port| hello(port).is_ok(),
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

    /// Whether it is the primary of its replica set.
    pub fn is_primary(&self) -> bool {
        is_primary(self.port())
    }

    /// Ends it as a crash would: SIGKILL.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()
    }

    /// Starts it again on the same data and port, after [`Self::kill`].
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.0.restart()
    }
}

/// A replica set with a primary and up-to-date other members. Dropping it ends its members.
#[derive(Debug)]
pub struct ReplicaSet {
    /// The members.
    pub members: Vec<Mongod>,
}

impl ReplicaSet {
    /// Starts `count` members below `folder` and waits for a primary. `flags` are added to those of
    /// each member.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(
        program: &Path,
        folder: &Path,
        count: usize,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        ensure!((1..=7).contains(&count), "a replica set has 1 to 7 members");
        let all: Vec<_> = ["--replSet", SET_NAME]
            .iter()
            .chain(flags)
            .copied()
            .collect();
        let members: anyhow::Result<Vec<_>> = (0..count)
            .map(|index| Mongod::start(program, &folder.join(index.to_string()), &all))
            .collect();
        let mut set = Self { members: members? };
        initiate(&set.ports())?;
        for member in &mut set.members {
            let port = member.port();
            // Before that a member does not have the data, and could not take over.
            member
                .0
                .process()
                .wait_until("a member is up to date", || {
                    hello(port).is_ok_and(|reply| {
                        is(&reply, "isWritablePrimary") || is(&reply, "secondary")
                    })
                })?;
        }
        set.wait_for_primary()?;
        Ok(set)
    }

    /// Waits until a member is the primary.
    ///
    /// # Errors
    /// When none is in time.
    pub fn wait_for_primary(&mut self) -> anyhow::Result<()> {
        let ports = self.ports();
        let is_any_primary = || ports.iter().any(|port| is_primary(*port));
        let first = self.members.first_mut().context("no members")?;
        first
            .0
            .process()
            .wait_until("the replica set has a primary", is_any_primary)
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        url(&self.ports())
    }

    fn ports(&self) -> Vec<u16> {
        self.members.iter().map(Mongod::port).collect()
    }

    /// Leaves the members running; returns their process ids.
    pub fn leave(self) -> Vec<u32> {
        let members = self.members.into_iter();
        members.map(|member| member.0.leave()).collect()
    }
}

fn hello(port: u16) -> anyhow::Result<BTreeMap<String, Value>> {
    command(port, vec![("hello", Value::Int(1))])
}

fn is(reply: &BTreeMap<String, Value>, claim: &str) -> bool {
    reply.get(claim) == Some(&Value::Bool(true))
}

/// Whether the server on this port is the primary of its replica set.
pub fn is_primary(port: u16) -> bool {
    hello(port).is_ok_and(|reply| is(&reply, "isWritablePrimary"))
}

/// The URL of the replica set of the members on these ports.
pub fn url(ports: &[u16]) -> String {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!("mongodb://{}/?replicaSet={SET_NAME}", hosts.join(","))
}

/// Makes a replica set of the members on these ports, which were started with [`SET_NAME`].
///
/// # Errors
/// When the first one refuses the command.
pub fn initiate(ports: &[u16]) -> anyhow::Result<()> {
    let member = |(index, port): (usize, &u16)| {
        Value::Document(vec![
            ("_id", Value::Int(index as i32)),
            ("host", Value::Text(format!("127.0.0.1:{port}"))),
        ])
    };
    let settings = Value::Document(vec![
        // A lost primary is replaced within a second or two, so that tests of it are short.
        ("electionTimeoutMillis", Value::Int(1_000)),
        ("heartbeatIntervalMillis", Value::Int(300)),
    ]);
    let config = Value::Document(vec![
        ("_id", Value::Text(SET_NAME.to_owned())),
        (
            "members",
            Value::Array(ports.iter().enumerate().map(member).collect()),
        ),
        ("settings", settings),
    ]);
    let first = ports.first().context("no members")?;
    command(*first, vec![("replSetInitiate", config)])?;
    Ok(())
}
