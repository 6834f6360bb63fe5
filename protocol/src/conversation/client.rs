//! The client's side of the conversation.
//!
//! What a server may send; anything else ends the connection:
//!
//! | phase | live lane | bulk lane | datagrams |
//! |---|---|---|---|
//! | `Verdict` | `Welcome`, `Bye`; else `OUT_OF_PHASE` | any byte: `OUT_OF_PHASE` | dropped |
//! | `Ready`, `Draining` | all but `Welcome` (`OUT_OF_PHASE`) | `Page`, `Fail`; else `WRONG_LANE` | `LaneCopy`, signals; else dropped |
//!
//! A frame that only a client sends is `OUT_OF_PHASE`. A frame of an unknown type is skipped and
//! counted once the connection is open.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Phase, bye, earliest, lane::Arrived};
use crate::{
    CloseCode,
    envelope::{RawFrame, decode_datagram},
    frame::{
        self, Bye, ClientFrame, Fail, Frame, GoAway, Hello, Lane, LaneCopy, Ping, Pong, Sender,
        ServerFrame, Welcome,
    },
    limits::{
        CLOSE_DEADLINE, DATAGRAM_BYTES_MAX, FRAME_BYTES_MAX, HELLO_DEADLINE, PING_INTERVAL,
        PONG_DEADLINE, QUICK_FOR, QUICK_PING_INTERVAL, QUICK_PONG_DEADLINE, UNKNOWN_FRAMES_MAX,
        WEBSOCKET_BATCH_BYTES_MAX,
    },
};

/// Shortest ping interval that a server can ask for: a zero would make a client spin.
const PING_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Round trips that the `Pong` to a quick `Ping` may take: a slow path is not a dead one.
const QUICK_ROUND_TRIPS: u32 = 3;

/// What the shell tells the conversation.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Bytes of the live lane of a WebTransport link, in any pieces.
    LiveBytes(&'a [u8]),
    /// Bytes of the bulk lane of a WebTransport link, in any pieces.
    BulkBytes(&'a [u8]),
    /// One datagram.
    Datagram(&'a [u8]),
    /// One binary WebSocket message: one or more whole frames.
    Message(Bytes),
    /// The shell has sent a frame of its own (a request, a cursor, a signal), so no ping is needed
    /// yet.
    Sent,
    /// Whether a person looks at what comes. While one does and something was said lately, a server that
    /// is gone is found within 6 s.
    Watched(bool),
    /// The shell ends the connection: with `CLIENT_LEFT`, or with the code of the fault that it
    /// found.
    Close(Bye),
    /// The link was lost, or could not be opened.
    LinkClosed,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a frame: `Hello` (the first output), `Ping`, `Pong` or `Bye`.
    Transmit(Lane, ClientFrame),
    /// The connection is open: requests may be sent from now on.
    Welcome(Box<Welcome>),
    /// A reply, push or signal. Never a `Welcome`, `GoAway`, `Bye`, `Ping` or `Pong`.
    Push(ServerFrame),
    /// The server goes away: connect again after the time given, then close this connection.
    GoAway(GoAway),
    /// The conversation is over: close the link now, if it is not closed. The last output.
    Closed {
        /// Why; `None` when the link was lost without a `Bye`.
        code: Option<CloseCode>,
        /// Whether to connect again without asking the person.
        should_reconnect: bool,
        /// Earliest time to connect again, in milliseconds from now; 0 when it does not matter.
        retry_after_ms: u32,
    },
}

/// The client's side of one connection. See [`super`] for how to drive it.
#[derive(Debug)]
pub struct ClientConversation {
    phase: Phase,
    /// The time of the last call.
    now: Instant,
    /// When the phase ends by itself: for `Verdict` and `Closing`.
    phase_deadline: Option<Instant>,
    ping_interval: Duration,
    last_sent: Instant,
    last_heard: Instant,
    /// When the ping was sent that has no answer yet.
    pinged_at: Option<Instant>,
    pong_deadline: Duration,
    round_trip: Duration,
    is_watched: bool,
    /// When either side last said something that is not a ping.
    said_at: Option<Instant>,
    next_nonce: u32,
    arrived: Arrived,
    outputs: VecDeque<Output>,
    closing_code: CloseCode,
    unknown_frames: u32,
    dropped_datagrams: u64,
}

impl ClientConversation {
    /// A conversation that opens with `hello`; `now` is when the link was opened.
    pub fn new(hello: Hello, now: Instant) -> Self {
        let hello = Output::Transmit(Lane::Live, hello.into());
        Self {
            phase: Phase::Verdict,
            now,
            phase_deadline: Some(now + 2 * HELLO_DEADLINE),
            ping_interval: PING_INTERVAL,
            last_sent: now,
            last_heard: now,
            pinged_at: None,
            pong_deadline: PONG_DEADLINE,
            round_trip: Duration::ZERO,
            is_watched: false,
            said_at: None,
            next_nonce: 1,
            arrived: Arrived::default(),
            outputs: VecDeque::from([hello]),
            closing_code: CloseCode::CLIENT_LEFT,
            unknown_frames: 0,
            dropped_datagrams: 0,
        }
    }

    /// How far it has come; never [`Phase::Hello`].
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// How many frames of unknown types were skipped.
    pub const fn unknown_frames(&self) -> u32 {
        self.unknown_frames
    }

    /// How many datagrams were dropped because they were malformed, unknown, out of phase, of another
    /// lane, or copies of what follows a gap.
    pub const fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams
    }

    /// Takes in what happened; then poll outputs until `None`.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        self.settle();
        self.now = now;
        match input {
            Input::LinkClosed => self.handle_link_closed(),
            _ if self.phase.is_over() => {}
            Input::LiveBytes(bytes) => self.handle_live(bytes),
            Input::BulkBytes(bytes) => self.handle_bulk(bytes),
            Input::Datagram(bytes) => self.handle_datagram(bytes),
            Input::Message(message) => self.handle_message(message),
            Input::Sent => {
                self.last_sent = now;
                self.said_at = Some(now);
            }
            Input::Watched(is_watched) => self.is_watched = is_watched,
            Input::Close(bye) => self.close(bye),
        }
    }

    /// Pings, or ends what is overdue at `now`; then poll outputs until `None`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle();
        self.now = now;
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if is_due(self.phase_deadline) {
            let code = match self.phase {
                Phase::Verdict => CloseCode::IDLE,
                _ => self.closing_code,
            };
            self.end(Some(code), 0);
        } else if is_due(self.pong_deadline()) {
            self.end(Some(CloseCode::IDLE), 0);
        } else if is_due(self.arrived.deadline()) {
            self.close_with(CloseCode::FRAME_LATE);
        } else if is_due(self.quick_ping_deadline()) {
            let round_trips = QUICK_ROUND_TRIPS * self.round_trip;
            self.ping(round_trips.clamp(QUICK_PONG_DEADLINE, PONG_DEADLINE));
        } else if is_due(self.ping_deadline()) {
            self.ping(PONG_DEADLINE);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.advance() {}
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`]; `None` when no deadline is left.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest([
            self.phase_deadline,
            self.pong_deadline(),
            self.arrived.deadline(),
            self.quick_ping_deadline(),
            self.ping_deadline(),
        ])
    }

    /// A ping is due when either side was silent. After our own silence it keeps the server from
    /// closing the connection; after the server's it finds out whether the server is still there.
    fn ping_deadline(&self) -> Option<Instant> {
        let is_due = self.phase.is_open() && self.pinged_at.is_none();
        is_due.then(|| self.last_sent.min(self.last_heard) + self.ping_interval)
    }

    /// A person who reads and writes nothing learns soon that the server is gone, while it matters.
    fn quick_ping_deadline(&self) -> Option<Instant> {
        let due_at = self.last_heard + QUICK_PING_INTERVAL;
        let is_lately = self.said_at.is_some_and(|said| due_at < said + QUICK_FOR);
        let is_due = self.is_watched && self.phase.is_open() && self.pinged_at.is_none();
        (is_due && is_lately).then_some(due_at)
    }

    /// While frames keep arriving, the `Pong` is merely queued behind them, so they extend the
    /// deadline.
    fn pong_deadline(&self) -> Option<Instant> {
        let pinged_at = self.pinged_at.filter(|_| self.phase.is_open())?;
        Some(pinged_at.max(self.last_heard) + self.pong_deadline)
    }

    /// Judges everything that waits, so that the next input is judged in the right phase.
    fn settle(&mut self) {
        while self.advance() {}
    }

    /// Judges one frame that waits; `false` when none does.
    fn advance(&mut self) -> bool {
        if self.phase.is_over() {
            return false;
        }
        let phase = self.phase;
        let judged = self
            .arrived
            .next(FRAME_BYTES_MAX, |lane, frame| judge(phase, lane, frame));
        match judged {
            Ok(None) => return false,
            Ok(Some(Ok(Some(frame)))) => self.handle_frame(frame),
            Ok(Some(Ok(None))) => self.count_unknown(),
            Ok(Some(Err(code))) => self.close_with(code),
            Err(error) => self.close_with(error.into()),
        }
        true
    }

    fn handle_live(&mut self, bytes: &[u8]) {
        self.last_heard = self.now;
        self.arrived.push_live(bytes, self.now);
    }

    fn handle_bulk(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.phase.is_open() {
            return self.close_with(CloseCode::OUT_OF_PHASE);
        }
        self.arrived.push_bulk(bytes, self.now);
    }

    fn handle_message(&mut self, message: Bytes) {
        self.last_heard = self.now;
        if let Err(error) = self
            .arrived
            .push_message(message, WEBSOCKET_BATCH_BYTES_MAX)
        {
            self.close_with(error.into());
        }
    }

    fn handle_datagram(&mut self, bytes: &[u8]) {
        match self
            .phase
            .is_open()
            .then(|| judge_datagram(bytes))
            .flatten()
        {
            Some(ServerFrame::LaneCopy(copy)) => self.handle_copy(&copy),
            Some(frame) => self.push(frame),
            None => self.count_dropped(),
        }
    }

    fn push(&mut self, frame: ServerFrame) {
        self.said_at = Some(self.now);
        self.outputs.push_back(Output::Push(frame));
    }

    fn count_dropped(&mut self) {
        self.dropped_datagrams = self.dropped_datagrams.saturating_add(1);
    }

    fn handle_copy(&mut self, copy: &LaneCopy) {
        self.last_heard = self.now;
        if !self.arrived.push_copy(copy, self.now) {
            self.count_dropped();
        }
    }

    fn handle_link_closed(&mut self) {
        match self.phase {
            Phase::Closed => {}
            Phase::Closing => self.end(Some(self.closing_code), 0),
            _ => self.end(None, 0),
        }
    }

    fn handle_frame(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome(welcome) => self.handle_welcome(welcome),
            ServerFrame::Bye(bye) => self.end(Some(bye.code), bye.retry_after_ms),
            ServerFrame::GoAway(goaway) => {
                self.phase = Phase::Draining;
                self.outputs.push_back(Output::GoAway(goaway));
            }
            ServerFrame::Ping(ping) => self.transmit(Pong { nonce: ping.nonce }),
            ServerFrame::Pong(_) => self.handle_pong(),
            // A copy of a lane that arrives on that lane, or on a WebSocket, brings nothing new.
            ServerFrame::LaneCopy(_) => {}
            push => self.push(push),
        }
    }

    fn handle_pong(&mut self) {
        if let Some(pinged_at) = self.pinged_at.take() {
            self.round_trip = self.now - pinged_at;
        }
    }

    fn handle_welcome(&mut self, welcome: Welcome) {
        let interval = Duration::from_millis(welcome.limits.ping_interval_ms.into());
        self.ping_interval = interval.max(PING_INTERVAL_MIN);
        self.phase = Phase::Ready;
        self.phase_deadline = None;
        self.outputs.push_back(Output::Welcome(Box::new(welcome)));
    }

    fn count_unknown(&mut self) {
        self.unknown_frames += 1;
        if self.unknown_frames > UNKNOWN_FRAMES_MAX {
            self.close_with(CloseCode::TOO_MANY_UNKNOWN);
        }
    }

    fn ping(&mut self, pong_deadline: Duration) {
        self.pinged_at = Some(self.now);
        self.pong_deadline = pong_deadline;
        let nonce = self.next_nonce;
        self.next_nonce = nonce.wrapping_add(1);
        self.transmit(Ping { nonce });
    }

    fn transmit(&mut self, frame: impl Into<ClientFrame>) {
        self.last_sent = self.now;
        self.outputs
            .push_back(Output::Transmit(Lane::Live, frame.into()));
    }

    fn close_with(&mut self, code: CloseCode) {
        self.close(bye(code));
    }

    fn close(&mut self, bye: Bye) {
        self.closing_code = bye.code;
        self.phase = Phase::Closing;
        self.phase_deadline = Some(self.now + CLOSE_DEADLINE);
        self.arrived.clear();
        self.transmit(bye);
    }

    fn end(&mut self, code: Option<CloseCode>, retry_after_ms: u32) {
        self.phase = Phase::Closed;
        self.phase_deadline = None;
        self.arrived.clear();
        self.outputs.push_back(Output::Closed {
            code,
            should_reconnect: code.is_none_or(CloseCode::should_reconnect),
            retry_after_ms,
        });
    }
}

/// The verdict on a whole frame: the decoded frame, or `None` to skip it, or the close code it
/// costs.
fn judge(phase: Phase, lane: Lane, raw: RawFrame<'_>) -> Result<Option<ServerFrame>, CloseCode> {
    let is_allowed = match phase {
        Phase::Verdict => matches!(raw.kind, Welcome::KIND | Bye::KIND),
        _ => raw.kind != Welcome::KIND,
    };
    if !is_allowed {
        return Err(CloseCode::OUT_OF_PHASE);
    }
    let Some(info) = frame::info(raw.kind) else {
        return Ok(None);
    };
    if info.sender == Sender::Client {
        return Err(CloseCode::OUT_OF_PHASE);
    }
    if lane == Lane::Bulk && info.lane != Lane::Bulk && raw.kind != Fail::KIND {
        return Err(CloseCode::WRONG_LANE);
    }
    ServerFrame::decode(raw.kind, raw.body).map_err(|_| CloseCode::BAD_FRAME)
}

fn judge_datagram(bytes: &[u8]) -> Option<ServerFrame> {
    let raw = decode_datagram(bytes, DATAGRAM_BYTES_MAX).ok()?;
    let info = frame::info(raw.kind)?;
    if info.lane != Lane::Datagram {
        return None;
    }
    ServerFrame::decode(raw.kind, raw.body).ok()?
}
