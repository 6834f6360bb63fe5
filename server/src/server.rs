//! Starting and stopping: assembles the parts, holds the listeners, and stops everything in the
//! right order.
//!
//! [`Server::start`] returns when every listener is bound and the store is read; [`Running::stop`]
//! drains: the other nodes stop sending clients here, the clients here get `GoAway` and then `Bye`,
//! then the last messages are made durable and the store is closed. No task outlives [`Running`].
//! Start reading at `start`.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context as _;
use nowrong_base::{clock::Clock, metrics::Metrics};
use nowrong_certs::{Identity, Watch};
use nowrong_core::chat::ChatRules;
use nowrong_quic::Endpoint;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, ApiState, CategoryList},
    auth::AccessTokens,
    chat::Chats,
    config::{self, Addresses, Config, Role},
    hub::Hub,
    matching::Matching,
    node::Node,
    peer::Peers,
    timekeeper::{StoodAside, Timekeeper},
    transport::{Entrance, door::Door, websocket},
};

mod announcer;
mod categories;
mod departure;
mod http;
mod keys;
mod open;
mod retention;
mod stop;
mod tasks;
#[cfg(test)]
mod tests;
mod watched;

use self::http::{Deadlines, HttpServer, files, room::Room};
use announcer::Announcer;
pub use categories::{import, show};
use departure::NodeDeparture;
pub use keys::rotate_keys;
use open::{Opened, Wrapping};
use watched::WatchedTasks;

/// How often certificate files are compared, and clients told of a new one.
const CERTIFICATE_TICK: Duration = Duration::from_secs(1);

/// Builds the parts of a server.
pub struct Server;

/// A running server.
pub struct Running {
    role: Role,
    addresses: Addresses,
    http: SocketAddr,
    quic: Option<SocketAddr>,
    node: Arc<Node>,
    announcer: Arc<Announcer>,
    timekeeper: Arc<Timekeeper>,
    wrapping: Option<Wrapping>,
    access: Arc<AccessTokens>,
    endpoint: Option<Endpoint>,
    drain: Duration,
    account_idle: Duration,
    /// Ends the listeners and the ticking tasks.
    stop: CancellationToken,
    /// Ends the task that makes messages durable.
    stop_persist: CancellationToken,
    tasks: WatchedTasks,
    watch: Watch,
}

impl Server {
    /// Opens the store, binds the listeners and starts to serve.
    ///
    /// # Errors
    /// One sentence that says what to do: an unusable data folder, a taken port, a bad certificate
    /// or categories file.
    pub async fn start(config: &Config) -> anyhow::Result<Running> {
        let files = files::raise();
        files::compare(files, &config.limits);
        let opened = Opened::open(config).await?;
        let watch = Watch::start(opened.identity.clone(), CERTIFICATE_TICK)?;
        let listener = open::http(config.listen_http).await?;
        let http = listener.local_addr()?;
        let endpoint = open::quic(config, &opened.identity)?;
        let quic = endpoint.as_ref().map(Endpoint::local_addr).transpose()?;
        let addresses = config.addresses(http, quic);
        for advice in config.advice(&addresses) {
            tracing::warn!("{advice}");
        }
        let watched = open::metrics(config.listen_metrics).await?;

        let node = node(config, &opened);
        if config.broker == config::BrokerChoice::Local {
            take_over_chats(&node).await?;
        }
        let entrance = Entrance {
            node: node.clone(),
            door: Door::new(
                opened.env.broker.clone(),
                opened.env.clock.clone(),
                opened.pseudonyms.clone(),
                &config.limits,
            ),
            addresses: Arc::new(addresses.clone()),
            has_fast_path: config.fast_path,
        };
        let tasks = WatchedTasks::default();
        let router = router(config, &opened, &entrance);
        let router = router.layer(axum::Extension(tasks.alarm().clone()));
        let rest = http_server(config, &opened, router, files);
        watch_node(&node);
        watch_certificate(&node, opened.identity.clone());
        let announcer = Announcer::start(
            node.env().broker.clone(),
            &addresses,
            opened.identity,
            config,
        );
        let running = Running {
            role: config.role,
            addresses,
            http,
            quic,
            node,
            announcer,
            timekeeper: opened.timekeeper,
            wrapping: opened.wrapping,
            access: opened.access,
            endpoint,
            drain: config.drain,
            account_idle: config.account_idle,
            stop: CancellationToken::new(),
            stop_persist: CancellationToken::new(),
            tasks,
            watch,
        };
        running.spawn_all(entrance, listener, rest, watched);
        Ok(running)
    }
}

/// The parts of a node, without connections.
fn node(config: &Config, opened: &Opened) -> Arc<Node> {
    let env = opened.env.clone();
    let hub = Arc::new(Hub::default());
    let rules = ChatRules {
        seat_hold: config.seat_hold,
        idle_notice: config.idle_notice,
        idle_end: config.idle_end,
        grace: config.grace,
        retention: config.retention,
    };
    let chats = Chats::new(env.clone(), hub.clone(), rules);
    let categories = opened.categories.clone();
    let matching = Matching::new(
        env.clone(),
        hub.clone(),
        chats.clone(),
        categories,
        config.newcomer_age,
    );
    let connections_max = config.limits.connections_max as usize;
    Node::new(env, hub, chats, matching, connections_max)
}

/// The HTTP routes of a node with this role.
fn router(config: &Config, opened: &Opened, entrance: &Entrance) -> axum::Router {
    let addresses = entrance.addresses.clone();
    let rest = match config.role {
        Role::All | Role::Rest => api::router(ApiState {
            env: opened.env.clone(),
            categories: Arc::new(CategoryList::new(opened.categories.clone())),
            access: opened.access.clone(),
            departure: Arc::new(NodeDeparture(entrance.node.clone())),
            addresses,
            limits: config.limits,
            crowd: Arc::default(),
            pseudonyms: opened.pseudonyms.clone(),
            reserved_names: Arc::new(config.reserved_names.clone()),
            account_idle: config.account_idle,
            web_root: config.web_root.clone(),
            never_served: config.never_served.clone().into(),
            script_hashes: config.script_hashes.clone().into(),
        }),
        Role::Realtime => api::health_router(opened.env.clone(), &addresses),
    };
    match config.role {
        Role::All | Role::Realtime => {
            let websocket = websocket::router(entrance.clone());
            rest.merge(api::with_headers(
                websocket,
                &entrance.addresses,
                &config.script_hashes,
            ))
        }
        Role::Rest => rest,
    }
}

/// Serves the routes to people, also behind the proxies that are trusted.
fn http_server(config: &Config, opened: &Opened, router: axum::Router, files: u64) -> HttpServer {
    let shares_max = config.limits.connections_per_prefix_max as usize;
    HttpServer {
        router,
        peers: Peers::new(config.trusted_proxies.clone()),
        reads_proxy_protocol: config.proxy_protocol,
        room: Room::new(files::connections(files, &config.limits), shares_max),
        pseudonyms: opened.pseudonyms.clone(),
        metrics: opened.env.metrics.clone(),
        deadlines: Deadlines::USUAL,
        has_told_silent: AtomicBool::new(false),
    }
}

impl Running {
    /// Where REST and WebSocket listen.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where WebTransport listens, unless it is off.
    pub fn quic(&self) -> Option<SocketAddr> {
        self.quic
    }

    /// The role of the node.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The addresses for clients.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Waits until the node must end because one of its parts has ended; returns which.
    pub async fn failed(&self) -> &'static str {
        self.tasks.alarm().raised().await
    }

    /// Looks for a new certificate now.
    pub fn reread_certificate(&self) {
        self.watch.look_now();
    }

    /// Where the program adds what it counts itself.
    pub fn metrics(&self) -> &Metrics {
        &self.node.env().metrics
    }

    /// The clock of the node.
    pub fn clock(&self) -> &Clock {
        &self.node.env().clock
    }

    /// Ends when the node must leave the cluster because of its clock, with the reason: stop it then.
    pub async fn must_leave(&self) -> StoodAside {
        self.timekeeper.must_leave().await
    }
}

/// A single node takes over all chats that have not ended. One of several nodes takes over a chat
/// when a member connects.
async fn take_over_chats(node: &Node) -> anyhow::Result<()> {
    let taken_over = node.chats().take_over_stored().await;
    let taken_over = taken_over.context("the chats of the last run cannot be read")?;
    if taken_over > 0 {
        tracing::info!(chats = taken_over, "chats continue from the last run");
    }
    Ok(())
}

/// How long the certificate is still valid.
fn watch_certificate(node: &Node, identity: Identity) {
    let (metrics, clock) = (&node.env().metrics, node.env().clock.clone());
    let text = "Seconds until the certificate of WebTransport expires; negative after that";
    metrics.gauge("certificate_expiry_seconds", text, move || {
        identity.seconds_left(clock.system())
    });
}

/// Values of the node that can be read at any time.
fn watch_node(node: &Arc<Node>) {
    let metrics = &node.env().metrics;
    let connections = Arc::downgrade(node);
    metrics.gauge("connections", "Clients that are connected", move || {
        let node = connections.upgrade();
        node.map_or(0, |node| node.connections() as i64)
    });
    let users = Arc::downgrade(node);
    metrics.gauge("users", "Users that this node knows of", move || {
        users.upgrade().map_or(0, |node| node.hub().len() as i64)
    });
}
