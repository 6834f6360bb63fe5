//! G8, G9: nothing of people is left. They come from addresses of their own, with names, interests and texts that stand
//! nowhere else, and use every feature while the log says all that it can say; then everything that was written is
//! searched.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, OnceLock},
};

use e2e::{ServerOptions, TestServer, eventually, within};
use nowrong_client::{
    AccountChange, Api, Chat, Client, ConnectOptions, NewAccount, Outgoing, Transport, User,
};
use nowrong_protocol::frame::PresenceState;
use nowrong_store_mongodb::testing::Spy;
use services::{
    mongodb::ReplicaSet,
    redis::Redis,
    shared::{Setting, find},
};
use tokio::{
    net::{TcpListener, TcpSocket, UdpSocket},
    task::JoinSet,
};

use crate::wire::{ask, get};

/// Where the people are.
const ADDRESSES: [Ipv4Addr; 2] = [
    Ipv4Addr::new(127, 77, 41, 13),
    Ipv4Addr::new(127, 77, 42, 14),
];

const NAMES: [&str; 2] = ["Quetzalcoatlina", "Xylophonius"];
/// Where they meet.
const CATEGORY: &str = "music";

const LATER_NAME: &str = "Zanzibarina";
const INTEREST: &str = "counterpoint of the renaissance";
const LANGUAGES: [&str; 2] = ["fr-CA", "pt-BR"];
const TEXTS: [&str; 3] = [
    "a rather unusual sentence about pelicans",
    "nobody else has read so much about herons",
    "cormorants, and nothing else",
];

/// All that may be found nowhere.
fn private() -> Vec<String> {
    let addresses = ADDRESSES.iter().map(ToString::to_string);
    let words = NAMES.iter().chain([&LATER_NAME, &INTEREST]).chain(&TEXTS);
    let words = words.chain(&LANGUAGES).map(|word| (*word).to_owned());
    addresses.chain(words).collect()
}

/// What of it is in these bytes, in any case of letters.
fn found_in(place: &str, bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.to_ascii_lowercase();
    let holds = |what: &String| {
        let what = what.to_ascii_lowercase();
        let mut windows = bytes.windows(what.len());
        windows.any(|window| window == what.as_bytes())
    };
    let found = private().into_iter().filter(holds);
    found
        .map(|what| format!("{what:?} is in {place}"))
        .collect()
}

fn found_on_disk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_on_disk(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.extend(found_in(&path.display().to_string(), &bytes));
        }
    }
    found
}

/// Whether these bytes hold the category of the chat, which is stored in clear: a search can find something.
fn holds_category(bytes: &[u8]) -> bool {
    let category = CATEGORY.as_bytes();
    bytes
        .windows(category.len())
        .any(|window| window == category)
}

/// The way of one person to the server: what arrives there comes from the address of the person.
struct Way {
    tcp: SocketAddr,
    /// Runs until it is dropped.
    _tasks: JoinSet<()>,
}

/// Where a server is, which starts later than the ways to it.
#[derive(Clone, Default)]
struct Goal(Arc<OnceLock<[SocketAddr; 2]>>);

impl Goal {
    fn http(&self) -> SocketAddr {
        self.0.get().unwrap()[0]
    }

    fn quic(&self) -> SocketAddr {
        self.0.get().unwrap()[1]
    }
}

fn own(address: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(address), 0)
}

impl Way {
    /// Takes whatever comes on the two sockets to the server, from this address.
    fn new(from: Ipv4Addr, tcp: TcpListener, udp: Option<Arc<UdpSocket>>, to: &Goal) -> Self {
        let mut tasks = JoinSet::new();
        let address = tcp.local_addr().unwrap();
        let goal = to.clone();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((mut inner, _)) = tcp.accept().await {
                let goal = goal.http();
                streams.spawn(async move {
                    let socket = TcpSocket::new_v4().unwrap();
                    socket.bind(own(from)).unwrap();
                    let mut outer = socket.connect(goal).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                });
            }
        });
        if let Some(udp) = udp {
            let goal = to.clone();
            tasks.spawn(async move { carry_datagrams(from, udp, goal).await });
        }
        Self {
            tcp: address,
            _tasks: tasks,
        }
    }

    fn api(&self) -> Api {
        Api::new(&format!("http://{}", self.tcp)).unwrap()
    }
}

/// A socket towards the server for each that a client has.
async fn carry_datagrams(from: Ipv4Addr, inner: Arc<UdpSocket>, to: Goal) {
    let mut outer: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut back = JoinSet::new();
    let mut bytes = [0; 2_048];
    while let Ok((length, client)) = inner.recv_from(&mut bytes).await {
        let known = outer.get(&client).cloned();
        let socket = match known {
            Some(socket) => socket,
            None => {
                let socket = Arc::new(UdpSocket::bind(own(from)).await.unwrap());
                socket.connect(to.quic()).await.unwrap();
                let (socket_back, inner) = (socket.clone(), inner.clone());
                back.spawn(async move {
                    let mut bytes = [0; 2_048];
                    while let Ok(length) = socket_back.recv(&mut bytes).await {
                        let _ = inner.send_to(&bytes[..length], client).await;
                    }
                });
                outer.insert(client, socket.clone());
                socket
            }
        };
        let _ = socket.send(&bytes[..length]).await;
    }
}

/// A server that says everything, and the ways of two people to it. Both are told the same address for
/// connections, so the first one is known by REST alone, and the second one by connections too.
struct Scene {
    server: TestServer,
    ways: [Way; 2],
    metrics: SocketAddr,
}

impl Scene {
    async fn set(flags: &[&str]) -> Self {
        let loopback = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let [one, other] = [loopback().await, loopback().await];
        let udp = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let free = loopback().await;
        let metrics = free.local_addr().unwrap();
        drop(free);
        let mut all: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        for (key, value) in [
            ("log.level", "trace".to_owned()),
            ("grace", "1s".to_owned()),
            ("listen_metrics", metrics.to_string()),
            (
                "public_url.websocket",
                format!("ws://{}/v1/websocket", other.local_addr().unwrap()),
            ),
            (
                "public_url.webtransport",
                format!("https://{}/v1/webtransport", udp.local_addr().unwrap()),
            ),
        ] {
            all.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let goal = Goal::default();
        let ways = [
            Way::new(ADDRESSES[0], one, None, &goal),
            Way::new(ADDRESSES[1], other, Some(udp), &goal),
        ];
        let server = TestServer::start_with(ServerOptions::flags(&all))
            .await
            .unwrap();
        goal.0.set([server.http(), quic(&server).await]).unwrap();
        Self {
            server,
            ways,
            metrics,
        }
    }

    async fn register(&self, person: usize) -> User {
        let account = NewAccount {
            language: LANGUAGES[person].to_owned(),
            interests: vec![INTEREST.to_owned()],
            ..NewAccount::named(NAMES[person])
        };
        self.ways[person].api().register(&account).await.unwrap()
    }

    /// What the metrics say, and the log so far.
    async fn said(&self) -> Vec<String> {
        let metrics = ask("127.0.0.1", self.metrics, &get("/metrics", "")).await;
        assert!(metrics.contains("nowrong_"), "{metrics}");
        let log = self.server.log();
        assert!(log.contains("DEBUG"), "it says all that it can:\n{log}");
        let mut found = found_in("the metrics", metrics.as_bytes());
        found.extend(found_in("the log", log.as_bytes()));
        found
    }
}

/// Where the server takes QUIC: it says so itself, since others are told another address.
async fn quic(server: &TestServer) -> SocketAddr {
    let said = || async {
        let log = server.log();
        let address = log.split_once(" quic=")?.1;
        address.split_whitespace().next()?.parse().ok()
    };
    eventually("the address of QUIC is said", said).await
}

/// Two people do all that can be done; in the end both accounts are erased.
async fn use_everything(scene: &Scene) {
    let users = [scene.register(0).await, scene.register(1).await];
    let transports = [Transport::WebTransport, Transport::WebSocket];
    let connect = async |person: usize| {
        let options = ConnectOptions::from(transports[person]);
        within("connecting", Client::connect(&users[person], options))
            .await
            .unwrap()
    };
    let clients = [connect(0).await, connect(1).await];
    let [mut first, mut second] = meet(&clients).await;
    talk(&mut first, &mut second).await;
    clients[0].cut().await.unwrap();
    within("an ack", first.send(TEXTS[1])).await.unwrap();
    within("history", second.history(None, 10)).await.unwrap();
    // Refused, and said nowhere: a name that is taken, a text that is too long, a body that is not one.
    assert!(
        scene.ways[0]
            .api()
            .register(&NewAccount::named(NAMES[1]))
            .await
            .is_err()
    );
    let long = TEXTS[2].repeat(400);
    assert!(first.send(long.as_str()).await.is_err());
    let wrong = format!(
        "POST /v1/users HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: \
         {}\r\n\r\n{}",
        TEXTS[2].len(),
        TEXTS[2]
    );
    let refused = ask(&ADDRESSES[0].to_string(), scene.server.http(), &wrong).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let owner = manage(scene, &users[0]).await;
    second.block().await.unwrap();
    for user in [&owner, &users[1]] {
        user.delete().await.unwrap();
    }
}

async fn meet(clients: &[Client; 2]) -> [Chat; 2] {
    let mut waiting = clients[0].join(CATEGORY, &[INTEREST]).await.unwrap();
    let mut joining = clients[1].join(CATEGORY, &[INTEREST]).await.unwrap();
    let second = within("a match", joining.matched()).await.unwrap();
    let first = within("a match", waiting.matched()).await.unwrap();
    [first, second]
}

async fn talk(first: &mut Chat, second: &mut Chat) {
    let sent = within("an ack", first.send(TEXTS[0])).await.unwrap();
    let heard = within("the message", second.next_message()).await.unwrap();
    second.typing(true).await.unwrap();
    second.presence(PresenceState::Away).await.unwrap();
    second.read(heard.position).await.unwrap();
    let reply = Outgoing {
        reply_to: Some(heard.position),
        ..TEXTS[1].into()
    };
    within("an ack", second.send(reply)).await.unwrap();
    within("the reply", first.next_message()).await.unwrap();
    first.delete(sent.position).await.unwrap();
}

/// The account is changed, exported, recovered, logged out, and recovered again.
async fn manage(scene: &Scene, user: &User) -> User {
    let change = AccountChange {
        name: Some(LATER_NAME.to_owned()),
        ..AccountChange::default()
    };
    user.update(&change).await.unwrap();
    user.export().await.unwrap();
    let code = user.make_recovery_code().await.unwrap();
    let device = scene.ways[0].api().recover(&code).await.unwrap();
    device.log_out(false).await.unwrap();
    scene.ways[0].api().recover(&code).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g9_nothing_of_people_is_left_by_a_single_node() {
    let mut scene = Scene::set(&[]).await;
    use_everything(&scene).await;
    let mut found = scene.said().await;
    scene.server.stop().await.unwrap();
    found.extend(found_in("the log", scene.server.log().as_bytes()));
    found.extend(found_on_disk(&scene.server.data()));
    let database = std::fs::read(scene.server.data().join("nowrong.redb")).unwrap();
    assert!(holds_category(&database));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g9_nothing_of_people_is_left_in_mongodb_redis_and_the_logs() {
    let mongod = find(Setting::MongodProgram).unwrap();
    let redis_server = find(Setting::RedisProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mongodb, cache) = (folder.path().join("mongodb"), folder.path().join("redis"));
    std::fs::create_dir_all(&cache).unwrap();
    let set = ReplicaSet::start(mongod.as_ref(), &mongodb, 1, &[]).unwrap();
    let redis = Redis::start(redis_server.as_ref(), &cache, &[]).unwrap();
    let url = set.url().replace("/?", "/trace?");
    let spy = Spy::open(&url).await;
    let mut scene = Scene::set(&["--store", &url, "--broker", &redis.url()]).await;
    use_everything(&scene).await;
    let mut found = scene.said().await;
    eventually("the accounts and the chat are deleted", || async {
        let counts = ["ChatKeys", "Users"].map(|name| spy.deleted(name));
        (counts == [1, 2]).then_some(())
    })
    .await;
    scene.server.stop().await.unwrap();
    found.extend(found_in("the log", scene.server.log().as_bytes()));
    found.extend(found_on_disk(&scene.server.data()));
    let database = spy.dump().await;
    assert!(holds_category(&database));
    found.extend(found_in("MongoDB", &database));
    for words in [&["CONFIG", "SET", "rdbcompression", "no"][..], &["SAVE"]] {
        redis.ask(words).unwrap();
    }
    let memory = std::fs::read(cache.join("dump.rdb")).unwrap();
    assert!(memory.len() > 500, "Redis has written what it holds");
    found.extend(found_in("Redis", &memory));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
