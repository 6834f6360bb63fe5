//! The one WebTransport session of a QUIC connection: the IO around `nowrong_http3`.
//!
//! [`accept`] waits for the CONNECT request; [`Requested::accept`] makes it a [`Session`] of four
//! parts that are used at the same time: the connection (datagrams), [`Lanes`] (streams that the
//! client opens), [`Watch`] (everything that can only end the session) and [`Farewell`]. Every future
//! here keeps its state in its owner, so it can be dropped in a `select!` and started again: nothing is
//! lost in between.

use std::{
    future::Future,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use nowrong_http3::{
    Capsules, Frame, Frames, H3Error, Request, SESSION_ID, Unidirectional, close_capsule,
    control_preface, response, unwrap_datagram,
};
use nowrong_quic::{ApplicationCode, Connecting, Connection, RecvStream, SendStream};

use crate::connection::LinkError;

/// How long a client that knows the session to be over may keep the connection.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes taken from a lane at once.
const LANE_READ_MAX: usize = 16 * 1024;

/// Bytes taken at once from a stream that is only watched.
const WATCH_READ_MAX: usize = 1_024;

/// Most streams that only the client writes to: control and two of QPACK, and one to spare.
const UNIDIRECTIONAL_MAX: usize = 4;

/// A session that a client has asked for.
pub(super) struct Requested {
    request: Request,
    connect: ConnectStream,
}

/// An open session.
pub(super) struct Session {
    pub(super) quic: Connection,
    pub(super) lanes: Lanes,
    pub(super) watch: Watch,
    pub(super) farewell: Farewell,
}

/// Completes the handshake and waits for a request. The caller sets the deadline.
///
/// # Errors
/// [`LinkError`] when the connection is lost or the request is not for WebTransport.
pub(super) async fn accept(connecting: Connecting) -> Result<Requested, LinkError> {
    let mut connect = ConnectStream::accept(connecting).await?;
    let request = connect.headers().await?;
    match Request::parse(&request).map_err(|error| fail(&connect.quic, error))? {
        Some(request) => Ok(Requested { request, connect }),
        None => {
            connect.refuse(405).await;
            Err(LinkError::new("a request that is not for WebTransport"))
        }
    }
}

impl Requested {
    /// The path that was asked for, with the query.
    pub(super) fn path(&self) -> &str {
        &self.request.path
    }

    /// The web origin of the client.
    pub(super) fn origin(&self) -> Option<&str> {
        self.request.origin.as_deref()
    }

    /// Replies with a status and waits until the client has it.
    pub(super) async fn refuse(self, status: u16) {
        self.connect.refuse(status).await;
    }

    /// Lets the client in.
    ///
    /// # Errors
    /// [`LinkError`] when the connection is lost.
    pub(super) async fn accept(self) -> Result<Session, LinkError> {
        let mut connect = self.connect;
        let reply = connect.send.write_chunk(response(200));
        reply.await.map_err(LinkError::new)?;
        let quic = connect.quic.clone();
        let lanes = Lanes {
            quic: quic.clone(),
            opening: None,
        };
        let watch = Watch {
            capsules: Capsules::after(connect.frames),
            quic: connect.quic,
            receive: connect.receive,
            unidirectional: connect.unidirectional,
        };
        let farewell = Farewell {
            send: connect.send,
            _control: connect.control,
        };
        Ok(Session {
            quic,
            lanes,
            watch,
            farewell,
        })
    }
}

/// The first stream of a connection, which carries the request and then the capsules.
struct ConnectStream {
    quic: Connection,
    send: SendStream,
    receive: RecvStream,
    frames: Frames,
    unidirectional: UnidirectionalStreams,
    /// The server's control stream: open as long as the connection.
    control: SendStream,
}

impl ConnectStream {
    async fn accept(connecting: Connecting) -> Result<Self, LinkError> {
        let quic = connecting.await.map_err(LinkError::new)?;
        let mut control = quic.open_uni().await.map_err(LinkError::new)?;
        let preface = control.write_chunk(control_preface());
        preface.await.map_err(LinkError::new)?;
        let mut unidirectional = UnidirectionalStreams::of(quic.clone());
        let (send, receive) = tokio::select! {
            stream = quic.accept_bi() => stream.map_err(LinkError::new)?,
            error = unidirectional.failed() => return Err(error),
        };
        Ok(Self {
            quic,
            send,
            receive,
            frames: Frames::default(),
            unidirectional,
            control,
        })
    }

    /// The header section, which has to come first.
    async fn headers(&mut self) -> Result<Bytes, LinkError> {
        loop {
            match self.frames.next() {
                Ok(Some(Frame::Headers(headers))) => return Ok(headers),
                Ok(Some(_)) => return Err(fail(&self.quic, H3Error::FRAME_UNEXPECTED)),
                Err(error) => return Err(fail(&self.quic, error)),
                Ok(None) => {}
            }
            let chunk = tokio::select! {
                chunk = self.receive.read_chunk(WATCH_READ_MAX) => chunk.map_err(LinkError::new)?,
                error = self.unidirectional.failed() => return Err(error),
            };
            let chunk = chunk.ok_or_else(|| LinkError::new("the request was cut off"))?;
            self.frames.feed(&chunk);
        }
    }

    async fn refuse(mut self, status: u16) {
        let is_sent = self.send.write_chunk(response(status)).await.is_ok();
        if is_sent && self.send.finish().is_ok() {
            self.send.stopped().await;
        }
        self.quic.close(ApplicationCode(H3Error::NO_ERROR.0), b"");
    }
}

/// Closes the connection with an error of HTTP/3.
fn fail(quic: &Connection, error: H3Error) -> LinkError {
    quic.close(ApplicationCode(error.0), b"");
    LinkError::new(error)
}

/// The next datagram of the session; others are dropped.
pub(super) async fn datagram(quic: &Connection) -> Result<Bytes, LinkError> {
    loop {
        let datagram = quic.read_datagram().await.map_err(LinkError::new)?;
        if let Some(payload) = unwrap_datagram(datagram) {
            return Ok(payload);
        }
    }
}

/// The streams that the client opens for its lanes.
pub(super) struct Lanes {
    quic: Connection,
    /// A stream whose first frame has not come yet.
    opening: Option<(SendStream, RecvStream, Frames)>,
}

impl Lanes {
    /// The next lane, once its first bytes are there.
    pub(super) async fn next(&mut self) -> Result<Stream, LinkError> {
        loop {
            let Some((_, receive, frames)) = &mut self.opening else {
                let (send, receive) = self.quic.accept_bi().await.map_err(LinkError::new)?;
                self.opening = Some((send, receive, Frames::default()));
                continue;
            };
            match receive.read_chunk(LANE_READ_MAX).await {
                Ok(Some(chunk)) => frames.feed(&chunk),
                // A stream that ends before its first frame is not a lane.
                Ok(None) => self.opening = None,
                Err(error) if error.is_reset() => self.opening = None,
                Err(error) => return Err(LinkError::new(error)),
            }
            if let Some(stream) = self.opened()? {
                return Ok(stream);
            }
        }
    }

    fn opened(&mut self) -> Result<Option<Stream>, LinkError> {
        let Some((_, _, frames)) = &mut self.opening else {
            return Ok(None);
        };
        match frames.next() {
            Ok(None) => return Ok(None),
            Ok(Some(Frame::Lane(SESSION_ID))) => {}
            Ok(Some(Frame::Lane(_))) => return Err(fail(&self.quic, H3Error::ID)),
            Ok(Some(_)) => return Err(fail(&self.quic, H3Error::FRAME_UNEXPECTED)),
            Err(error) => return Err(fail(&self.quic, error)),
        }
        Ok(self.opening.take().map(|(send, receive, frames)| Stream {
            send,
            receive: LaneReader {
                receive,
                front: frames.into_rest(),
            },
        }))
    }
}

/// One lane.
pub(super) struct Stream {
    pub(super) send: SendStream,
    pub(super) receive: LaneReader,
}

/// What comes on a lane.
pub(super) struct LaneReader {
    receive: RecvStream,
    /// Bytes that came together with the first frame of the stream.
    front: Bytes,
}

impl LaneReader {
    /// The next bytes; `None` when the client has finished the lane.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, LinkError> {
        if !self.front.is_empty() {
            return Ok(Some(std::mem::take(&mut self.front)));
        }
        let chunk = self.receive.read_chunk(LANE_READ_MAX);
        chunk.await.map_err(LinkError::new)
    }

    /// As [`Self::read`], for a lane that may be opened again: a reset ends it as a finish does.
    pub(super) async fn read_to_end_or_reset(&mut self) -> Result<Option<Bytes>, LinkError> {
        if !self.front.is_empty() {
            return Ok(Some(std::mem::take(&mut self.front)));
        }
        match self.receive.read_chunk(LANE_READ_MAX).await {
            Ok(chunk) => Ok(chunk),
            Err(error) if error.is_reset() => Ok(None),
            Err(error) => Err(LinkError::new(error)),
        }
    }
}

/// The streams that can only end the session: the CONNECT stream, and those that only the client writes to.
pub(super) struct Watch {
    quic: Connection,
    receive: RecvStream,
    capsules: Capsules,
    unidirectional: UnidirectionalStreams,
}

impl Watch {
    /// Resolves when the session is over, with the reason.
    pub(super) async fn ended(&mut self) -> LinkError {
        loop {
            let Self {
                quic,
                receive,
                capsules,
                unidirectional,
            } = self;
            let step = tokio::select! {
                chunk = receive.read_chunk(WATCH_READ_MAX) => match chunk {
                    Ok(Some(chunk)) => capsules.feed(&chunk).map(|closed| closed.is_some()),
                    Ok(None) => Ok(true),
                    Err(error) => return LinkError::new(error),
                },
                error = unidirectional.failed() => return error,
            };
            match step {
                Ok(false) => {}
                Ok(true) => return LinkError::new("the client closed the session"),
                Err(error) => return fail(quic, error),
            }
        }
    }
}

/// The server's half of the CONNECT stream: nothing is sent there until the end.
pub(super) struct Farewell {
    send: SendStream,
    /// Open as long as the connection.
    _control: SendStream,
}

impl Farewell {
    /// Ends the session with a code and its name, and waits until the client has seen it: until `ended`, the end of the
    /// session's events, resolves.
    ///
    /// A client replies to the capsule with the end of its CONNECT stream (draft-ietf-webtrans-http3 §6).
    /// Firefox then closes the connection, Chromium leaves that to the server. If we closed at once, a busy
    /// page would see a lost connection instead of the code: hence [`LINGER`].
    pub(super) async fn say(
        mut self,
        code: u32,
        name: &str,
        quic: &Connection,
        ended: impl Future<Output = ()>,
    ) {
        let capsule = close_capsule(code, name);
        if self.send.write_chunk(capsule).await.is_ok() && self.send.finish().is_ok() {
            ended.await;
            let _ = tokio::time::timeout(LINGER, quic.closed()).await;
        }
    }
}

/// The streams that only the client writes to. They are watched from the start: a mistake there is known before a
/// request comes.
struct UnidirectionalStreams {
    quic: Connection,
    streams: Vec<(RecvStream, Unidirectional)>,
}

impl UnidirectionalStreams {
    fn of(quic: Connection) -> Self {
        let streams = Vec::new();
        Self { quic, streams }
    }

    /// Resolves when the connection is lost, or was closed for what came on one of the streams.
    async fn failed(&mut self) -> LinkError {
        let Self { quic, streams } = self;
        loop {
            let has_room = streams.len() < UNIDIRECTIONAL_MAX;
            tokio::select! {
                stream = quic.accept_uni(), if has_room => match stream {
                    Ok(stream) => {
                        // HTTP/3 has three of them; room for more would be kept for as long as the client stays.
                        streams.reserve_exact(1);
                        streams.push((stream, Unidirectional::default()));
                    }
                    Err(error) => return LinkError::new(error),
                },
                error = std::future::poll_fn(|cx| poll_all(streams, cx)) => {
                    return fail(quic, error);
                }
            }
        }
    }
}

/// Reads and drops the bytes of all streams; resolves with an error that ends the connection.
fn poll_all(
    streams: &mut Vec<(RecvStream, Unidirectional)>,
    cx: &mut Context<'_>,
) -> Poll<H3Error> {
    let mut index = 0;
    while let Some((stream, reader)) = streams.get_mut(index) {
        match poll_one(stream, reader, cx) {
            Poll::Pending if is_repeated(streams, index) => {
                return Poll::Ready(H3Error::STREAM_CREATION);
            }
            Poll::Pending => index += 1,
            Poll::Ready(Ok(())) => drop(streams.swap_remove(index)),
            Poll::Ready(Err(error)) => return Poll::Ready(error),
        }
    }
    Poll::Pending
}

/// Whether an earlier stream has the same critical role.
fn is_repeated(streams: &[(RecvStream, Unidirectional)], index: usize) -> bool {
    let role = streams[index].1.role().filter(|role| role.is_critical());
    role.is_some()
        && streams[..index]
            .iter()
            .any(|(_, other)| other.role() == role)
}

/// Reads all that has come on one stream; `Ok` when it has ended and may end.
fn poll_one(
    stream: &mut RecvStream,
    reader: &mut Unidirectional,
    cx: &mut Context<'_>,
) -> Poll<Result<(), H3Error>> {
    let mut bytes = [0; 256];
    loop {
        match std::task::ready!(stream.poll_read(cx, &mut bytes)) {
            Ok(length) if length > 0 => {
                if let Err(error) = reader.feed(&bytes[..length]) {
                    return Poll::Ready(Err(error));
                }
            }
            _ if reader.role().is_some_and(|role| role.is_critical()) => {
                return Poll::Ready(Err(H3Error::CLOSED_CRITICAL_STREAM));
            }
            _ => return Poll::Ready(Ok(())),
        }
    }
}
