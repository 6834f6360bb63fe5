//! The people of a load test: as many as a node can carry, each on a chosen node, over the
//! lightweight wires of the bench.

use std::cell::Cell;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nowrong_bench::{
    dialect::nowrong::NoWrong, drive::Parked, target::nowrong::Person, wire::Wire,
};
use nowrong_client::{Api, NewAccount};
use nowrong_protocol::{ClientFrame, frame::Hello, version::VersionRange};

use crate::cluster::Cluster;

/// How many people are let in at one time.
const ENTERING_MAX: usize = 48;

/// The nodes that people connect to.
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

    /// Registers a person and connects to the node that the number selects.
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

    /// This many people, spread over the nodes in turn, connected and quiet.
    ///
    /// # Errors
    /// When a person is not let in.
    pub async fn enter_all(&self, people: u32) -> anyhow::Result<Vec<Parked<Person>>> {
        let entering = stream::iter(0..people as usize)
            .map(|number| async move { anyhow::Ok(Parked::new(self.enter(number).await?)) });
        entering.buffer_unordered(ENTERING_MAX).try_collect().await
    }
}
