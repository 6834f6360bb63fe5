//! Clients that begin handshakes, prove their address, and then go silent: they keep no newcomer out.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::{Person, ServerOptions, TestServer};
use nowrong_client::Transport;
use quinn_proto::{ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint};

/// Handshakes a second, of all networks together: more than the server has turns for, since each is held for
/// seconds.
const RATE: u32 = 900;

/// How many networks they come from.
const NETWORKS: u8 = 20;

/// For how long, before and while newcomers come.
const BEFORE: Duration = Duration::from_secs(6);

/// One address that only ever sends first packets.
struct Silent {
    socket: UdpSocket,
    endpoint: Endpoint,
    begun: Vec<(ConnectionHandle, Connection)>,
}

impl Silent {
    fn new(network: u8) -> Self {
        let address = IpAddr::from(Ipv4Addr::new(127, 77, network, 1));
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let endpoint = Endpoint::new(Arc::default(), None, false, None);
        Self {
            socket,
            endpoint,
            begun: Vec::new(),
        }
    }

    /// Sends what a connection has to say now.
    fn send(&self, connection: &mut Connection, to: SocketAddr) {
        let mut packet = Vec::new();
        while connection
            .poll_transmit(Instant::now(), 1, &mut packet)
            .is_some()
        {
            let _ = self.socket.send_to(&packet, to);
            packet.clear();
        }
    }

    fn begin(&mut self, config: &ClientConfig, to: SocketAddr) {
        let begun = self
            .endpoint
            .connect(Instant::now(), config.clone(), to, "localhost");
        let (handle, mut connection) = begun.unwrap();
        self.send(&mut connection, to);
        self.begun.push((handle, connection));
    }

    /// Follows a Retry with the proof; whatever else comes is left unread.
    fn prove(&mut self, to: SocketAddr) {
        let mut bytes = [0; 2_048];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            let packet = bytes[..length].into();
            let now = Instant::now();
            let event = self
                .endpoint
                .handle(now, to, None, None, packet, &mut Vec::new());
            let Some(DatagramEvent::ConnectionEvent(handle, event)) = event else {
                continue;
            };
            let at = self.begun.iter().position(|(begun, _)| *begun == handle);
            if let Some(at) = at {
                let (_, mut connection) = self.begun.swap_remove(at);
                connection.handle_event(event);
                self.send(&mut connection, to);
            }
        }
        // Those that nobody asked for a proof are silent already.
        let excess = self.begun.len().saturating_sub(200);
        self.begun.drain(..excess);
    }
}

fn trusting() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let quic = quinn_proto::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    ClientConfig::new(Arc::new(quic))
}

/// Begins handshakes until it is told to stop. Returns how many.
async fn flood(to: SocketAddr, stop: Arc<AtomicBool>) -> u32 {
    let (config, started) = (trusting(), Instant::now());
    let mut all: Vec<_> = (1..=NETWORKS).map(Silent::new).collect();
    let mut begun = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = (started.elapsed().as_secs_f64() * f64::from(RATE)) as u32;
        let until = due.min(begun + u32::from(NETWORKS));
        for number in begun..until {
            let next = number as usize % all.len();
            all[next].begin(&config, to);
        }
        begun = until.max(begun);
        for silent in &mut all {
            silent.prove(to);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun
}

/// Ends the flood, also when the test fails.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_go_silent_keep_no_newcomer_out() {
    let server = TestServer::start_with(ServerOptions::default())
        .await
        .unwrap();
    let calm = Instant::now();
    Person::arrive(&server, "Ana", Transport::WebTransport.into())
        .await
        .unwrap();
    let calm = calm.elapsed();

    let (stop, to) = (Arc::new(AtomicBool::new(false)), server.quic());
    let ends = Ends(stop.clone());
    let flooding = tokio::spawn(flood(to, stop));
    tokio::time::sleep(BEFORE).await;
    let mut took = Vec::new();
    for name in ["Ben", "Cleo", "Dan", "Eve", "Fay"] {
        let asked = Instant::now();
        let arrived = Person::arrive(&server, name, Transport::WebTransport.into()).await;
        took.push(asked.elapsed());
        arrived.unwrap();
    }
    drop(ends);
    let begun = flooding.await.unwrap();
    println!("{begun} silent handshakes; a newcomer took {calm:?} before and {took:?} meanwhile");
    let worst = took.iter().max().unwrap();
    assert!(*worst < Duration::from_secs(2), "{took:?}");
}
