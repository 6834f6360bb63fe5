//! One connection: drives the pure conversation over a link, and pulls everything that its client
//! must learn.
//!
//! A connection is one task. It reads its link, carries out requests, and, whenever it is woken,
//! pulls the difference between its client's knowledge and the current state: pushes about the
//! queue from the user's entry, messages from the chat's log, states from the chat. Nothing is
//! queued towards it, so a client that does not read only delays itself; after [`SLOW_DEADLINE`] it
//! is closed.
//!
//! Start reading at [`run`]; [`admission`] opens, [`requests`] carries out, [`following`] pulls.

mod admission;
mod following;
mod link;
mod requests;
mod waiting;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use nowrong_base::random;
use nowrong_core::{
    chat::Pulled,
    pace::{Pace, TextShare},
};
use nowrong_protocol::{
    CloseCode, ConnectionId, ErrorCode, Position, ServerFrame,
    conversation::{
        Phase, ServerConversation, bye,
        server::{Input, Output},
    },
    copies::CopyWriter,
    envelope,
    frame::{Bye, GoAway, Lane},
    limits::{RESUME_CHATS_MAX, SLOW_DEADLINE},
};
use tokio::time::timeout;

pub use self::link::{Link, LinkError, Received, Transport};
use self::{
    following::Following,
    waiting::{Alarm, Ending, Endings},
};
use crate::{
    chat::Chat,
    hub::{Push, UserEntry},
    node::Node,
    refusal::Refusal,
};

/// Bytes gathered for one write; further ones wait for the next write.
const FLUSH_BYTES: usize = 32 * 1024;

/// Spread, in milliseconds, of the reconnects of clients that ignored `GoAway`.
const HALT_SPREAD_MS: u32 = 1_000;

/// Serves one client until its link is closed. `texts` is what all people of its network may write together.
pub fn run<L: Link>(
    node: Arc<Node>,
    link: L,
    texts: Arc<Mutex<TextShare>>,
    is_origin_allowed: bool,
) -> impl Future<Output = ()> + Send {
    // Boxed here, it is not moved from one future to the next, each of which would have room for
    // it.
    let mut connection = Box::new(Connection {
        conversation: ServerConversation::new(Instant::now()),
        pace: Pace::new(Instant::now()),
        texts,
        alarm: Alarm::new(),
        endings: Endings::new(node.draining(), node.halting()),
        node,
        copies: link.path().map(|_| CopyWriter::new()),
        link,
        is_origin_allowed,
        live: Vec::new(),
        bulk: Vec::new(),
        user: None,
        given_up: None,
    });
    async move {
        // A panic ends this connection alone, and like any other end: otherwise the partner, the seat and
        // the ticket would wait for somebody who is gone.
        let driven = AssertUnwindSafe(connection.drive()).catch_unwind().await;
        if driven.is_err() {
            connection.given_up = Some(CloseCode::INTERNAL);
        }
        Box::pin(connection.depart()).await;
    }
}

/// The state of one connection.
struct Connection<L> {
    node: Arc<Node>,
    link: L,
    is_origin_allowed: bool,
    conversation: ServerConversation,
    pace: Pace,
    texts: Arc<Mutex<TextShare>>,
    alarm: Alarm,
    endings: Endings,
    /// Frames that wait for the next write to the live lane.
    live: Vec<u8>,
    /// The copies of these bytes, where the transport needs them.
    copies: Option<CopyWriter>,
    /// The same for the bulk lane.
    bulk: Vec<u8>,
    user: Option<Attending>,
    /// Why this side ended the connection without a word on its lanes: the client did not accept bytes in
    /// time, or the task panicked.
    given_up: Option<CloseCode>,
}

/// The user behind a connection, once admitted.
struct Attending {
    id: ConnectionId,
    entry: Arc<UserEntry>,
    following: Option<Following>,
    /// Chats that ended, while some sends in them have no `Ack` yet: at most [`RESUME_CHATS_MAX`].
    settling: Vec<Following>,
    /// The interests of the user's last `Join`, for `Next`.
    interests: Vec<String>,
}

impl Attending {
    /// Keeps the chat before, if sends in it wait for their `Ack`.
    fn settle(&mut self, before: Option<Following>) {
        if let Some(before) = before.filter(|it| it.unacked() > 0) {
            if self.settling.len() >= RESUME_CHATS_MAX {
                // Its client hears nothing of the sends in it, and sends them again.
                self.settling.remove(0);
            }
            self.settling.push(before);
        }
    }

    /// The sends of member `me` in a chat that has ended and is not followed.
    ///
    /// # Errors
    /// [`Refusal`] when sends in too many such chats wait.
    fn settling_in(&mut self, chat: &Arc<Chat>, me: u8) -> Result<&mut Following, Refusal> {
        let known = self.settling.iter().position(|it| it.chat.id == chat.id);
        let index = match known {
            Some(index) => index,
            None if self.settling.len() >= RESUME_CHATS_MAX => {
                return Err(Refusal::retry_after(ErrorCode::OVERLOADED, 1_000));
            }
            None => {
                let (following, _) = Following::new(chat.clone(), me, Position::START);
                self.settling.push(following);
                self.settling.len() - 1
            }
        };
        Ok(&mut self.settling[index])
    }
}

/// Whether the task continues or ends.
enum Step {
    Wait,
    Again,
    Over,
}

/// What woke the connection.
enum Event {
    Received(Result<Received, LinkError>),
    Woken,
    Timeout,
    Ending(Ending),
}

impl<L: Link> Connection<L> {
    async fn drive(&mut self) {
        loop {
            let step = match self.step().await {
                Ok(step) => step,
                Err(error) => {
                    tracing::debug!(%error, transport = self.link.transport().name(), "link lost");
                    Step::Over
                }
            };
            match step {
                Step::Over => break,
                Step::Again => tokio::task::yield_now().await,
                Step::Wait => {
                    let event = self.next_event().await;
                    self.handle(event);
                }
            }
        }
    }

    /// Does everything that can be done without waiting for news.
    async fn step(&mut self) -> Result<Step, LinkError> {
        while let Some(output) = self.next_output() {
            match output {
                // Boxed: a waiting connection keeps no memory for rare work.
                Output::Hello(hello) => Box::pin(self.admit(hello)).await,
                Output::Request(frame, lane) => Box::pin(self.request(frame, lane)).await,
                Output::Transmit(lane, frame) => self.write(lane, &frame),
                Output::Close(code) => {
                    let _ = self.flush().await;
                    self.conversation
                        .handle_input(Input::LinkClosed, Instant::now());
                    tracing::debug!(%code, transport = self.link.transport().name(), "closed");
                    return Ok(Step::Over);
                }
            }
            if self.live.len() + self.bulk.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
        }
        let has_more = self.conversation.phase().is_open() && self.pull().await;
        self.flush().await?;
        let is_over = self.conversation.phase() == Phase::Closed;
        Ok(if is_over {
            Step::Over
        } else if has_more {
            Step::Again
        } else {
            Step::Wait
        })
    }

    /// The next output of the conversation. What it has settled by itself costs as much as other frames.
    fn next_output(&mut self) -> Option<Output> {
        let output = self.conversation.poll_output();
        match self.conversation.take_settled_frames() {
            0 => output,
            settled => {
                self.charge_frames(settled);
                output.or_else(|| self.conversation.poll_output())
            }
        }
    }

    /// Counts frames that need nothing; too many end the connection.
    fn charge_frames(&mut self, count: u32) {
        let now = Instant::now();
        if !self.pace(|pace| pace.take_frames(count, now)) {
            self.end_flood(now);
        }
    }

    fn end_flood(&mut self, now: Instant) {
        self.node.env().metrics.count_refusal("flooding");
        let input = Input::Close(bye(CloseCode::FLOODING));
        self.conversation.handle_input(input, now);
    }

    /// Spends from the buckets of the person, or of the link while nobody is admitted.
    fn pace<T>(&mut self, spend: impl FnOnce(&mut Pace) -> T) -> T {
        match &self.user {
            Some(user) => spend(&mut user.entry.pace()),
            None => spend(&mut self.pace),
        }
    }

    async fn next_event(&mut self) -> Event {
        let copy_due = self.copies.as_ref().and_then(CopyWriter::poll_timeout);
        let deadlines = [self.conversation.poll_timeout(), copy_due];
        let deadline = deadlines.into_iter().flatten().min();
        // A connection that is closing leaves the wakes to the one that replaced it.
        let listening = self
            .user
            .as_ref()
            .filter(|_| self.conversation.phase().is_open());
        let entry = listening.map(|user| &*user.entry);
        tokio::select! {
            received = self.link.receive() => Event::Received(received),
            () = woken(entry) => Event::Woken,
            () = self.alarm.at(deadline) => Event::Timeout,
            ending = self.endings.next() => Event::Ending(ending),
        }
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Received(Ok(received)) => self.receive(received, now),
            Event::Received(Err(error)) => {
                tracing::debug!(%error, transport = self.link.transport().name(), "link lost");
                self.conversation.handle_input(Input::LinkClosed, now);
            }
            Event::Woken => self.take_news(now),
            Event::Timeout => {
                self.conversation.handle_timeout(now);
                self.send_copy(now);
            }
            Event::Ending(Ending::Drain) => {
                // A client that is not admitted yet goes elsewhere at once: it need not be spread.
                let retry_after_ms = match &self.user {
                    Some(_) => random::below(self.node.spread_ms()),
                    None => self.refusal(CloseCode::GOING_AWAY).retry_after_ms,
                };
                let goaway = GoAway {
                    retry_after_ms,
                    endpoint: None,
                };
                self.conversation.handle_input(Input::Drain(goaway), now);
            }
            Event::Ending(Ending::Halt) => {
                let retry_after_ms = random::below(HALT_SPREAD_MS);
                let bye = Bye {
                    retry_after_ms,
                    ..bye(CloseCode::GOING_AWAY)
                };
                self.conversation.handle_input(Input::Close(bye), now);
            }
        }
    }

    fn receive(&mut self, received: Received, now: Instant) {
        let input = match &received {
            Received::Live(bytes) => Input::LiveBytes(bytes),
            Received::Bulk(bytes) => Input::BulkBytes(bytes),
            Received::BulkEnded => Input::BulkEnded,
            Received::Datagram(bytes) => {
                if !self.pace(|pace| pace.take_datagram(now)) {
                    return self.node.env().metrics.count_refusal("datagrams");
                }
                Input::Datagram(bytes)
            }
            Received::Control => return self.charge_frames(1),
            Received::Message(bytes) => Input::Message(bytes.clone()),
            Received::Violation(code) => Input::Close(bye(*code)),
        };
        self.conversation.handle_input(input, now);
    }

    /// Takes the news that other parts have left for the client. Closes when the user has another
    /// connection now, or the account no longer exists.
    fn take_news(&mut self, now: Instant) {
        let Some(user) = &self.user else { return };
        match user.entry.take_news(user.id) {
            Ok(pushes) => {
                for push in pushes {
                    match push {
                        Push::Frame(frame) => self.write(Lane::Live, &frame),
                        Push::Matched(ticket, chat) => self.follow_match(ticket, chat),
                    }
                }
            }
            Err(code) => self.conversation.handle_input(Input::Close(bye(code)), now),
        }
    }

    /// Gathers everything that the client does not know yet; returns whether more is waiting.
    async fn pull(&mut self) -> bool {
        let Some(user) = &mut self.user else {
            return false;
        };
        let mut frames = Vec::new();
        for ended in &mut user.settling {
            ended.pull_acks(&mut self.live, &mut frames);
        }
        user.settling.retain(|ended| ended.unacked() > 0);
        let pulled = match &mut user.following {
            Some(following) => {
                let chats = self.node.chats();
                following.pull(chats, &mut self.live, &mut frames).await
            }
            None => Pulled::All,
        };
        for frame in frames {
            self.write(frame.lane(), &frame);
        }
        if pulled == Pulled::Void {
            let bye = bye(CloseCode::RESUME);
            self.conversation
                .handle_input(Input::Close(bye), Instant::now());
        }
        pulled != Pulled::All
    }

    /// Appends a frame to the next write; a signal is sent as a datagram if the transport has
    /// datagrams.
    fn write(&mut self, lane: Lane, frame: &ServerFrame) {
        match lane {
            Lane::Datagram if self.link.send_datagram(frame.encode_datagram()) => {}
            Lane::Bulk => frame.encode_into(&mut self.bulk),
            Lane::Live | Lane::Datagram => frame.encode_into(&mut self.live),
        }
    }

    /// Writes the gathered bytes. If the peer does not accept them in time, the connection is
    /// closed.
    async fn flush(&mut self) -> Result<(), LinkError> {
        for lane in [Lane::Live, Lane::Bulk] {
            let frames = match lane {
                Lane::Bulk => std::mem::take(&mut self.bulk),
                _ => std::mem::take(&mut self.live),
            };
            if frames.is_empty() {
                continue;
            }
            let frames = Bytes::from(frames);
            let has_copies = lane == Lane::Live && self.copies.is_some();
            let copied = has_copies.then(|| frames.clone());
            self.send(lane, frames).await?;
            if let Some(copied) = copied {
                self.note_written(&copied);
            }
        }
        Ok(())
    }

    /// Schedules copies of the bytes if the link loses packets.
    fn note_written(&mut self, frames: &[u8]) {
        let Some(copies) = &mut self.copies else {
            return;
        };
        let now = Instant::now();
        if copies.wants_path(now)
            && let Some(path) = self.link.path()
        {
            copies.observe(path, now);
        }
        copies.wrote(frames, now);
    }

    fn send_copy(&mut self, now: Instant) {
        let copy = self.copies.as_mut().and_then(|copies| copies.take(now));
        if let Some(copy) = copy {
            self.link.send_datagram(envelope::encode_datagram(&copy));
        }
    }

    /// The close code for the transport; `None` when the link ended before anything was decided.
    fn close_code(&self) -> Option<CloseCode> {
        self.given_up.or(self.conversation.close_code())
    }

    async fn send(&mut self, lane: Lane, frames: Bytes) -> Result<(), LinkError> {
        match timeout(SLOW_DEADLINE, self.link.send(lane, frames)).await {
            Ok(sent) => sent,
            Err(_) => {
                self.given_up = Some(CloseCode::SLOW);
                self.conversation
                    .handle_input(Input::LinkClosed, Instant::now());
                Err(LinkError::new(CloseCode::SLOW))
            }
        }
    }
}

async fn woken(entry: Option<&UserEntry>) {
    match entry {
        Some(entry) => entry.woken().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
