//! Targets of a measurement: how to start one, connect to it, and stop it.
//!
//! A new target is a [`Target`], and a [`Dialect`](crate::dialect::Dialect) unless it speaks an
//! existing one; a row in [`all`] makes it selectable.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use async_trait::async_trait;

use crate::{
    drive::Peer,
    process::{Process, Program},
};

mod cluster;
mod floor;
mod nats;
pub mod nowrong;
mod socketio;
mod sockudo;

pub use nowrong::{NoWrong, Storage, Transport};

/// The programs, folders and addresses that targets need.
#[derive(Clone, Debug)]
pub struct Place {
    /// The server's binary.
    pub server: PathBuf,
    /// This binary, which also contains the bare relays.
    pub bench: PathBuf,
    /// Folder of the Socket.IO server, with its packages installed.
    pub socketio: PathBuf,
    /// The Redis that some targets need.
    pub redis: PathBuf,
    /// The MongoDB that some targets need.
    pub mongod: PathBuf,
    /// NATS, if it is measured.
    pub nats: PathBuf,
    /// Sockudo, if it is measured.
    pub sockudo: PathBuf,
    /// The program that emulates a link.
    pub netlab: PathBuf,
    /// Folder for data and logs of targets.
    pub scratch: PathBuf,
    /// The processor for targets; `None` is any.
    pub core: Option<usize>,
    /// Where targets listen: behind an emulated link if there is one.
    pub side: Side,
}

/// Where targets listen.
#[derive(Clone, Debug)]
pub struct Side {
    /// The address.
    pub address: IpAddr,
    /// The prefix of their commands.
    pub enter: Vec<OsString>,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            enter: Vec::new(),
        }
    }
}

impl Place {
    /// The address argument of a target that should listen on a free port.
    pub fn listen(&self) -> String {
        format!("{}:0", self.side.address)
    }

    /// A program of a target called `name`.
    pub fn program(&self, name: &str, command: Vec<OsString>) -> Program {
        Program {
            command: self.side.enter.iter().cloned().chain(command).collect(),
            core: self.core,
            log: self.scratch.join(format!("{name}.log")),
        }
    }
}

/// A system that can be measured.
#[async_trait(?Send)]
pub trait Target {
    /// Its name on the command line and in reports.
    fn name(&self) -> &'static str;

    /// A description in one line, for people.
    fn about(&self) -> &'static str;

    /// Starts it, empty.
    ///
    /// # Errors
    /// When it does not get ready.
    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>>;

    /// Whether it is measured when no targets are named.
    fn is_default(&self) -> bool {
        true
    }

    /// Whether it has several nodes, with partners on different ones.
    fn is_cluster(&self) -> bool {
        false
    }

    /// This target as NoWrong, for features that only NoWrong has.
    fn as_nowrong(&self) -> Option<&NoWrong> {
        None
    }
}

/// A target that runs.
#[async_trait(?Send)]
pub trait Running {
    /// All processes that belong to it.
    fn processes(&self) -> Vec<&Process>;

    /// Connects one person who will stay silent.
    ///
    /// # Errors
    /// When the person is not let in.
    async fn open(&self, user: u32) -> anyhow::Result<Peer>;

    /// Connects `first` and `first + 1`, who can write to each other when this returns: at once, if
    /// the target needs no matching.
    ///
    /// # Errors
    /// When they are not let in, or are not matched with each other.
    async fn open_pair(&self, first: u32) -> anyhow::Result<[Peer; 2]> {
        Ok([self.open(first).await?, self.open(first + 1).await?])
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be ended.
    async fn stop(self: Box<Self>) -> anyhow::Result<()>;
}

/// Every target, in the order of reports.
pub fn all() -> Vec<Box<dyn Target>> {
    use Storage::{Disk, Memory};
    use Transport::{Both, WebSocket, WebTransport};
    let webtransport = NoWrong::new("nowrong-webtransport", WebTransport, Disk);
    let websocket = NoWrong::new("nowrong-websocket", WebSocket, Disk);
    vec![
        Box::new(webtransport),
        Box::new(websocket),
        Box::new(NoWrong::new(
            "nowrong-webtransport-memory",
            WebTransport,
            Memory,
        )),
        Box::new(NoWrong::new("nowrong-websocket-memory", WebSocket, Memory)),
        Box::new(webtransport.without_fast_path("nowrong-webtransport-stream")),
        Box::new(webtransport.with_receipts("nowrong-webtransport-receipts")),
        Box::new(websocket.with_receipts("nowrong-websocket-receipts")),
        Box::new(NoWrong::new("nowrong", Both, Disk)),
        Box::new(cluster::Cluster),
        Box::new(floor::Floor::WEBTRANSPORT),
        Box::new(floor::Floor::WEBSOCKET),
        Box::new(socketio::SocketIo::Alone),
        Box::new(socketio::SocketIo::Redis),
        Box::new(nats::Nats),
        Box::new(sockudo::Sockudo),
    ]
}

/// The targets of these names; without names, the targets that are measured by default.
///
/// # Errors
/// When a name is unknown; the message lists the known ones.
pub fn choose(names: &[String]) -> anyhow::Result<Vec<Box<dyn Target>>> {
    let mut all = all();
    let known: Vec<_> = all.iter().map(|target| target.name()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        anyhow::bail!(
            "there is no target `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    all.retain(|target| match names {
        [] => target.is_default(),
        names => names.iter().any(|name| name == target.name()),
    });
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_name() {
        let default = choose(&[]).unwrap();
        assert_eq!(default.len(), 11);
        let chosen = choose(&[
            "socketio".to_owned(),
            "nowrong-websocket-receipts".to_owned(),
        ]);
        let names: Vec<_> = chosen.unwrap().iter().map(|target| target.name()).collect();
        assert_eq!(names, ["nowrong-websocket-receipts", "socketio"]);
        let unknown = choose(&["mqtt".to_owned()]).err().unwrap().to_string();
        assert!(unknown.starts_with("there is no target `mqtt`; there are: nowrong-webtransport,"));
    }
}
