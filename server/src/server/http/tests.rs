//! Connections that say nothing, that come through proxies, and that are too many: over real sockets,
//! with short deadlines. Addresses of clients are those of the loopback network.

use std::{io, net::SocketAddr, time::Duration};

use axum::{body::Body, extract::State, routing::get};
use nowrong_base::metrics::Metrics;
use nowrong_core::network::TrustedProxies;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::{Instant, sleep},
};

use super::*;
use crate::peer::Peer;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const SHORT: Deadlines = Deadlines {
    head: Duration::from_millis(500),
    idle: Duration::from_secs(3),
    spare: Duration::from_millis(200),
    stall: Duration::from_millis(600),
    stop: Duration::from_millis(500),
};

/// How long the handler of `/slow` takes: longer than a head may.
const SLOW: Duration = Duration::from_millis(900);

/// Bytes of `/large`: more than any buffer between server and client.
const LARGE: usize = 64 << 20;

/// A listener, and what can be seen of it.
struct Scene {
    address: SocketAddr,
    key: Arc<PseudonymKey>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

impl Scene {
    /// A server with this room that trusts these proxies.
    async fn new(room: Arc<Room>, proxies: &[&str], reads_proxy_protocol: bool) -> Self {
        let key = Arc::new(PseudonymKey::generate().unwrap());
        let networks = proxies.iter().map(|text| text.parse().unwrap()).collect();
        let metrics = Arc::new(Metrics::default());
        let server = HttpServer {
            router: routes(key.clone()),
            peers: Peers::new(TrustedProxies::new(networks)),
            reads_proxy_protocol,
            room,
            pseudonyms: key.clone(),
            metrics: metrics.clone(),
            deadlines: SHORT,
            has_told_silent: AtomicBool::new(false),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let served = tokio::spawn(Arc::new(server).serve(listener, stop.clone()));
        Self {
            address,
            key,
            metrics,
            stop,
            served,
        }
    }

    async fn wide() -> Self {
        Self::new(Room::new(100, 100), &[], false).await
    }

    /// A connection from this address.
    async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(from.parse().unwrap(), 0))
            .unwrap();
        timeout(PATIENCE, socket.connect(self.address))
            .await
            .unwrap()
            .unwrap()
    }

    /// The response to these bytes on a connection of their own.
    async fn ask(&self, from: &str, bytes: &[u8]) -> String {
        let mut stream = self.connect(from).await;
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }

    /// Whom the server takes the sender of these bytes for.
    async fn who(&self, from: &str, bytes: &[u8]) -> String {
        let response = self.ask(from, bytes).await;
        response
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    fn pseudonym(&self, address: &str) -> String {
        let address: IpAddr = address.parse().unwrap();
        format!("{:?}", ClientIp::from(address).limiter_key(&self.key))
    }
}

fn routes(key: Arc<PseudonymKey>) -> Router {
    let who = |State(key): State<Arc<PseudonymKey>>, Peer(client): Peer| async move {
        format!("{:?}", client.limiter_key(&key))
    };
    let slow = || async {
        sleep(SLOW).await;
        "slow"
    };
    Router::new()
        .route("/who", get(who))
        .route("/slow", get(slow))
        .route("/healthz", get(|| async { "well" }))
        .route("/large", get(|| async { Body::from(vec![7; LARGE]) }))
        .with_state(key)
}

/// A request for `/who` with more headers.
fn who_with(headers: &str) -> Vec<u8> {
    format!("GET /who HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

/// What comes until the end, also when the end is a reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let _: io::Result<usize> = read.expect("the connection does not end");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How long a connection lives on after these bytes, and what came meanwhile.
async fn life(scene: &Scene, bytes: &[u8]) -> (Duration, String) {
    let mut stream = scene.connect("127.0.0.1").await;
    let begun = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let said = rest(&mut stream).await;
    (begun.elapsed(), said)
}

#[tokio::test]
async fn a_connection_without_a_whole_head_ends_after_the_deadline() {
    let scene = Scene::wide().await;
    for bytes in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nHo",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
    ] {
        let (lived, said) = life(&scene, bytes).await;
        assert!(
            lived >= SHORT.head && lived < SHORT.idle,
            "{lived:?} {bytes:?}"
        );
        assert_eq!(said, "");
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let scene = Scene::wide().await;
    let cases = [
        ("1.1", "host: a\r\n", true),
        ("1.1", "", false),
        ("1.1", "host: a\r\nhost: b\r\n", false),
        ("1.0", "", true),
        ("1.0", "host: a\r\nhost: b\r\n", false),
    ];
    for (version, hosts, is_good) in cases {
        let request = format!("GET /healthz HTTP/{version}\r\nconnection: close\r\n{hosts}\r\n");
        let (_, said) = life(&scene, request.as_bytes()).await;
        let status = if is_good { " 200 " } else { " 400 " };
        assert!(
            said.lines()
                .next()
                .is_some_and(|line| line.contains(status)),
            "{request} {said}"
        );
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_gets_no_more_time() {
    let scene = Scene::wide().await;
    let mut stream = scene.connect("127.0.0.1").await;
    let begun = Instant::now();
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nx: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, drip).await.unwrap();
    assert!(begun.elapsed() < SHORT.idle, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_idle_connection_ends_later_and_a_second_head_is_due_as_the_first() {
    let scene = Scene::wide().await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let (lived, said) = life(&scene, request).await;
    assert!(lived >= SHORT.idle, "{lived:?}");
    assert!(said.ends_with("well"), "{said}");
    let (lived, said) = life(&scene, &[&request[..], b"GET /he"].concat()).await;
    assert!(lived >= SHORT.head && lived <= SHORT.idle * 2, "{lived:?}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");

    let mut stream = scene.connect("127.0.0.1").await;
    stream.write_all(request).await.unwrap();
    let mut first = [0; 16];
    stream.read_exact(&mut first).await.unwrap();
    sleep(SHORT.head / 2).await;
    let begun = Instant::now();
    stream.write_all(b"GET /he").await.unwrap();
    rest(&mut stream).await;
    assert!(
        begun.elapsed() < SHORT.idle - SHORT.head,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_request_that_takes_long_is_served_also_the_second_time() {
    let scene = Scene::wide().await;
    let slow = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = b"GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let (lived, said) = life(&scene, &[&slow[..], last].concat()).await;
    assert_eq!(said.matches("slow").count(), 2, "{said}");
    assert!(lived >= SLOW * 2, "{lived:?}");
}

#[tokio::test]
async fn who_asks_the_next_thing_early_still_gets_a_long_response() {
    let scene = Scene::wide().await;
    let mut stream = scene.connect("127.0.0.1").await;
    let request = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut piece = vec![0; LARGE / 16];
    let mut taken = stream.read(&mut piece).await.unwrap();
    stream.write_all(b"GET /who HT").await.unwrap();
    let begun = Instant::now();
    while taken < LARGE {
        if begun.elapsed() < SHORT.head * 2 {
            sleep(SHORT.head / 8).await;
        }
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.unwrap();
        match read.unwrap() {
            0 => panic!("cut off after {taken} bytes"),
            read => taken += read,
        }
    }
    assert!(begun.elapsed() > SHORT.head, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_closed() {
    let scene = Scene::wide().await;
    let mut stream = scene.connect("127.0.0.1").await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    sleep(SHORT.stall * 2).await;
    let took = rest(&mut stream).await;
    assert!(took.len() < LARGE, "it waited forever");
}

#[tokio::test]
async fn a_network_with_all_its_connections_still_learns_whether_the_node_is_well() {
    let scene = Scene::new(Room::new(100, 3), &[], false).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(scene.connect("127.0.0.1").await);
    }
    let refused = scene.ask("127.0.0.1", &who_with("")).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    for part in [
        "application/problem+json",
        "retry-after: 1",
        "connection: close",
        "OVERLOADED",
    ] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let health = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let well = scene.ask("127.0.0.1", health).await;
    assert!(well.ends_with("well"), "{well}");
    let other = scene.who("127.0.0.2", &who_with("")).await;
    assert_eq!(
        other,
        scene.pseudonym("127.0.0.2"),
        "another network has its own"
    );
    let counted = "nowrong_limit_refusals_total{limit=\"connections_per_prefix_max\"} 2";
    assert!(
        scene.metrics.text().contains(counted),
        "{}",
        scene.metrics.text()
    );
    // Silent ones do not hold their place forever.
    for stream in &mut held {
        rest(stream).await;
    }
    let again = scene.who("127.0.0.1", &who_with("")).await;
    assert_eq!(again, scene.pseudonym("127.0.0.1"));
}

#[tokio::test]
async fn a_full_node_serves_its_health_however_many_silent_connections_come() {
    let scene = Scene::new(Room::new(2, 2), &[], false).await;
    let mut held = Vec::new();
    for last in 1..=30 {
        held.push(scene.connect(&format!("127.0.0.{last}")).await);
    }
    let well = scene
        .ask("127.0.1.1", b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(
        well.starts_with("HTTP/1.1 404 "),
        "the routes of the test: {well}"
    );
    let well = scene
        .ask("127.0.1.1", b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(well.ends_with("well"), "{well}");
    assert!(scene.metrics.text().contains("{limit=\"open_files\"}"));
}

#[tokio::test]
async fn headers_count_from_trusted_proxies_alone() {
    let scene = Scene::new(Room::new(100, 100), &["127.0.0.1"], false).await;
    let cases = [
        (
            "127.0.0.1",
            "x-forwarded-for: 203.0.113.7\r\n",
            "203.0.113.7",
        ),
        ("127.0.0.1", "forwarded: for=203.0.113.7\r\n", "203.0.113.7"),
        (
            "127.0.0.1",
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 203.0.113.7\r\n",
            "203.0.113.7",
        ),
        (
            "127.0.0.1",
            "x-forwarded-for: 203.0.113.\u{e9}\r\n",
            "127.0.0.1",
        ),
        ("127.0.0.1", "x-forwarded-for: nonsense\r\n", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.2", "x-forwarded-for: 203.0.113.7\r\n", "127.0.0.2"),
        ("127.0.0.2", "forwarded: for=203.0.113.7\r\n", "127.0.0.2"),
        ("127.0.0.2", "", "127.0.0.2"),
    ];
    for (from, headers, expected) in cases {
        let who = scene.who(from, &who_with(headers)).await;
        assert_eq!(who, scene.pseudonym(expected), "{from} {headers}");
    }
}

/// A connection's beginning from 203.0.113.7, or from the proxy itself.
fn proxied(command: u8) -> Vec<u8> {
    let head = b"\r\n\r\n\0\r\nQUIT\n";
    let rest = [
        command, 0x11, 0, 12, 203, 0, 113, 7, 127, 0, 0, 1, 1, 187, 1, 187,
    ];
    [&head[..], &rest].concat()
}

#[tokio::test]
async fn a_trusted_proxy_says_first_whom_a_connection_carries() {
    let scene = Scene::new(Room::new(100, 100), &["127.0.0.1"], true).await;
    let request = who_with("");
    let carried = [proxied(0x21), request.clone()].concat();
    assert_eq!(
        scene.who("127.0.0.1", &carried).await,
        scene.pseudonym("203.0.113.7")
    );
    let own = [proxied(0x20), request.clone()].concat();
    assert_eq!(
        scene.who("127.0.0.1", &own).await,
        scene.pseudonym("127.0.0.1")
    );
    // Who is carried without an address is not the proxy either: only the proxy itself is believed.
    let head = b"\r\n\r\n\0\r\nQUIT\n";
    let no_family = [&head[..], &[0x21, 0, 0, 0]].concat();
    let unix = [&head[..], &[0x21, 0x31, 0, 216], &[0; 216]].concat();
    let forging = who_with("x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n");
    for (beginning, expected) in [
        (no_family, "127.0.0.1"),
        (unix, "127.0.0.1"),
        (proxied(0x20), "6.6.6.6"),
    ] {
        let bytes = [beginning, forging.clone()].concat();
        let who = scene.who("127.0.0.1", &bytes).await;
        assert_eq!(who, scene.pseudonym(expected), "{expected}");
    }
    // Who is carried is a stranger, so its headers change nothing.
    let forged = [proxied(0x21), who_with("x-forwarded-for: 6.6.6.6\r\n")].concat();
    assert_eq!(
        scene.who("127.0.0.1", &forged).await,
        scene.pseudonym("203.0.113.7")
    );
    assert_eq!(
        scene.ask("127.0.0.1", &request).await,
        "",
        "it must begin so"
    );
    // A stranger speaks HTTP, and nothing else.
    assert_eq!(
        scene.who("127.0.0.2", &request).await,
        scene.pseudonym("127.0.0.2")
    );
    let refused = scene.ask("127.0.0.2", &carried).await;
    assert!(
        !refused.contains(&scene.pseudonym("203.0.113.7")),
        "{refused}"
    );
    // The beginning has a deadline as well.
    let begun = Instant::now();
    assert_eq!(scene.ask("127.0.0.1", &carried[..9]).await, "");
    assert!(begun.elapsed() >= SHORT.head && begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn who_is_carried_has_a_share_and_the_proxy_has_none() {
    let scene = Scene::new(Room::new(100, 2), &["127.0.0.1"], true).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = scene.connect("127.0.0.1").await;
        stream.write_all(&proxied(0x21)).await.unwrap();
        held.push(stream);
    }
    let carried = [proxied(0x21), who_with("")].concat();
    // A share is taken when the beginning was read, so the order is not certain.
    let refused = async {
        while !scene
            .ask("127.0.0.1", &carried)
            .await
            .starts_with("HTTP/1.1 503")
        {}
    };
    timeout(SHORT.head, refused)
        .await
        .expect("the share is used up");
    let own = [proxied(0x20), who_with("")].concat();
    assert_eq!(
        scene.who("127.0.0.1", &own).await,
        scene.pseudonym("127.0.0.1")
    );
}

#[tokio::test]
async fn a_stop_waits_for_requests_and_not_for_silence() {
    let scene = Scene::wide().await;
    let mut half = scene.connect("127.0.0.1").await;
    half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut running = scene.connect("127.0.0.1").await;
    running
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    sleep(SLOW - SHORT.stop / 2).await;
    scene.stop.cancel();
    let begun = Instant::now();
    assert!(rest(&mut running).await.ends_with("slow"));
    timeout(PATIENCE, scene.served).await.unwrap().unwrap();
    assert!(begun.elapsed() < SHORT.stop * 4, "{:?}", begun.elapsed());
    assert_eq!(rest(&mut half).await, "");
}
