//! A person who uses the servers through the native client, and writes everything down.
//!
//! A guest is patient: a temporary failure is tried again, as a page would do. Anything that takes
//! longer than [`STUCK`] is written down as stuck, and the guest gives up.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nowrong_client::{Chat, Client, ConnectOptions, Error, NewAccount, Outgoing, Transport, User};
use nowrong_protocol::{ChatId, ClientMessageId, ErrorCode, TicketId, frame::Body};
use rand::{Rng as _, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    crew::{Count, Crew},
    diary::{Diary, Encounter, Entry, Event, Line, Waited},
};

mod reading;

/// Longest wait for anything that is tried again and again. Faults last 9 s at most; an election
/// and the client's backoff (15 s) come on top.
pub const STUCK: Duration = Duration::from_secs(60);

/// A wait for an ack whose reasons are written down.
const LONG: Duration = Duration::from_secs(20);

/// Time for a client to connect once, all in all.
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);

/// Shortest and longest wait between two attempts.
const RETRY_MS: (u64, u64) = (100, 500);

/// A person who is not connected.
pub struct Who {
    /// Shared by everybody.
    pub crew: Arc<Crew>,
    /// The random numbers behind the person's decisions.
    pub random: StdRng,
    user: User,
    transport: Transport,
    diary: Diary,
    /// The longest time from the wish to say something to knowing that it is sent.
    slowest: Slowest,
}

/// A person who is connected.
pub struct Guest {
    /// Who it is.
    pub who: Who,
    /// The connection.
    pub client: Client,
}

/// The diary of a person who gave up.
pub type GaveUp = Box<Diary>;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is sent.
    Sent,
    /// The chat is over.
    Over,
    /// Unknown.
    Stuck,
}

impl Who {
    /// Registers. Every other person uses WebSocket, the rest WebTransport.
    ///
    /// # Errors
    /// When the servers refuse permanently, or for too long.
    pub async fn register(
        crew: &Arc<Crew>,
        number: usize,
        account: NewAccount,
    ) -> anyhow::Result<Self> {
        let mut random = crew.random(number);
        let deadline = Instant::now() + STUCK;
        let user = loop {
            match crew.api(number).register(&account).await {
                Ok(user) => break user,
                Err(error) if error.is_temporary() && Instant::now() < deadline => {
                    crew.counts.refused.add();
                    sleep(retry_pause(&mut random)).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let diary = Diary {
            name: user.account().name.clone(),
            age_bracket: user.account().age_bracket.clone(),
            ..Diary::default()
        };
        Ok(Self {
            crew: crew.clone(),
            random,
            user,
            transport: [Transport::WebSocket, Transport::WebTransport][number % 2],
            diary,
            slowest: Slowest::default(),
        })
    }

    /// Connects, with a client that knows nothing of earlier ones.
    ///
    /// # Errors
    /// The diary of a person who gave up.
    pub async fn connect(mut self) -> Result<Guest, GaveUp> {
        let options = ConnectOptions {
            is_recording: true,
            ..self.transport.into()
        };
        let deadline = Instant::now() + STUCK;
        while Instant::now() < deadline {
            let connecting = Client::connect(&self.user, options.clone());
            match timeout(CONNECT_DEADLINE, connecting).await {
                Ok(Ok(client)) => {
                    tokio::spawn(count_reconnects(self.crew.clone(), client.state()));
                    return Ok(Guest { who: self, client });
                }
                Ok(Err(_)) | Err(_) => self.pause_to_retry().await,
            }
        }
        Err(self.give_up("connecting"))
    }

    /// Writes an event down.
    pub fn note(&mut self, event: Event) {
        let at = self.crew.now();
        self.diary.entries.push(Entry { at, event });
    }

    /// Writes down what was waited for in vain; returns the diary.
    pub fn give_up(mut self, what: &str) -> GaveUp {
        self.note(Event::Stuck(what.to_owned()));
        Box::new(self.diary)
    }

    /// Waits a little before another attempt.
    pub async fn pause_to_retry(&mut self) {
        self.crew.counts.refused.add();
        sleep(retry_pause(&mut self.random)).await;
    }

    /// The message that took longest.
    pub fn slowest(&self) -> Slowest {
        self.slowest
    }

    /// Ends the person's run and returns the diary.
    pub fn into_diary(self) -> Diary {
        self.diary
    }
}

/// A message that took long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slowest {
    /// From the first attempt to the ack.
    pub took: Duration,
    /// When the first attempt was made, since the start of the run.
    pub sent_at: Duration,
}

impl Guest {
    /// Writes down that this chat was shown.
    pub fn met(&mut self, chat: &Chat, ticket: Option<TicketId>) {
        let members = chat.state().members.iter();
        let encounter = Encounter {
            chat: chat.id(),
            // The client invents the ticket when the match came with the snapshot of a new
            // connection.
            ticket: ticket.filter(|id| *id != TicketId::from_bytes([0; 16])),
            members: members.map(|member| member.name.clone()).collect(),
        };
        self.who.crew.counts.matched.add();
        self.who.note(Event::Matched(encounter));
    }

    /// Says something, with the same id in every attempt.
    pub async fn say(&mut self, chat: &Chat, text: String) -> Said {
        let message = Outgoing {
            client_message_id: Some(ClientMessageId::from_bytes(self.who.random.random())),
            reply_to: None,
            body: Body::Text(text),
        };
        let (begun, sent_at) = (Instant::now(), self.who.crew.now());
        let is_timed = self.who.crew.is_timing.load(Ordering::Relaxed);
        let mut refused = Vec::new();
        while begun.elapsed() < STUCK {
            match timeout(STUCK, chat.send(message.clone())).await {
                Ok(Ok(sent)) => {
                    let line = Line::of(chat.you(), &sent);
                    if is_timed {
                        let took = begun.elapsed();
                        self.who.slowest = self.who.slowest.max(Slowest { took, sent_at });
                    }
                    self.note_long_wait(begun, refused).await;
                    self.who.crew.counts.told.add();
                    self.who.note(Event::Told(chat.id(), line));
                    return Said::Sent;
                }
                Ok(Err(error)) if is_over(&error) => return Said::Over,
                Ok(Err(Error::Closed { code })) => {
                    let why = format!("the client closed while it sent: {code:?}");
                    self.who.note(Event::Stuck(why));
                    return Said::Stuck;
                }
                Ok(Err(error)) => {
                    refused.push((self.who.crew.now(), format!("the send failed: {error}")));
                    self.who.pause_to_retry().await;
                }
                Err(_) => break,
            }
        }
        self.note_long_wait(begun, refused).await;
        self.who
            .note(Event::Stuck("a message got no answer".to_owned()));
        Said::Stuck
    }

    /// Writes down what the client did during a wait that was [`LONG`].
    async fn note_long_wait(&mut self, begun: Instant, mut steps: Vec<(Duration, String)>) {
        let took = begun.elapsed();
        if took < LONG {
            return;
        }
        let attempts = self.client.attempts().await.unwrap_or_default();
        let since = begun.into_std();
        let meanwhile = attempts.into_iter().filter(|attempt| attempt.at >= since);
        steps.extend(meanwhile.map(|one| (self.who.crew.time_of(one.at), one.step)));
        steps.sort();
        self.who.note(Event::Waited(Waited { took, steps }));
    }

    /// Ends a chat by `ask`, which is repeated until it succeeds or the chat is over; returns
    /// whether it was confirmed.
    pub async fn part<F>(&mut self, chat: ChatId, mut ask: impl FnMut() -> F) -> bool
    where
        F: Future<Output = Result<(), Error>>,
    {
        self.who.note(Event::Parting(chat));
        let deadline = Instant::now() + STUCK;
        while Instant::now() < deadline {
            match timeout(STUCK, ask()).await {
                Ok(Ok(())) => {
                    self.who.crew.counts.parted.add();
                    self.who.note(Event::Ended(chat));
                    return true;
                }
                Ok(Err(error)) if is_over(&error) => {
                    self.who.note(Event::Ended(chat));
                    return false;
                }
                Ok(Err(_)) | Err(_) => self.who.pause_to_retry().await,
            }
        }
        self.who.note(Event::Stuck("leaving a chat".to_owned()));
        false
    }

    /// Disappears without a goodbye, as when a battery dies. Handles of chats and tickets must be
    /// dropped before.
    pub async fn vanish(self) -> Who {
        self.who.crew.counts.vanished.add();
        // A client that is already closed has vanished too.
        let _ = self.client.cut().await;
        self.who
    }
}

/// Whether a request failed because the chat is over, or was erased.
pub fn is_over(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::CHAT_ENDED | ErrorCode::CHAT_UNKNOWN)
    )
}

fn retry_pause(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(RETRY_MS.0..=RETRY_MS.1))
}

/// Counts each connection after the first, until the client ends.
async fn count_reconnects(
    crew: Arc<Crew>,
    mut state: tokio::sync::watch::Receiver<nowrong_client::ConnectionState>,
) {
    let reconnected: &Count = &crew.counts.reconnected;
    state.mark_unchanged();
    while state.changed().await.is_ok() {
        if state.borrow_and_update().is_open() {
            reconnected.add();
        }
    }
}
