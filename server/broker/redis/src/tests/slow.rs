//! A Redis that replies late: a proxy holds back its replies.

use std::net::SocketAddr;

use nowrong_core::record::Notice;
use nowrong_protocol::UserId;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use super::*;

/// Passes bytes to a server, and its replies back when it may.
struct Proxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (is_open, gate) = watch::channel(true);
        let task = tokio::spawn(async move {
            let open = watch::Sender::new(true);
            let mut pairs = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.expect("redis is there").into_split();
                pairs.spawn(pass(from_client, to_server, open.subscribe()));
                pairs.spawn(pass(from_server, to_client, gate.clone()));
            }
        });
        Self {
            address,
            is_open,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// Passes bytes on whenever the gate is open.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if gate.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_slow_redis_piles_nothing_up() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.redis.port()).await;
    let (slow, other) = (
        node_at(&proxy.url(), "x").await,
        node_at(&server.url(), "x").await,
    );
    slow.open_log(CHAT, seed(1, 0)).await.expect("open");
    proxy.is_open.send_replace(false);
    let asked = tokio::time::Instant::now();
    let mut appends = JoinSet::new();
    for n in 1..=IN_FLIGHT_MAX as u64 + 500 {
        let slow = slow.clone();
        appends.spawn(async move { slow.append(CHAT, 1, &draft(0, n), true).await });
    }
    for _ in 0..LANE_MAX + 1_000 {
        let user = UserId::from_bytes([1; 16]);
        slow.tell(&[other.id()], Notice::Depart { user });
    }
    let (mut late, mut refused) = (0, 0);
    while let Some(append) = appends.join_next().await {
        match append.expect("no panic") {
            Err(BrokerError::Unavailable(why)) if why.contains("too many") => refused += 1,
            Err(BrokerError::Unavailable(_)) => late += 1,
            other => panic!("{other:?}"),
        }
    }
    let took = asked.elapsed();
    assert!(took < 2 * ANSWER_DEADLINE, "{took:?}");
    assert!(late <= IN_FLIGHT_MAX && refused >= 500, "{late} {refused}");
    assert!(slow.parts.outbox.dropped() > 0, "the lane was full");
    proxy.is_open.send_replace(true);
    let has_recovered = || async { slow.append(CHAT, 1, &draft(1, 1), true).await.is_ok() };
    eventually(true, has_recovered).await;
    assert!(slow.check().await.is_ok());
}
