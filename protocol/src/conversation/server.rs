//! The server's side of the conversation.
//!
//! What a client may send; anything else costs it the connection:
//!
//! | phase | live lane | bulk lane | datagrams |
//! |---|---|---|---|
//! | `Hello` | one `Hello` of at most 4,096 bytes; else `OUT_OF_PHASE` | any byte: `OUT_OF_PHASE` | dropped |
//! | `Verdict` | `Bye`; else `OUT_OF_PHASE` | any byte: `OUT_OF_PHASE` | dropped |
//! | `Ready`, `Draining` | all but `Hello` (`OUT_OF_PHASE`) | `History`; else `WRONG_LANE` | `LaneCopy`, `Typing`, `Presence`; else dropped |
//!
//! A frame that only a server sends is `OUT_OF_PHASE`. A frame of an unknown type is skipped and
//! counted once the connection is open. A frame is judged when it is whole, and in this order:
//! length, type, phase, lane, body.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use super::{Phase, bye, earliest, lane::Arrived};
use crate::{
    CloseCode, codec,
    envelope::{RawFrame, decode_datagram},
    frame::{
        self, Bye, ClientFrame, Frame, GoAway, Hello, Lane, LaneCopy, Pong, Sender, ServerFrame,
        Welcome,
    },
    limits::{
        AGENT_BYTES_MAX, CLOSE_DEADLINE, CONNECT_TOKEN_BYTES_MAX, DATAGRAM_BYTES_MAX,
        FRAME_BYTES_MAX, HELLO_BYTES_MAX, HELLO_DEADLINE, IDLE_TIMEOUT, RESUME_CHATS_MAX,
        UNKNOWN_FRAMES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX,
    },
    version::{Version, VersionRange},
};

/// What the shell tells the conversation.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Bytes of the live lane of a WebTransport link, in any pieces.
    LiveBytes(&'a [u8]),
    /// Bytes of the bulk lane of a WebTransport link, in any pieces.
    BulkBytes(&'a [u8]),
    /// The client finished or reset its bulk lane; it may open another one. An unfinished frame is
    /// dropped.
    BulkEnded,
    /// One datagram.
    Datagram(&'a [u8]),
    /// One binary WebSocket message: one or more whole frames.
    Message(Bytes),
    /// The `Hello` is good. The version of the `Welcome` is filled in with the agreed one.
    Admit(Box<Welcome>),
    /// The `Hello` is refused.
    Refuse(Bye),
    /// The node goes away. Before `Welcome` this ends the connection with `GOING_AWAY`. The shell
    /// decides when to close a client that stays: it holds the deadline of the whole drain.
    Drain(GoAway),
    /// The shell ends the connection: `SLOW`, `REPLACED`, `FLOODING`…
    Close(Bye),
    /// The link was lost.
    LinkClosed,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Check the token, then pass in [`Input::Admit`] or [`Input::Refuse`] within 5 s. Versions
    /// agree and all fields are within their bounds. Comes at most once.
    Hello(Hello),
    /// Carry out a frame and send its reply on the lane it came on. Never a `Hello`, `Bye`, `Ping`
    /// or `Pong`.
    Request(ClientFrame, Lane),
    /// Send a frame: `Welcome`, `Pong`, `GoAway` or `Bye`.
    Transmit(Lane, ServerFrame),
    /// Close the link now, with this code where the transport has room for one. The last output.
    Close(CloseCode),
}

/// The server's side of one connection. See [`super`] for how to drive it.
#[derive(Debug)]
pub struct ServerConversation {
    phase: Phase,
    /// The time of the last call.
    now: Instant,
    /// When the phase ends by itself: for `Hello`, `Verdict` and `Closing`.
    phase_deadline: Option<Instant>,
    last_heard: Instant,
    arrived: Arrived,
    outputs: VecDeque<Output>,
    agreed_version: Option<Version>,
    close_code: Option<CloseCode>,
    unknown_frames: u32,
    settled_frames: u32,
    dropped_datagrams: u64,
}

impl ServerConversation {
    /// A conversation that waits for `Hello`; `now` is when the link was opened.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Hello,
            now,
            phase_deadline: Some(now + HELLO_DEADLINE),
            last_heard: now,
            arrived: Arrived::default(),
            outputs: VecDeque::new(),
            agreed_version: None,
            close_code: None,
            unknown_frames: 0,
            settled_frames: 0,
            dropped_datagrams: 0,
        }
    }

    /// How far it has come.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Why the connection ends, as decided by a `Bye`: the code of our own, or `CLIENT_LEFT` after one of
    /// the client. `None` while nothing was decided, and for good when the link ends without a `Bye`.
    pub const fn close_code(&self) -> Option<CloseCode> {
        self.close_code
    }

    /// The version both speak, once a `Hello` was handed out.
    pub const fn agreed_version(&self) -> Option<Version> {
        self.agreed_version
    }

    /// How many frames of unknown types were skipped.
    pub const fn unknown_frames(&self) -> u32 {
        self.unknown_frames
    }

    /// How many frames of the lanes the conversation has settled by itself since the last call, so that they
    /// can be counted as well: `Ping`, `Pong`, copies on a lane, unknown ones.
    pub fn take_settled_frames(&mut self) -> u32 {
        std::mem::take(&mut self.settled_frames)
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
        if matches!(input, Input::LinkClosed) {
            self.end();
        }
        if self.phase.is_over() {
            return;
        }
        match input {
            Input::LiveBytes(bytes) => self.hear(|arrived| arrived.push_live(bytes, now)),
            Input::BulkBytes(bytes) => self.handle_bulk(bytes),
            Input::BulkEnded => self.arrived.end_bulk(),
            Input::Datagram(bytes) => self.handle_datagram(bytes),
            Input::Message(message) => self.handle_message(message),
            Input::Admit(welcome) => self.handle_admit(*welcome),
            Input::Refuse(bye) if self.phase == Phase::Verdict => self.close(bye),
            Input::Drain(goaway) => self.handle_drain(goaway),
            Input::Close(bye) => self.close(bye),
            Input::Refuse(_) | Input::LinkClosed => {}
        }
    }

    /// Ends what is overdue at `now`; then poll outputs until `None`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle();
        self.now = now;
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if is_due(self.phase_deadline) {
            match self.phase {
                Phase::Hello => self.close_with(CloseCode::HELLO_LATE),
                Phase::Verdict => self.close_with(CloseCode::INTERNAL),
                _ => self.conclude(),
            }
        } else if is_due(self.idle_deadline()) {
            self.close_with(CloseCode::IDLE);
        } else if is_due(self.arrived.deadline()) {
            self.close_with(CloseCode::FRAME_LATE);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.advance() {}
        let output = self.outputs.pop_front();
        if matches!(output, Some(Output::Transmit(..))) && self.outputs.is_empty() {
            // A connection that only pings keeps no memory allocated between its pings.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When to call [`Self::handle_timeout`]; `None` when no deadline is left.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest([
            self.phase_deadline,
            self.idle_deadline(),
            self.arrived.deadline(),
        ])
    }

    fn idle_deadline(&self) -> Option<Instant> {
        (self.phase.is_open()).then(|| self.last_heard + IDLE_TIMEOUT)
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
        let limit = if phase.is_open() {
            FRAME_BYTES_MAX
        } else {
            HELLO_BYTES_MAX
        };
        let judged = self
            .arrived
            .next(limit, |lane, frame| (lane, judge(phase, lane, frame)));
        match judged {
            Ok(None) => return false,
            Ok(Some((lane, Ok(Some(frame))))) => self.handle_frame(frame, lane),
            Ok(Some((_, Ok(None)))) => self.count_unknown(),
            Ok(Some((_, Err(code)))) => self.close_with(code),
            Err(error) => self.close_with(error.into()),
        }
        true
    }

    fn hear(&mut self, push: impl FnOnce(&mut Arrived)) {
        self.last_heard = self.now;
        push(&mut self.arrived);
    }

    fn handle_bulk(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.phase.is_open() {
            return self.close_with(CloseCode::OUT_OF_PHASE);
        }
        let now = self.now;
        self.hear(|arrived| arrived.push_bulk(bytes, now));
    }

    fn handle_message(&mut self, message: Bytes) {
        self.last_heard = self.now;
        if let Err(error) = self
            .arrived
            .push_message(message, WEBSOCKET_MESSAGE_BYTES_MAX)
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
            Some(ClientFrame::LaneCopy(copy)) => self.handle_copy(&copy),
            Some(frame) => {
                self.last_heard = self.now;
                self.put_out(Output::Request(frame, Lane::Datagram));
            }
            None => self.count_dropped(),
        }
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

    fn handle_frame(&mut self, frame: ClientFrame, lane: Lane) {
        match frame {
            ClientFrame::Hello(hello) => self.handle_hello(hello),
            ClientFrame::Bye(_) => {
                self.close_code = Some(CloseCode::CLIENT_LEFT);
                self.conclude();
            }
            ClientFrame::Ping(ping) => {
                self.count_settled();
                self.transmit(Pong { nonce: ping.nonce });
            }
            // A copy of a lane that arrives on that lane, or on a WebSocket, brings nothing new.
            ClientFrame::Pong(_) | ClientFrame::LaneCopy(_) => self.count_settled(),
            request => self.put_out(Output::Request(request, lane)),
        }
    }

    fn handle_hello(&mut self, hello: Hello) {
        self.agreed_version = VersionRange::SUPPORTED.agree(hello.versions);
        self.phase = Phase::Verdict;
        self.phase_deadline = Some(self.now + HELLO_DEADLINE);
        self.put_out(Output::Hello(hello));
    }

    fn handle_admit(&mut self, mut welcome: Welcome) {
        let (Phase::Verdict, Some(version)) = (self.phase, self.agreed_version) else {
            return;
        };
        welcome.version = version;
        self.phase = Phase::Ready;
        self.phase_deadline = None;
        self.last_heard = self.now;
        self.transmit(welcome);
    }

    fn handle_drain(&mut self, goaway: GoAway) {
        match self.phase {
            Phase::Ready => {
                self.phase = Phase::Draining;
                self.transmit(goaway);
            }
            Phase::Hello | Phase::Verdict => self.close(Bye {
                retry_after_ms: goaway.retry_after_ms,
                ..bye(CloseCode::GOING_AWAY)
            }),
            Phase::Draining | Phase::Closing | Phase::Closed => {}
        }
    }

    fn count_settled(&mut self) {
        self.settled_frames = self.settled_frames.saturating_add(1);
    }

    fn count_unknown(&mut self) {
        self.count_settled();
        self.unknown_frames += 1;
        if self.unknown_frames > UNKNOWN_FRAMES_MAX {
            self.close_with(CloseCode::TOO_MANY_UNKNOWN);
        }
    }

    fn put_out(&mut self, output: Output) {
        if self.outputs.is_empty() {
            // Mostly one output waits; left to itself, the queue would allocate room for four.
            self.outputs.reserve_exact(1);
        }
        self.outputs.push_back(output);
    }

    fn transmit(&mut self, frame: impl Into<ServerFrame>) {
        self.put_out(Output::Transmit(Lane::Live, frame.into()));
    }

    fn close_with(&mut self, code: CloseCode) {
        self.close(bye(code));
    }

    fn close(&mut self, bye: Bye) {
        self.close_code = Some(bye.code);
        self.phase = Phase::Closing;
        self.phase_deadline = Some(self.now + CLOSE_DEADLINE);
        self.arrived.clear();
        self.transmit(bye);
    }

    /// Ends the conversation as its `Bye` says.
    fn conclude(&mut self) {
        if let Some(code) = self.close_code {
            self.put_out(Output::Close(code));
        }
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.phase_deadline = None;
        self.arrived.clear();
    }
}

/// The verdict on a whole frame: the decoded frame, or `None` to skip it, or the close code it
/// costs.
fn judge(phase: Phase, lane: Lane, raw: RawFrame<'_>) -> Result<Option<ClientFrame>, CloseCode> {
    let is_allowed = match phase {
        Phase::Hello => raw.kind == Hello::KIND,
        Phase::Verdict => raw.kind == Bye::KIND,
        _ => raw.kind != Hello::KIND,
    };
    if !is_allowed {
        return Err(CloseCode::OUT_OF_PHASE);
    }
    let Some(info) = frame::info(raw.kind) else {
        return Ok(None);
    };
    if info.sender == Sender::Server {
        return Err(CloseCode::OUT_OF_PHASE);
    }
    if lane == Lane::Bulk && info.lane != Lane::Bulk {
        return Err(CloseCode::WRONG_LANE);
    }
    if raw.kind == Hello::KIND {
        check_versions(raw.body)?;
    }
    let decoded = ClientFrame::decode(raw.kind, raw.body).map_err(|_| CloseCode::BAD_FRAME)?;
    if let Some(ClientFrame::Hello(hello)) = &decoded {
        check_hello(hello)?;
    }
    Ok(decoded)
}

fn judge_datagram(bytes: &[u8]) -> Option<ClientFrame> {
    let raw = decode_datagram(bytes, DATAGRAM_BYTES_MAX).ok()?;
    let info = frame::info(raw.kind)?;
    if info.lane != Lane::Datagram {
        return None;
    }
    ClientFrame::decode(raw.kind, raw.body).ok()?
}

/// The range stays the first field of every `Hello`, so that a client too new to be decoded any
/// further still learns why it is refused.
fn check_versions(body: &[u8]) -> Result<(), CloseCode> {
    let range: VersionRange = codec::decode(body).map_err(|_| CloseCode::BAD_FRAME)?;
    let agreed = VersionRange::SUPPORTED.agree(range);
    agreed.map(drop).ok_or(CloseCode::VERSION_UNSUPPORTED)
}

fn check_hello(hello: &Hello) -> Result<(), CloseCode> {
    let is_token =
        hello.connect_token.len() <= CONNECT_TOKEN_BYTES_MAX && hello.connect_token.is_ascii();
    let is_resume = hello.resume.len() <= RESUME_CHATS_MAX
        && (1..hello.resume.len()).all(|at| {
            !hello.resume[..at]
                .iter()
                .any(|r| r.chat == hello.resume[at].chat)
        });
    let is_good = is_token && is_resume && hello.agent.len() <= AGENT_BYTES_MAX;
    is_good.then_some(()).ok_or(CloseCode::BAD_FRAME)
}
