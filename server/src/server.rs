//! Starting and stopping: puts the parts together, holds the listeners, and takes everything down in
//! the right order.
//!
//! [`Server::start`] answers when every listener is bound and the store is read; [`Running::stop`]
//! drains: the other nodes send no more clients here, `GoAway` to those that are here, then `Bye`, then
//! the last messages are made durable and the store is closed. No task outlives [`Running`]. Start reading at `start`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use axum::serve::ListenerExt as _;
use nowrong_certs::Watch;
use nowrong_core::record::{Category, Notice};
use nowrong_protocol::{CloseCode, UserId, limits::CLOSE_DEADLINE};
use quinn::Endpoint;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{self, ApiState, CategoryList, Departure, Watched},
    auth::{AccessTokens, keys::shared::REREAD_INTERVAL},
    broker::Broker,
    chat::{ChatParts, ChatRules, Chats},
    clock::Clock,
    config::{self, Addresses, Config, Role},
    connection::{Node, NodeParts},
    hub::Hub,
    inbox,
    matching::{Matching, MatchingParts},
    metrics::{self, Metrics},
    privacy::PseudonymKey,
    refusal::Refusal,
    store::{Store, StoreError, measured::MeasuredStore},
    transport::{door::Door, websocket, webtransport},
};

mod announcer;
mod open;

use announcer::Announcer;

/// How often chats are looked at: seats, idle notices, ends. Times that people see are in seconds.
const CHAT_TICK: Duration = Duration::from_secs(1);

/// How often tickets are looked at: what a retry may be late.
const TICKET_TICK: Duration = Duration::from_millis(200);

/// How often the queue is looked through for tickets that nobody has.
const QUEUE_SWEEP_TICK: Duration = Duration::from_secs(5);

/// How often expired records are removed. Reads do not see them anyway.
const SWEEP_TICK: Duration = Duration::from_secs(5);

/// Most records removed in one transaction of the sweeper.
const SWEEP_BATCH: usize = 1_000;

/// How often certificate files are compared, and clients told of a new one.
const CERTIFICATE_TICK: Duration = Duration::from_secs(1);

/// Until when all nodes know that this one goes away: they learn of it with the renewals of two leases.
const NEWS_SPREAD: Duration = Duration::from_millis(2_200);

/// How long a single node waits for its clients to leave by themselves: it has nowhere to send them,
/// and they come back when it does.
const SINGLE_NODE_DRAIN: Duration = Duration::from_secs(2);

/// Over what time the clients of a single node come back, so that it is not met by all at once.
const SINGLE_NODE_SPREAD: Duration = Duration::from_secs(1);

/// How long the last writes may take once all connections are gone.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// Builds the parts of a server.
pub struct Server;

/// A server that runs.
pub struct Running {
    role: Role,
    addresses: Addresses,
    http: SocketAddr,
    quic: Option<SocketAddr>,
    node: Arc<Node>,
    announcer: Arc<Announcer>,
    store: Arc<dyn Store>,
    access: Arc<AccessTokens>,
    endpoint: Option<Endpoint>,
    clock: Clock,
    drain: Duration,
    /// Ends the listeners and the ticking tasks.
    stop: CancellationToken,
    /// Ends the task that makes messages durable.
    stop_persist: CancellationToken,
    tasks: TaskTracker,
    _watch: Watch,
}

impl Server {
    /// Opens the store, binds the listeners and starts to serve.
    ///
    /// # Errors
    /// One sentence that says what to do: a data folder that cannot be used, a taken port, a bad
    /// certificate or categories file.
    pub async fn start(config: &Config) -> anyhow::Result<Running> {
        let clock = Clock::ahead_by(config.clock_ahead);
        let metrics = Arc::new(Metrics::default());
        let open::Stores { store, secrets } = open::store(config).await?;
        let store: Arc<dyn Store> = Arc::new(MeasuredStore::new(store, &metrics));
        let broker = open::broker(&config.broker).await?;
        let categories = open::categories(config, &*store).await?;
        let identity = open::identity(config, &clock)?;
        let watch = Watch::start(identity.clone(), CERTIFICATE_TICK)?;

        let listener = open::http(config.listen_http).await?;
        let http = listener.local_addr()?;
        let endpoint = open::quic(config, &identity)?;
        let quic = endpoint.as_ref().map(Endpoint::local_addr).transpose()?;
        let addresses = config.addresses(http, quic);

        let (access, pseudonyms) = open::access(config, secrets, clock.now()).await?;
        let (access, pseudonyms) = (Arc::new(access), Arc::new(pseudonyms));
        let parts = Parts {
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            pseudonyms: pseudonyms.clone(),
        };
        let (node, departure) = parts.assemble(config, addresses.clone(), categories.clone());
        if config.broker == config::Broker::Local {
            take_over_chats(&node).await?;
        }
        let api = ApiState {
            store: store.clone(),
            categories: Arc::new(CategoryList::new(categories)),
            broker,
            clock: clock.clone(),
            access: access.clone(),
            departure,
            addresses: Arc::new(addresses.clone()),
            limits: config.limits,
            pseudonyms,
            account_idle: config.account_idle,
            web_root: config.web_root.clone(),
        };
        let announcer = Announcer::start(api.broker.clone(), &addresses, identity, config);
        let router = router(config.role, api, &node);
        watch_node(&metrics, &node);
        let watched = open::metrics(config.listen_metrics).await?;
        let running = Running {
            role: config.role,
            addresses,
            http,
            quic,
            node,
            announcer,
            store,
            access,
            endpoint,
            clock,
            drain: config.drain,
            stop: CancellationToken::new(),
            stop_persist: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _watch: watch,
        };
        running.spawn_metrics(watched, metrics);
        running.spawn_all(listener, router);
        Ok(running)
    }
}

/// What a node of this role serves over HTTP.
fn router(role: Role, api: ApiState, node: &Arc<Node>) -> axum::Router {
    let rest = match role {
        Role::All | Role::Rest => api::router(api),
        Role::Realtime => {
            let (store, broker) = (api.store, api.broker);
            api::health_router(Watched { store, broker }, &api.addresses)
        }
    };
    match role {
        Role::All | Role::Realtime => rest.merge(websocket::router(node.clone())),
        Role::Rest => rest,
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

    /// What the node does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What clients are told.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The clock, for tests that move it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The node, for its counters.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn spawn_all(&self, listener: TcpListener, router: axum::Router) {
        let stop = self.stop.clone();
        // A message is one small segment: it must not wait for the acknowledgement of the last one.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps Nagle's delay");
            }
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        self.tasks.spawn(async move {
            let serve =
                axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = serve.await {
                tracing::error!(%error, "REST ended");
            }
        });
        if let Some(endpoint) = self.endpoint.clone() {
            self.tasks
                .spawn(webtransport::serve(self.node.clone(), endpoint));
        }
        let (chats, stop_persist) = (self.node.chats().clone(), self.stop_persist.clone());
        self.tasks
            .spawn(async move { chats.persist(stop_persist).await });
        let (chats, stop) = (self.node.chats().clone(), self.stop.clone());
        self.tasks.spawn(async move { chats.keep_up(stop).await });
        self.tasks
            .spawn(inbox::serve(self.node.clone(), self.stop.clone()));
        self.spawn_ticks();
        self.tasks.close();
    }

    fn spawn_metrics(&self, listener: Option<TcpListener>, metrics: Arc<Metrics>) {
        let Some(listener) = listener else { return };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let serve = axum::serve(listener, metrics::router(metrics));
            let serve = serve.with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = serve.await {
                tracing::error!(%error, "metrics ended");
            }
        });
    }

    fn spawn_ticks(&self) {
        let chats = self.node.chats().clone();
        self.every(CHAT_TICK, move || {
            let chats = chats.clone();
            async move { chats.tick().await }
        });
        let matching = self.node.matching().clone();
        self.every(TICKET_TICK, move || {
            let matching = matching.clone();
            async move { matching.tick().await }
        });
        let matching = self.node.matching().clone();
        self.every(QUEUE_SWEEP_TICK, move || {
            let matching = matching.clone();
            async move { matching.sweep().await }
        });
        let announcer = self.announcer.clone();
        self.every(CERTIFICATE_TICK, move || {
            announcer.announce();
            std::future::ready(())
        });
        let (access, clock) = (self.access.clone(), self.clock.clone());
        self.every(REREAD_INTERVAL, move || {
            let (access, now) = (access.clone(), clock.now());
            async move {
                if let Err(error) = access.reread(now).await {
                    tracing::warn!(%error, "the shared signing keys could not be read");
                }
            }
        });
        let (store, clock) = (self.store.clone(), self.clock.clone());
        self.every(SWEEP_TICK, move || {
            let (store, now) = (store.clone(), clock.now());
            async move { sweep(&*store, now).await }
        });
    }

    /// Does something at once and then at intervals, until the stop.
    fn every<F>(&self, interval: Duration, mut act: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => act().await,
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Stops: refuses new clients, sends the others away, and closes the store when every message is
    /// durable. Takes at most the configured `drain` and a few seconds ([`NEWS_SPREAD`] and the deadlines
    /// of the last closes and writes).
    pub async fn stop(self) {
        tracing::info!(connections = self.node.connections(), "stopping");
        let patience = self.send_away().await;
        self.node.links().close();
        if timeout(patience, self.node.links().wait()).await.is_err() {
            self.node.halt();
            let _ = timeout(CLOSE_DEADLINE * 2, self.node.links().wait()).await;
        }
        self.stop.cancel();
        if let Some(endpoint) = &self.endpoint {
            endpoint.close(u32::from(CloseCode::GOING_AWAY.0).into(), b"going away");
            let _ = timeout(CLOSE_DEADLINE, endpoint.wait_idle()).await;
        }
        let _ = timeout(FLUSH_DEADLINE, self.flush()).await;
        tracing::info!("stopped");
    }

    /// Asks the clients to leave; answers how long they may take. When there are other nodes, those are
    /// told first, so that no client is sent here that would be refused.
    async fn send_away(&self) -> Duration {
        self.announcer.leave();
        if self.addresses.has_peers {
            tokio::time::sleep(NEWS_SPREAD).await;
        }
        // Asked now: meanwhile a node that has just started can be seen, and others may leave too.
        if !self.node.has_elsewhere() {
            self.node.drain(SINGLE_NODE_SPREAD);
            return self.drain.min(SINGLE_NODE_DRAIN);
        }
        self.node.drain(self.drain / 2);
        self.drain
    }

    async fn flush(&self) {
        self.node.matching().settled().await;
        self.node.chats().tick().await;
        self.stop_persist.cancel();
        self.tasks.wait().await;
        self.store.close().await;
    }
}

/// What the parts of a node stand on.
struct Parts {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    clock: Clock,
    pseudonyms: Arc<PseudonymKey>,
}

impl Parts {
    fn assemble(
        self,
        config: &Config,
        addresses: Addresses,
        categories: Arc<[Category]>,
    ) -> (Arc<Node>, Arc<dyn Departure>) {
        let Self {
            store,
            broker,
            clock,
            pseudonyms,
        } = self;
        let hub = Arc::new(Hub::default());
        let chats = Chats::new(ChatParts {
            hub: hub.clone(),
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            rules: ChatRules {
                seat_hold: config.seat_hold,
                idle_notice: config.idle_notice,
                idle_end: config.idle_end,
                grace: config.grace,
                retention: config.retention,
            },
        });
        let matching = Matching::new(MatchingParts {
            hub: hub.clone(),
            store: store.clone(),
            broker: broker.clone(),
            chats: chats.clone(),
            clock: clock.clone(),
            categories,
            retention_ms: config.retention.as_millis() as u64,
        });
        let door = Door::new(broker.clone(), clock.clone(), pseudonyms, &config.limits);
        let connections_max = config.limits.connections_max as usize;
        let node = Node::new(NodeParts {
            hub,
            store,
            broker,
            chats,
            matching,
            clock,
            addresses,
            connections_max,
            door,
            has_fast_path: config.fast_path,
        });
        (node.clone(), Arc::new(NodeDeparture(node)))
    }
}

/// Takes a user out of everything that this node runs, before the account is erased.
struct NodeDeparture(Arc<Node>);

#[async_trait]
impl Departure for NodeDeparture {
    async fn depart(&self, user: UserId) -> Result<(), StoreError> {
        if let Some(entry) = self.0.hub().entry(user) {
            self.0
                .matching()
                .depart(&entry)
                .await
                .map_err(unavailable)?;
        }
        self.0.chats().depart(user).await.map_err(unavailable)?;
        if let Some(entry) = self.0.hub().entry(user) {
            entry.kick(CloseCode::ACCOUNT_GONE);
        }
        let broker = self.0.broker();
        let place = broker.place(user).await;
        let place = place.map_err(|error| unavailable(error.into()))?;
        if let Some(other) = place.filter(|place| *place != broker.id()) {
            broker.tell(&[other], Notice::Depart { user });
        }
        Ok(())
    }
}

fn unavailable(refusal: Refusal) -> StoreError {
    StoreError::Unavailable(refusal.code.to_string())
}

/// The only node takes over all chats that go on. One of several takes in those whose members come.
async fn take_over_chats(node: &Node) -> anyhow::Result<()> {
    let taken_over = node.chats().start().await;
    let taken_over = taken_over.context("the chats of the last run cannot be read")?;
    if taken_over > 0 {
        tracing::info!(chats = taken_over, "chats go on from the last run");
    }
    Ok(())
}

/// What can be asked of the node at any time.
fn watch_node(metrics: &Metrics, node: &Arc<Node>) {
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

async fn sweep(store: &dyn Store, now: u64) {
    loop {
        match store.sweep(now, SWEEP_BATCH).await {
            Ok(removed) if removed >= SWEEP_BATCH => {}
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "expired records could not be removed"),
        }
    }
}
