//! The task behind the handles: owns the connection, and opens another one when it is lost.
//!
//! One `select!` over the handles' commands, the link, the next link being opened, and time.
//! [`Held`] (the state that outlives a connection) and the protocol's conversation (the
//! connection's own rules) decide what to send; this task carries it out.

use std::{pin::Pin, time::Duration};

use nowrong_protocol::{
    ClientMessageId, CloseCode, ErrorCode,
    conversation::client::Output,
    frame::{GoAway, Hello, Welcome},
    version::VersionRange,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    ConnectOptions, ConnectionState,
    command::{Answer, Command},
    connection::Connection,
    held::Held,
    requests::Reply,
};
use crate::{ApiError, Endpoint, Error, User, backoff::Backoff, link::Link};

/// See the module.
pub(super) struct Actor {
    user: User,
    options: ConnectOptions,
    state: watch::Sender<ConnectionState>,
    held: Held,
    connection: Option<Connection>,
    /// The next link while it is being opened; the current connection, if any, stays until it is
    /// open.
    dial: Option<Dial>,
    /// When to open the next link.
    dial_at: Option<Instant>,
    /// The endpoint that the server named, for the next link only.
    sent_to: Option<Endpoint>,
    backoff: Backoff,
    /// The handles that wait for the next connection.
    awaiting: Vec<Answer<()>>,
    was_open: bool,
    /// Set when there will be no other connection.
    over: Option<Error>,
    /// Connections that are saying goodbye.
    parting: JoinSet<()>,
    #[cfg(feature = "testing")]
    attempts: super::attempts::Attempts,
}

type Dial = Pin<Box<dyn Future<Output = Result<(Link, String), Error>> + Send>>;

impl Actor {
    pub(super) fn new(
        user: User,
        options: ConnectOptions,
        commands: mpsc::WeakSender<Command>,
        state: watch::Sender<ConnectionState>,
    ) -> Self {
        Self {
            #[cfg(feature = "testing")]
            attempts: super::attempts::Attempts::new(options.is_recording),
            held: Held::new(commands, options.keeps_record()),
            user,
            options,
            state,
            connection: None,
            dial: None,
            dial_at: None,
            sent_to: None,
            backoff: Backoff::default(),
            awaiting: Vec::new(),
            was_open: false,
            over: None,
            parting: JoinSet::new(),
        }
    }

    /// Runs until the last handle is dropped and the goodbye is said.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>, opened: Answer<()>) {
        self.awaiting.push(opened);
        self.dial();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.handle_command(command).await,
                    None => break,
                },
                received = Connection::receive(&mut self.connection) => {
                    if let Some(connection) = &mut self.connection {
                        connection.handle_received(received);
                    }
                }
                dialled = dialled(&mut self.dial) => self.handle_dialled(dialled),
                () = sleep_until(deadline) => self.handle_timeout(),
            }
            self.drain();
        }
        self.part();
        while self.parting.join_next().await.is_some() {}
    }

    async fn handle_command(&mut self, command: Command) {
        let now = Instant::now().into_std();
        match command {
            Command::View(chat, answer) => drop(answer.send(self.held.view(chat))),
            Command::Chat(answer) => drop(answer.send(Ok(self.held.newest_chat().map(Box::new)))),
            Command::Ticket(answer) => drop(answer.send(Ok(self.held.take_found_ticket()))),
            Command::Signal(chat, signal) => self.held.signal(chat, signal),
            Command::Close(answer) => self.close(answer).await,
            other if self.over.is_some() => refuse(other, self.over.as_ref()),
            Command::Queue(request, answer) => {
                self.held.request(request, Reply::Ticket(answer), now);
            }
            Command::Carry(request, answer) => {
                self.held.request(request, Reply::Done(answer), now);
            }
            Command::Page(request, answer) => {
                self.held.request(request, Reply::Page(answer), now);
            }
            Command::Send(chat, message, answer) => {
                self.held.send(chat, message, new_message_id(), answer);
            }
            Command::Switch(transport, answer) => {
                self.options.link.transport = transport;
                self.awaiting.push(answer);
                self.dial();
            }
            #[cfg(feature = "testing")]
            Command::Attempts(answer) => drop(answer.send(Ok(self.attempts.all()))),
            #[cfg(feature = "testing")]
            Command::Cut(answer) => {
                self.connection = None;
                self.lost(None, Duration::ZERO);
                drop(answer.send(Ok(())));
            }
        }
    }

    /// Says goodbye, waits until that is done, and ends everything else.
    async fn close(&mut self, answer: Answer<()>) {
        self.part();
        self.end(Error::Closed {
            code: Some(CloseCode::CLIENT_LEFT),
        });
        while self.parting.join_next().await.is_some() {}
        drop(answer.send(Ok(())));
    }

    fn handle_dialled(&mut self, dialled: Result<(Link, String), Error>) {
        self.note(|| match &dialled {
            Ok(_) => "a link is open".to_owned(),
            Err(error) => format!("no link: {error}"),
        });
        match dialled {
            Ok((link, token)) => self.open(link, token),
            Err(error) if is_final(&error) || !self.was_open => self.end(error),
            Err(error) => {
                tracing::debug!(%error, "no connection yet");
                if self.connection.is_some() {
                    self.answer_awaiting(&Err(error));
                }
                self.dial_at = Some(Instant::now() + self.backoff.next(rand::random()));
            }
        }
    }

    /// A link is open: leaves the previous connection, if any, and sends `Hello` on the new one.
    fn open(&mut self, link: Link, connect_token: String) {
        self.part();
        let hello = Hello {
            versions: VersionRange::SUPPORTED,
            connect_token,
            agent: self.options.agent.clone(),
            resume: self.held.resume(),
        };
        self.connection = Some(Connection::new(link, hello, self.options.is_watched));
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now.into_std());
        }
        self.held.expire(now.into_std());
        if self.dial_at.is_some_and(|at| at <= now) {
            self.dial();
        }
    }

    fn deadline(&self) -> Instant {
        let connection = self.connection.as_ref().and_then(Connection::deadline);
        let times = [connection, self.held.deadline()].map(|time| time.map(Instant::from_std));
        let next = times.into_iter().chain([self.dial_at]).flatten().min();
        // Nothing is due: any time far away will do, since every event computes it again.
        next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600))
    }

    /// Carries out what the conversation and the handles have decided.
    fn drain(&mut self) {
        while let Some(output) = self.connection.as_mut().and_then(Connection::poll_output) {
            match output {
                // The connection has sent it already.
                Output::Transmit(..) => {}
                Output::Welcome(welcome) => self.welcome(*welcome),
                Output::Push(frame) => self.held.push(frame, Instant::now().into_std()),
                Output::GoAway(go_away) => self.go_away(go_away),
                Output::Closed {
                    code,
                    should_reconnect,
                    retry_after_ms,
                } => {
                    self.closed(code, should_reconnect, retry_after_ms);
                }
            }
        }
        let frames = self.held.take_frames(Instant::now().into_std());
        if let Some(connection) = &mut self.connection {
            frames.iter().for_each(|frame| connection.send(frame));
        }
    }

    fn welcome(&mut self, welcome: Welcome) {
        let Some(connection) = &self.connection else {
            return;
        };
        self.state.send_replace(ConnectionState::Open {
            connection: welcome.connection,
            transport: connection.transport(),
        });
        self.note(|| "welcome".to_owned());
        self.was_open = true;
        self.backoff.reset();
        self.held.welcome(welcome, Instant::now().into_std());
        self.answer_awaiting(&Ok(()));
    }

    fn go_away(&mut self, go_away: GoAway) {
        self.sent_to = go_away.endpoint.map(|endpoint| Endpoint {
            webtransport: endpoint.0.webtransport,
            websocket: endpoint.0.websocket,
            certificate_hash: None,
        });
        let wait = Duration::from_millis(go_away.retry_after_ms.into());
        self.dial_at = Some(Instant::now() + wait);
    }

    fn closed(&mut self, code: Option<CloseCode>, should_reconnect: bool, retry_after_ms: u32) {
        self.note(|| format!("closed: {code:?}, again in {retry_after_ms} ms"));
        if let Some(connection) = self.connection.take() {
            self.parting.spawn(connection.close());
        }
        if should_reconnect && self.was_open {
            self.lost(code, Duration::from_millis(retry_after_ms.into()));
        } else {
            self.end(Error::Closed { code });
        }
    }

    /// The connection is lost; the next one is opened after `wait`, or when the backoff says so.
    fn lost(&mut self, code: Option<CloseCode>, wait: Duration) {
        self.held.lost();
        if self.over.is_some() {
            return;
        }
        if !self.options.should_reconnect {
            return self.end(Error::Closed { code });
        }
        tracing::debug!(code = code.map(CloseCode::name), "the connection is lost");
        self.state.send_replace(ConnectionState::Connecting);
        if self.dial.is_none() {
            let wait = wait.max(self.backoff.next(rand::random()));
            self.dial_at = Some(Instant::now() + wait);
        }
    }

    /// There will be no other connection: tells every handle.
    fn end(&mut self, error: Error) {
        self.dial = None;
        self.dial_at = None;
        self.state.send_replace(ConnectionState::Closed {
            code: error.close_code(),
        });
        self.answer_awaiting(&Err(error.clone()));
        self.held.close(&error);
        self.over.get_or_insert(error);
    }

    /// Tells the handles that wait for a connection whether it was opened.
    fn answer_awaiting(&mut self, outcome: &Result<(), Error>) {
        for answer in self.awaiting.drain(..) {
            drop(answer.send(outcome.clone()));
        }
    }

    /// Leaves the connection with a goodbye, which a task of its own finishes.
    fn part(&mut self) {
        while self.parting.try_join_next().is_some() {}
        if let Some(connection) = self.connection.take() {
            self.held.lost();
            self.parting.spawn(connection.part());
        }
    }

    /// Writes a step down; see [`Client::attempts`](super::Client::attempts).
    #[cfg(feature = "testing")]
    fn note(&mut self, step: impl FnOnce() -> String) {
        self.attempts.note(step);
    }

    /// Only tests keep a record.
    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "the record exists for tests only")]
    fn note(&mut self, _: impl FnOnce() -> String) {}

    /// Starts opening a link.
    fn dial(&mut self) {
        self.note(|| "dials".to_owned());
        self.dial_at = None;
        let (user, options) = (self.user.clone(), self.options.link.clone());
        let sent_to = self.sent_to.take();
        self.dial = Some(Box::pin(async move {
            let connect = user.connect().await?;
            let certificate_hash = connect.endpoint.certificate_hash;
            let endpoint = match sent_to {
                Some(endpoint) => Endpoint {
                    certificate_hash,
                    ..endpoint
                },
                None => connect.endpoint,
            };
            let link = Link::open(&endpoint, &options).await?;
            Ok((link, connect.connect_token))
        }));
    }
}

/// Waits for the link that is being opened; never returns when there is none.
async fn dialled(dial: &mut Option<Dial>) -> Result<(Link, String), Error> {
    let Some(opening) = dial else {
        return std::future::pending().await;
    };
    let dialled = opening.await;
    *dial = None;
    dialled
}

/// Whether another attempt is pointless: the server no longer knows the account.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Api(error @ ApiError::Refused(_)) => {
            error.code() != Some(ErrorCode::UNAUTHENTICATED) && !error.is_temporary()
        }
        Error::Api(error) => !error.is_temporary(),
        _ => false,
    }
}

fn refuse(command: Command, over: Option<&Error>) {
    let error = over.cloned().unwrap_or(Error::Closed { code: None });
    match command {
        Command::Queue(_, answer) => Reply::Ticket(answer).fail(error),
        Command::Carry(_, answer) | Command::Switch(_, answer) => {
            Reply::Done(answer).fail(error);
        }
        #[cfg(feature = "testing")]
        Command::Cut(answer) => Reply::Done(answer).fail(error),
        Command::Page(_, answer) => Reply::Page(answer).fail(error),
        Command::Send(_, _, answer) => drop(answer.send(Err(error))),
        // The other commands get their answer even when the client is over.
        _ => {}
    }
}

fn new_message_id() -> ClientMessageId {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    ClientMessageId::v7(now.unwrap_or_default().as_millis() as u64, &rand::random())
}
