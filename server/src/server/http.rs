//! Serves HTTP/1.1: accepts connections, holds each of them to its deadlines, and keeps room for others.
//!
//! Every wait for a peer has its [`Deadlines`]: for the head of a request, for the next request, for
//! taking what it is sent ([`guarded`]). A network has a bounded share of the connections, and all
//! together fewer than the process may have files; beyond that only `/healthz` and `/readyz` are served,
//! on a few spare connections, the newest first ([`room`]). Behind a proxy that speaks PROXY protocol,
//! that comes before everything else. Start reading at [`HttpServer::serve`].

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, Version, header},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nowrong_base::{
    metrics::Metrics,
    privacy::{ClientIp, PseudonymKey},
};
use nowrong_core::network::{
    Hop,
    proxy_protocol::{self, HEAD_BYTES, ProxyProtocolError, REST_BYTES_MAX, Source},
};
use nowrong_protocol::ErrorCode;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::Running;
use crate::{api::problem::Problem, observe, peer::Peers};

pub(super) mod files;
mod guarded;
pub(super) mod room;
#[cfg(test)]
mod tests;

use guarded::{Guarded, Outgoing, Requests};
use room::{Room, Share, Slot, Spare};

/// How long a connection may wait for its peer.
#[derive(Clone, Copy)]
pub(super) struct Deadlines {
    /// For the head of a request: the first one from the start, others from their first byte. A head is
    /// one packet or a few.
    head: Duration,
    /// Between two requests, and for the whole head of the second one. Proxies should close idle
    /// connections earlier.
    idle: Duration,
    /// For the head of a request on a spare connection: it is needed for the next one.
    spare: Duration,
    /// How long a peer may leave what it is sent untouched.
    stall: Duration,
    /// For running requests after the listener is closed; less than the flush that waits for it.
    stop: Duration,
}

impl Deadlines {
    /// Those of every listener.
    pub(super) const USUAL: Self = Self {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        spare: Duration::from_secs(2),
        stall: Duration::from_secs(30),
        stop: Duration::from_secs(3),
    };
}

/// Bytes of the buffer that a head must fit into. Proxies and browsers stay far below.
const BUFFER_MAX: usize = 64 * 1_024;

/// Pause after the system refused a connection: files may be free by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often failures to accept are logged at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Most connections for metrics: a few scrapers.
const METRICS_CONNECTIONS_MAX: usize = 32;

/// What is served on a listener, and to whom.
pub(super) struct HttpServer {
    pub(super) router: Router,
    pub(super) peers: Peers,
    /// Whether connections of trusted proxies begin with PROXY protocol.
    pub(super) reads_proxy_protocol: bool,
    pub(super) room: Arc<Room>,
    pub(super) pseudonyms: Arc<PseudonymKey>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) deadlines: Deadlines,
    /// Whether the log said that a trusted proxy does not speak PROXY protocol.
    pub(super) has_told_silent: AtomicBool,
}

impl Running {
    pub(super) fn spawn_http(&self, name: &'static str, listener: TcpListener, server: HttpServer) {
        let stop = self.stop.clone();
        self.spawn(name, Arc::new(server).serve(listener, stop));
    }

    pub(super) fn spawn_metrics(
        &self,
        listener: Option<TcpListener>,
        pseudonyms: Arc<PseudonymKey>,
    ) {
        let Some(listener) = listener else { return };
        let metrics = self.node.env().metrics.clone();
        let most = METRICS_CONNECTIONS_MAX;
        let server = HttpServer {
            router: observe::router(metrics.clone()),
            peers: Peers::default(),
            reads_proxy_protocol: false,
            room: Room::new(most, most),
            pseudonyms,
            metrics,
            deadlines: Deadlines::USUAL,
            has_told_silent: AtomicBool::new(false),
        };
        self.spawn_http("metrics", listener, server);
    }
}

impl HttpServer {
    /// Accepts connections until the stop; returns when all of them have ended.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let mut failures = Failures::default();
        let mut number = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    number += 1;
                    let standing = match self.room.slot() {
                        Some(slot) => Standing::Full(slot, None),
                        None => self.spare(number, "open_files"),
                    };
                    let peer = Peer {
                        ip: peer.ip(),
                        number,
                    };
                    let attend = self.clone().attend(stream, peer, standing, stop.clone());
                    connections.spawn(attend);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    failures.note(&error);
                    let _ = timeout(ACCEPT_PAUSE, stop.cancelled()).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    fn spare(&self, number: u64, limit: &'static str) -> Standing {
        self.metrics.count_refusal(limit);
        Standing::Spare(self.room.spare(number))
    }

    async fn attend(
        self: Arc<Self>,
        mut stream: TcpStream,
        peer: Peer,
        mut standing: Standing,
        stop: CancellationToken,
    ) {
        // A message is one small segment: it must not wait for the acknowledgement of the segment before
        // it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's delay");
        }
        let hop = tokio::select! {
            hop = self.hop(&mut stream, peer.ip) => hop,
            () = stop.cancelled() => None,
        };
        let Some(hop) = hop else { return };
        if let Standing::Full(_, share) = &mut standing
            && !self.peers.trusts(hop)
        {
            *share = self
                .room
                .share(ClientIp::from(hop.address()).networks(&self.pseudonyms));
            if share.is_none() {
                standing = self.spare(peer.number, "connections_per_prefix_max");
            }
        }
        match standing {
            Standing::Full(slot, share) => self.converse(stream, hop, slot, share, stop).await,
            Standing::Spare(spare) => self.show_health(stream, hop, spare, stop).await,
        }
    }

    /// Who is at the other end: the peer, or whom a trusted proxy says that it carries; `None` if it does not
    /// say so as it should.
    async fn hop(&self, stream: &mut TcpStream, peer: IpAddr) -> Option<Hop> {
        if !self.reads_proxy_protocol || !self.peers.trusts(Hop::Named(peer)) {
            return Some(Hop::Named(peer));
        }
        // Boxed: its buffer would be part of every connection.
        match timeout(self.deadlines.head, Box::pin(carried(stream))).await {
            Ok(Ok(source)) => Some(Hop::of(peer, source)),
            Ok(Err(error)) => {
                let is_other = error.is::<ProxyProtocolError>();
                if is_other && !self.has_told_silent.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        "`proxy_protocol` is true, but a connection of a trusted proxy begins otherwise and is closed"
                    );
                }
                None
            }
            Err(_) => None,
        }
    }

    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        hop: Hop,
        slot: Slot,
        share: Option<Share>,
        stop: CancellationToken,
    ) {
        let (requests, deadlines) = (Arc::new(Requests::default()), self.deadlines);
        let stream = Guarded::new(stream, requests.clone(), deadlines, Some(slot));
        let service = service_fn(move |request: Request<Incoming>| {
            let (server, requests) = (self.clone(), requests.clone());
            requests.begin();
            async move {
                let response = server.respond(request, hop).await;
                Ok::<_, Infallible>(Outgoing::of(response, requests))
            }
        });
        let connection = builder(deadlines).serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection.with_upgrades());
        tokio::select! {
            // How it ended concerns the peer alone.
            _ = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(deadlines.stop, connection).await;
            }
        }
        // A WebSocket is counted by the door from here on.
        drop(share);
    }

    async fn respond(&self, mut request: Request<Incoming>, hop: Hop) -> Response {
        if !names_one_host(&request) {
            return Problem::new(ErrorCode::INVALID)
                .status(StatusCode::BAD_REQUEST)
                .detail("A request of HTTP/1.1 has one Host header.")
                .into_response();
        }
        self.peers.note(hop, &mut request);
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }

    /// Serves one request for the health of the node, and refuses any other one.
    async fn show_health(
        self: Arc<Self>,
        stream: TcpStream,
        hop: Hop,
        spare: Spare,
        stop: CancellationToken,
    ) {
        let requests = Arc::new(Requests::default());
        let deadlines = Deadlines {
            head: self.deadlines.spare,
            ..self.deadlines
        };
        let stream = Guarded::new(stream, requests.clone(), deadlines, None);
        let service = service_fn(move |request: Request<Incoming>| {
            let server = self.clone();
            requests.begin();
            async move {
                let is_health = matches!(request.uri().path(), "/healthz" | "/readyz");
                Ok::<_, Infallible>(match is_health {
                    true => server.respond(request, hop).await,
                    false => Problem::crowded().into_response(),
                })
            }
        });
        let connection = builder(deadlines)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            _ = connection => {}
            () = spare.is_needed() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// RFC 9112, section 3.2: without it, or with two, proxies on the way may have meant different hosts.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() == Version::HTTP_10)
}

/// The other end of a connection.
struct Peer {
    ip: IpAddr,
    /// As which the connection was accepted.
    number: u64,
}

/// How a connection may be used.
enum Standing {
    /// For everything. Connections of trusted proxies have no share: they carry many people.
    Full(Slot, Option<Share>),
    /// For the health of the node.
    Spare(Spare),
}

fn builder(deadlines: Deadlines) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(deadlines.idle)
        .max_buf_size(BUFFER_MAX);
    builder
}

/// Reads the beginning of a connection with PROXY protocol.
async fn carried(stream: &mut TcpStream) -> anyhow::Result<Source> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let length = proxy_protocol::length(&head)?;
    let mut rest = [0; REST_BYTES_MAX];
    stream.read_exact(&mut rest[..length]).await?;
    Ok(proxy_protocol::source(&head, &rest[..length])?)
}

/// Whether only this connection failed, before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Failures to accept that the log was not told yet.
#[derive(Default)]
struct Failures {
    count: u64,
    told: Option<Instant>,
}

impl Failures {
    fn note(&mut self, error: &io::Error) {
        self.count += 1;
        if self
            .told
            .is_some_and(|told| told.elapsed() < COMPLAINT_INTERVAL)
        {
            return;
        }
        tracing::error!(
            %error,
            failures = self.count,
            "connections cannot be accepted: raise the limit of open files or lower `limits.connections_max`"
        );
        *self = Self {
            count: 0,
            told: Some(Instant::now()),
        };
    }
}
