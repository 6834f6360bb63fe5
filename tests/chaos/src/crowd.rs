//! People of a load: as many as a node carries, each on a node of choice, over the lean wires of the
//! bench.

use std::cell::Cell;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nowrong_bench::{
    dialect::nowrong::NoWrong, drive::Parked, target::nowrong::Person, wire::Wire,
};
use nowrong_client::{Api, NewAccount};
use nowrong_protocol::{ClientFrame, frame::Hello, version::VersionRange};

use crate::cluster::Cluster;

/// People that are let in at one time.
const ENTERING_MAX: usize = 48;

/// Where people enter.
pub struct Entrances {
    nodes: Vec<(Api, String)>,
    registered: Cell<u32>,
}

impl Entrances {
    /// The entrances of all nodes.
    ///
    /// # Errors
    /// When one has no address.
    pub fn of(cluster: &mut Cluster) -> anyhow::Result<Self> {
        let nodes = cluster.nodes().iter();
        let nodes = nodes.map(|node| (node.api(), node.websocket().to_owned()));
        Ok(Self {
            nodes: nodes.collect(),
            registered: Cell::new(0),
        })
    }

    /// Registers somebody and connects to the node that the number chooses.
    ///
    /// # Errors
    /// When the person is not let in.
    pub async fn enter(&self, node: usize) -> anyhow::Result<Person> {
        let (api, websocket) = &self.nodes[node % self.nodes.len()];
        let number = self.registered.replace(self.registered.get() + 1);
        let user = api
            .register(&NewAccount::named(format!("one of many {number}")))
            .await?;
        let connect = user.connect().await?;
        let mut person = Person {
            user,
            wire: Wire::websocket(websocket, false).await?,
            dialect: NoWrong::over_messages(),
        };
        let hello = Hello {
            versions: VersionRange::SUPPORTED,
            connect_token: connect.connect_token,
            agent: "chaos".to_owned(),
            resume: Vec::new(),
        };
        person.wire.send(ClientFrame::from(hello).encode()).await?;
        person.welcomed().await.context("no Welcome")?;
        Ok(person)
    }

    /// So many people, spread over the nodes in turn, connected and quiet.
    ///
    /// # Errors
    /// When somebody is not let in.
    pub async fn enter_all(&self, people: u32) -> anyhow::Result<Vec<Parked<Person>>> {
        let entering = stream::iter(0..people as usize)
            .map(|number| async move { anyhow::Ok(Parked::new(self.enter(number).await?)) });
        entering.buffer_unordered(ENTERING_MAX).try_collect().await
    }
}
