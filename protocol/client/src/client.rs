//! A client: the handle, and how it connects.

use nowrong_protocol::{CloseCode, ConnectionId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Chat, Error, LinkOptions, Ticket, Transport, User};

mod actor;
#[cfg(feature = "testing")]
pub(crate) mod attempts;
pub(crate) mod command;
mod connection;
mod held;
mod requests;

use actor::Actor;
use command::{Command, Request, ask};

/// How many commands may wait for the client's task. When there are more, the handle waits, which
/// slows down only its own user.
const COMMANDS_MAX: usize = 64;

/// A user's connection to the server, which reconnects by itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<ConnectionState>,
}

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The transport, its origin and its timeout.
    pub link: LinkOptions,
    /// Name and version of the program, for the operator's counters; at most 64 bytes.
    pub agent: String,
    /// Whether the client connects again by itself when the connection is lost.
    pub should_reconnect: bool,
    /// Whether a person looks at what comes: then a dead server or path is found within 6 s while
    /// something is said, by a ping after 3 s of silence. Off by default, as for a bot.
    pub is_watched: bool,
    /// Whether chats keep everything that came over the wire as [`Recorded`](crate::Recorded). The
    /// record grows without bound: for tests only.
    #[cfg(any(test, feature = "testing"))]
    pub is_recording: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            link: LinkOptions::default(),
            agent: concat!("nowrong-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            should_reconnect: true,
            is_watched: false,
            #[cfg(any(test, feature = "testing"))]
            is_recording: false,
        }
    }
}

impl ConnectOptions {
    /// Whether chats keep a record. Only the feature `testing` can ask for one.
    const fn keeps_record(&self) -> bool {
        #[cfg(any(test, feature = "testing"))]
        let keeps = self.is_recording;
        #[cfg(not(any(test, feature = "testing")))]
        let keeps = false;
        keeps
    }
}

impl From<Transport> for ConnectOptions {
    fn from(transport: Transport) -> Self {
        let link = LinkOptions {
            transport,
            ..LinkOptions::default()
        };
        Self {
            link,
            ..Self::default()
        }
    }
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not connected; the client is trying.
    Connecting,
    /// Open.
    Open {
        /// Its name in the logs of both sides.
        connection: ConnectionId,
        /// The transport it uses; never [`Transport::Auto`].
        transport: Transport,
    },
    /// Closed for good.
    Closed {
        /// Why; `None` when the link was lost and reconnecting is off.
        code: Option<CloseCode>,
    },
}

impl ConnectionState {
    /// Whether requests can be sent now.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

impl Client {
    /// Connects, and waits until the connection is open. The first connection is attempted only
    /// once.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Link`], or [`Error::Closed`] with the server's refusal.
    pub async fn connect(user: &User, options: ConnectOptions) -> Result<Self, Error> {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (state, watched) = watch::channel(ConnectionState::Connecting);
        let (opened, is_opened) = oneshot::channel();
        let actor = Actor::new(user.clone(), options, commands.downgrade(), state);
        // The task ends by itself when the last handle is dropped; see `Actor::run`.
        tokio::spawn(actor.run(inbox, opened));
        let client = Self {
            commands,
            state: watched,
        };
        is_opened
            .await
            .unwrap_or(Err(Error::Closed { code: None }))?;
        Ok(client)
    }

    /// Waits for a partner in a category. No `interests` means those of the account.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn join(&self, category: &str, interests: &[&str]) -> Result<Ticket, Error> {
        let interests = interests
            .iter()
            .map(|interest| (*interest).to_owned())
            .collect();
        let request = Request::Join {
            category: category.to_owned(),
            interests,
        };
        ask(&self.commands, |answer| Command::Queue(request, answer)).await
    }

    /// The chat that the user is in, or was in last; this includes a chat of an earlier client.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn chat(&self) -> Result<Option<Chat>, Error> {
        let chat = ask(&self.commands, Command::Chat).await?;
        Ok(chat.map(|chat| *chat))
    }

    /// The ticket that the user has from an earlier client. Returns it once.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn ticket(&self) -> Result<Option<Ticket>, Error> {
        ask(&self.commands, Command::Ticket).await
    }

    /// The state of the connection, and its changes.
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// Waits until the connection is open, and returns its transport.
    ///
    /// # Errors
    /// [`Error::Closed`] when it never will be.
    pub async fn opened(&self) -> Result<Transport, Error> {
        let mut state = self.state();
        let settled = state
            .wait_for(|state| *state != ConnectionState::Connecting)
            .await;
        match settled.map(|state| *state) {
            Ok(ConnectionState::Open { transport, .. }) => Ok(transport),
            Ok(ConnectionState::Closed { code }) => Err(Error::Closed { code }),
            Ok(ConnectionState::Connecting) | Err(_) => Err(Error::Closed { code: None }),
        }
    }

    /// Leaves the connection and opens another one over `transport`, which later connections use
    /// too. Chats continue there.
    ///
    /// # Errors
    /// [`Error`] when the new connection is refused for good.
    pub async fn switch(&self, transport: Transport) -> Result<(), Error> {
        ask(&self.commands, |answer| Command::Switch(transport, answer)).await
    }

    /// What the client tried so far in order to be connected. Empty unless
    /// [`ConnectOptions::is_recording`] is on.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client's task has ended.
    #[cfg(feature = "testing")]
    pub async fn attempts(&self) -> Result<Vec<crate::Attempt>, Error> {
        ask(&self.commands, Command::Attempts).await
    }

    /// Drops the link without a goodbye, as a lost network would; the client then reconnects.
    ///
    /// # Errors
    /// [`Error::Closed`].
    #[cfg(feature = "testing")]
    pub async fn cut(&self) -> Result<(), Error> {
        ask(&self.commands, Command::Cut).await
    }

    /// Says goodbye and waits until the connection is closed, at most a few seconds. Other handles
    /// then find it closed.
    pub async fn close(self) {
        // A client that is already closed is fine.
        let _ = ask(&self.commands, Command::Close).await;
    }
}
