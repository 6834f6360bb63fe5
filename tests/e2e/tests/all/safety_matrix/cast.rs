//! The people and the servers: accounts, bare links to a certain node, and what came over them.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use e2e::{Cluster, PATIENCE, ServerOptions, TestServer, eventually, within};
use nowrong_client::{Endpoint, LinkOptions, NewAccount, RawConnection, RawError, Transport, User};
use nowrong_protocol::{
    ChatId, ClientFrame, CloseCode, Position, ServerFrame, TicketId,
    frame::{Join, Ping, Pong, Resume, Welcome},
};

use super::table::FAR;

/// Enough categories that no two scenes share one: nobody meets somebody from another scene.
const CATEGORIES: u32 = 480;

/// The servers, and what is needed to reach each of them.
pub(super) struct World {
    nodes: Nodes,
    endpoints: [Endpoint; 2],
    /// A server with data, keys and tokens of its own.
    pub(super) elsewhere: TestServer,
    count: AtomicU32,
    categories: AtomicU32,
    _folder: tempfile::TempDir,
}

enum Nodes {
    One(Box<TestServer>),
    Two(Box<Cluster>),
}

impl World {
    /// A single node with the embedded store.
    pub(super) async fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = TestServer::start_with(options(folder.path())).await;
        Self::with(Nodes::One(Box::new(node.unwrap())), folder).await
    }

    /// Two nodes on MongoDB and Redis.
    pub(super) async fn cluster() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start_with(options(folder.path())).await;
        Self::with(Nodes::Two(Box::new(cluster.unwrap())), folder).await
    }

    async fn with(nodes: Nodes, folder: tempfile::TempDir) -> Self {
        let elsewhere = TestServer::start_with(options(folder.path())).await;
        let mut world = Self {
            nodes,
            endpoints: Default::default(),
            elsewhere: elsewhere.unwrap(),
            count: AtomicU32::new(0),
            categories: AtomicU32::new(0),
            _folder: folder,
        };
        for node in 0..2 {
            world.endpoints[node] = world.find_endpoint(node).await;
        }
        world
    }

    /// The node; there is only one when it is embedded.
    pub(super) fn node(&self, index: usize) -> &TestServer {
        match &self.nodes {
            Nodes::One(node) => node,
            Nodes::Two(cluster) => &cluster.nodes[index],
        }
    }

    /// Whether there are two nodes.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.nodes, Nodes::Two(_))
    }

    /// Each node of a cluster names the others too, so the one that is wanted comes up.
    async fn find_endpoint(&self, index: usize) -> Endpoint {
        let node = self.node(index);
        let user = self.register(index).await;
        let found = || async {
            let endpoint = user.connect().await.unwrap().endpoint;
            (endpoint.websocket == node.websocket()).then_some(endpoint)
        };
        eventually("the node is named", found).await
    }

    /// A new account, registered at this node.
    pub(super) async fn register(&self, node: usize) -> User {
        let account = NewAccount::named(self.name());
        self.node(node).api().register(&account).await.unwrap()
    }

    /// A name that looks like no other: its last letters are `a` to `h`.
    pub(super) fn name(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let letter = |place: u32| char::from(b'a' + (number >> (3 * place) & 7) as u8);
        format!("Actor {}", (0..5).map(letter).collect::<String>())
    }

    /// A category in which nobody is.
    pub(super) fn category(&self) -> String {
        let number = self.categories.fetch_add(1, Ordering::Relaxed);
        format!("room-{}", number % CATEGORIES)
    }

    /// A link to this node on which nothing was said.
    pub(super) async fn open(&self, node: usize, transport: Transport) -> RawConnection {
        let options = LinkOptions {
            transport,
            ..LinkOptions::default()
        };
        // Boxed, like all that holds a link: nested, such futures are too large for a stack.
        let opened = Box::pin(RawConnection::open(&self.endpoints[node], &options));
        within("a link", opened).await.unwrap()
    }
}

/// Everybody comes from one address, in a rush.
fn options(folder: &Path) -> ServerOptions {
    let file = folder.join("categories.toml");
    let one = |number: u32| {
        format!(
            "[[category]]\nid = \"room-{number}\"\ntitle = \"Room {number}\"\ndescription = \"Here.\"\nemoji = \"🎵\"\n"
        )
    };
    std::fs::write(&file, (0..CATEGORIES).map(one).collect::<String>()).unwrap();
    ServerOptions::flags(&[
        "--set",
        &format!("categories={}", file.display()),
        "--set",
        "limits.handshakes_burst=100000",
        "--set",
        "limits.connections_per_prefix_max=10000",
    ])
}

/// Where somebody comes in.
#[derive(Clone, Copy)]
pub(super) struct Door {
    /// The node that issues the connect token.
    pub(super) issuer: usize,
    /// The node of the link.
    pub(super) node: usize,
    /// What the link is.
    pub(super) transport: Transport,
}

impl Door {
    /// By WebSocket, which loses nothing.
    pub(super) fn websocket(node: usize) -> Self {
        Self {
            issuer: node,
            node,
            transport: Transport::WebSocket,
        }
    }
}

/// Somebody with an account and a link.
pub(super) struct Actor {
    pub(super) user: User,
    pub(super) link: RawConnection,
    pub(super) door: Door,
    /// What came since it was last cleared, without pings and pongs.
    pub(super) seen: Vec<ServerFrame>,
    requests: u32,
}

impl Actor {
    /// Registers and says `Hello`.
    pub(super) async fn arrive(world: &World, door: Door) -> Self {
        let user = world.register(door.issuer).await;
        let entering = Box::pin(Self::enter(world, user, door, Vec::new()));
        let (actor, _) = entering.await.unwrap();
        actor
    }

    /// Says `Hello`; `Err` with the code of the `Bye`.
    pub(super) async fn enter(
        world: &World,
        user: User,
        door: Door,
        resume: Vec<Resume>,
    ) -> Result<(Self, Welcome), CloseCode> {
        let issuer = user.at(&world.node(door.issuer).api());
        let token = issuer.connect().await.unwrap().connect_token;
        Box::pin(Self::enter_with(world, user, door, (token, resume))).await
    }

    /// The same with this connect token.
    pub(super) async fn enter_with(
        world: &World,
        user: User,
        door: Door,
        (token, resume): (String, Vec<Resume>),
    ) -> Result<(Self, Welcome), CloseCode> {
        let mut link = world.open(door.node, door.transport).await;
        let mut hello = RawConnection::hello(token);
        hello.resume = resume;
        link.send(hello);
        match link.receive(PATIENCE).await.unwrap() {
            ServerFrame::Welcome(welcome) => {
                let actor = Self {
                    user,
                    link,
                    door,
                    seen: Vec::new(),
                    requests: 0,
                };
                Ok((actor, welcome))
            }
            ServerFrame::Bye(bye) => Err(bye.code),
            other => panic!("neither Welcome nor Bye: {other:?}"),
        }
    }

    /// The id for a request.
    pub(super) fn request(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// Queues in this category; returns the ticket.
    pub(super) async fn join(&mut self, category: &str) -> TicketId {
        let request = self.request();
        self.link.send(Join {
            request,
            category: category.to_owned(),
            interests: Vec::new(),
        });
        let queued = |frame: &ServerFrame| match frame {
            ServerFrame::Queued(queued) => Some(queued.ticket.0.ticket),
            _ => None,
        };
        self.wait("the queue", queued).await
    }

    /// Waits for the match; returns the chat.
    pub(super) async fn matched(&mut self) -> ChatId {
        let matched = |frame: &ServerFrame| match frame {
            ServerFrame::Matched(matched) => Some(matched.chat.0.chat),
            _ => None,
        };
        self.wait("a match", matched).await
    }

    /// Sends, and waits until the server has taken it in. Datagrams have no order among frames of a lane,
    /// so two rounds.
    pub(super) async fn tell(&mut self, frame: impl Into<ClientFrame>) {
        self.link.send(frame);
        self.fence().await;
        if self.door.transport == Transport::WebTransport {
            self.fence().await;
        }
    }

    /// Waits until the server has taken in everything so far.
    pub(super) async fn fence(&mut self) {
        let nonce = rand::random();
        self.link.send(Ping { nonce });
        let is_it = |frame: &ServerFrame| match frame {
            ServerFrame::Pong(pong) => (pong.nonce == nonce).then_some(()),
            _ => None,
        };
        self.wait("a pong", is_it).await;
    }

    /// Waits for a frame.
    pub(super) async fn wait<T>(
        &mut self,
        what: &str,
        found: impl Fn(&ServerFrame) -> Option<T>,
    ) -> T {
        loop {
            let frame = self.receive(PATIENCE).await;
            let frame = frame.unwrap_or_else(|error| panic!("{what}: {error}"));
            if let Some(found) = found(&frame) {
                return found;
            }
        }
    }

    /// The next frame that is not a `Ping`.
    pub(super) async fn receive(&mut self, patience: Duration) -> Result<ServerFrame, RawError> {
        loop {
            let frame = self.link.receive(patience).await?;
            match &frame {
                ServerFrame::Ping(ping) => self.link.send(Pong { nonce: ping.nonce }),
                ServerFrame::Pong(_) => return Ok(frame),
                other => {
                    check_positions(other);
                    self.seen.push(other.clone());
                    return Ok(frame);
                }
            }
        }
    }
}

/// Nothing that one client chooses reaches another one's decoder unchecked.
fn check_positions(frame: &ServerFrame) {
    let none = Position::START;
    let positions = match frame {
        ServerFrame::Message(it) => [it.position, it.reply_to.unwrap_or(none)],
        ServerFrame::ReadCursor(it) => [it.delivered, it.read],
        ServerFrame::Deleted(it) => [it.position, none],
        _ => [none; 2],
    };
    for position in positions {
        let is_known = position == none || (position.epoch == 1 && position.seq < FAR);
        assert!(is_known, "{position} names no message: {frame:?}");
    }
}
