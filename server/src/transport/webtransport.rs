//! WebTransport links: HTTP/3 over QUIC.
//!
//! `nowrong_quic` holds the endpoint, `nowrong_http3` reads and writes the bytes of HTTP/3, [`session`] is
//! the one session of each connection. The client opens the lanes, the server none: the first is the live
//! lane, the second the bulk lane. Every step before the conversation has a deadline. A client of a
//! foreign `Origin` gets its session and is refused in-band. Start reading at [`serve`].

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use nowrong_base::privacy::ClientIp;
use nowrong_certs::Identity;
use nowrong_http3::{H3Error, wrap_datagram};
use nowrong_protocol::{CloseCode, copies::Path, frame::Lane, limits::CLOSE_DEADLINE};
use nowrong_quic::{
    AdmissionQueue, ApplicationCode, Connection, Endpoint, Incoming, PathStats, Place, QuicKey,
    SendStream, Turn,
};
use tokio::time::timeout;

use self::{
    events::{SessionEvent, SessionEvents},
    session::{Farewell, Session, Stream},
};
use super::{Entrance, door::Pass};
use crate::{
    config::WEBTRANSPORT_PATH,
    connection::{self, Link, LinkError, Received, Transport},
};

mod events;
mod session;

/// The code of a QUIC connection that ends although nothing was decided (RFC 9114 §8.1).
const NO_ERROR: ApplicationCode = ApplicationCode(H3Error::NO_ERROR.0);

/// The bounds of those that wait to connect, and of those that are connecting, by their names in metrics.
const NO_PLACE: &str = "handshakes_waiting";
const NO_TURN: &str = "handshakes_at_once";

/// Time from the accepted CONNECT to the live lane.
const LANE_DEADLINE: Duration = Duration::from_secs(5);

/// Binds the UDP socket of the QUIC endpoint, with the certificate of the node.
///
/// # Errors
/// One sentence that names the address, or the certificate.
pub fn bind(address: SocketAddr, identity: &Identity, key: &QuicKey) -> anyhow::Result<Endpoint> {
    let tls = nowrong_certs::server_config(identity, &[b"h3"])?;
    Ok(Endpoint::bind(address, tls, key)?)
}

/// Accepts clients until the endpoint is closed.
pub async fn serve(entrance: Entrance, endpoint: Endpoint) {
    let (queue, node) = (AdmissionQueue::default(), entrance.node.clone());
    while let Some(incoming) = endpoint.accept().await {
        let address = incoming.remote_address().ip();
        if node.is_draining() {
            // A client that is refused asks for another node at once.
            incoming.refuse();
        } else if !incoming.is_proved() && must_prove(&entrance, &queue, address) {
            incoming.retry();
        } else if let Some(place) = queue.join(address, !incoming.was_here()) {
            node.links()
                .spawn(accept(entrance.clone(), incoming, place));
        } else {
            entrance.count_refusal(NO_PLACE);
            incoming.ignore();
        }
    }
}

/// Whether a client has to prove its address before anything is done for it: when many come, or when what it
/// asks for would be refused.
fn must_prove(entrance: &Entrance, queue: &AdmissionQueue, address: IpAddr) -> bool {
    queue.is_long() || entrance.door.refused_lately(address.into())
}

/// Serves one client. The future that lets it in is boxed: otherwise its state would take room in the
/// task for as long as the client stays.
fn accept(entrance: Entrance, incoming: Incoming, place: Place) -> impl Future<Output = ()> + Send {
    let node = entrance.node.clone();
    let letting_in = Box::pin(let_in(entrance, incoming, place));
    async move {
        let Some((link, is_origin_allowed, pass)) = letting_in.await else {
            return;
        };
        connection::run(node, link, pass.texts(), is_origin_allowed).await;
        drop(pass);
    }
}

/// The link of a client, unless it was turned away.
async fn let_in(
    entrance: Entrance,
    incoming: Incoming,
    place: Place,
) -> Option<(WebTransportLink, bool, Pass)> {
    let client = ClientIp::from(incoming.remote_address().ip());
    let mut pass = None;
    if incoming.is_proved() {
        let Ok(entered) = entrance.enter(client).await else {
            incoming.ignore();
            return None;
        };
        pass = Some(entered);
    }
    let Some(turn) = place.turn().await else {
        entrance.count_refusal(NO_TURN);
        incoming.ignore();
        return None;
    };
    let connecting = timeout(turn.patience(), connect(&entrance, incoming, &turn, pass));
    let connected = tokio::select! {
        connected = connecting => connected,
        () = turn.displaced() => {
            entrance.count_refusal(NO_TURN);
            return None;
        }
    };
    match connected {
        Ok(Ok(let_in)) => return Some(let_in),
        Ok(Err(error)) => tracing::debug!(%error, "a WebTransport client was not let in"),
        Err(_) => tracing::debug!("a WebTransport client took too long to connect"),
    }
    None
}

/// Connects a client. One without a `pass` proves its address by this: nothing is charged to it before.
async fn connect(
    entrance: &Entrance,
    incoming: Incoming,
    turn: &Turn,
    pass: Option<Pass>,
) -> Result<(WebTransportLink, bool, Pass), LinkError> {
    let client = ClientIp::from(incoming.remote_address().ip());
    let connecting = turn.begin(|| incoming.accept()).await;
    let requested = session::accept(connecting.map_err(LinkError::new)?).await?;
    if requested.path() != WEBTRANSPORT_PATH {
        requested.refuse(404).await;
        return Err(LinkError::new("another path was asked for"));
    }
    let entered = match pass {
        Some(pass) => Ok(pass),
        None => entrance.enter(client).await,
    };
    let Ok(pass) = entered else {
        requested.refuse(429).await;
        return Err(LinkError::new("its network has too many connections"));
    };
    let is_origin_allowed = entrance.is_origin_allowed(requested.origin());
    let Session {
        quic,
        mut lanes,
        mut watch,
        farewell,
    } = requested.accept().await?;
    let live = tokio::select! {
        lane = timeout(LANE_DEADLINE, lanes.next()) => lane,
        ended = watch.ended() => return Err(ended),
    };
    let live = live.map_err(|_| LinkError::new("no live lane"))??;
    let link = WebTransportLink {
        has_fast_path: entrance.has_fast_path,
        events: SessionEvents::new(quic.clone(), lanes, watch),
        quic,
        live,
        bulk: None,
        farewell,
    };
    Ok((link, is_origin_allowed, pass))
}

/// One client on a WebTransport session.
struct WebTransportLink {
    has_fast_path: bool,
    quic: Connection,
    live: Stream,
    /// The bulk lane towards the client, once the client has opened it.
    bulk: Option<SendStream>,
    events: SessionEvents,
    farewell: Farewell,
}

impl Link for WebTransportLink {
    fn transport(&self) -> Transport {
        Transport::WebTransport
    }

    async fn receive(&mut self) -> Result<Received, LinkError> {
        let event = tokio::select! {
            bytes = self.live.receive.read() => return match bytes? {
                Some(bytes) => Ok(Received::Live(bytes)),
                None => Err(LinkError::new("the live lane was finished")),
            },
            event = self.events.next() => event?,
        };
        Ok(match event {
            SessionEvent::BulkOpened(bulk) => {
                self.bulk = Some(bulk);
                Received::Bulk(Bytes::new())
            }
            SessionEvent::Bulk(bytes) => Received::Bulk(bytes),
            SessionEvent::BulkEnded => {
                self.bulk = None;
                Received::BulkEnded
            }
            SessionEvent::Datagram(bytes) => Received::Datagram(bytes),
        })
    }

    async fn send(&mut self, lane: Lane, frames: Bytes) -> Result<(), LinkError> {
        let stream = match (lane, &mut self.bulk) {
            (Lane::Bulk, Some(bulk)) => bulk,
            _ => &mut self.live.send,
        };
        stream.write_chunk(frames).await.map_err(LinkError::new)
    }

    fn send_datagram(&mut self, datagram: Bytes) -> bool {
        // Without room, or without datagrams on this path, it is lost: every frame sent here may be lost.
        self.quic.send_datagram(wrap_datagram(&datagram));
        true
    }

    fn path(&self) -> Option<Path> {
        let path = || {
            let PathStats {
                lost_packets,
                round_trip,
            } = self.quic.path();
            Path {
                lost_packets,
                round_trip,
            }
        };
        self.has_fast_path.then(path)
    }

    /// Ends the session with the code, which is what a page sees, then the connection.
    async fn close(self, code: Option<CloseCode>) {
        let Self {
            quic,
            mut events,
            farewell,
            ..
        } = self;
        let (number, name) = code.map_or((0, ""), |code| (u32::from(code.0), code.name()));
        let said = farewell.say(number, name, &quic, events.ended());
        let _ = timeout(CLOSE_DEADLINE, said).await;
        let number = code.map_or(NO_ERROR, |_| ApplicationCode(number));
        quic.close(number, name.as_bytes());
    }
}
