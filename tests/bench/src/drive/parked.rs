//! Keeps connections open while others are still being opened: a client that is silent for 50 s is
//! closed.

use anyhow::Context as _;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, interval_at},
};

use super::{KEEP_ALIVE, Peer};
use crate::{
    dialect::{Dialect, Event},
    wire::Wire,
};

/// A value with a connection.
pub trait Connected {
    /// The connection and its dialect.
    fn parts(&mut self) -> (&mut Wire, &mut dyn Dialect);
}

impl Connected for Peer {
    fn parts(&mut self) -> (&mut Wire, &mut dyn Dialect) {
        (&mut self.wire, self.dialect.as_mut())
    }
}

/// A connection that is kept open until it is taken. Dropped, it is closed.
pub struct Parked<C> {
    release: oneshot::Sender<()>,
    task: AbortOnDrop<C>,
}

struct AbortOnDrop<C>(JoinHandle<anyhow::Result<C>>);

impl<C> Drop for AbortOnDrop<C> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<C: Connected + 'static> Parked<C> {
    /// Keeps a connection open from now on, in a task of its own.
    pub fn new(connected: C) -> Self {
        let (release, released) = oneshot::channel();
        let task = AbortOnDrop(tokio::task::spawn_local(stay(connected, released)));
        Self { release, task }
    }

    /// Whether the connection broke.
    pub fn is_broken(&self) -> bool {
        self.task.0.is_finished()
    }

    /// The connection, to be used.
    ///
    /// # Errors
    /// When it broke; the message says why.
    pub async fn take(mut self) -> anyhow::Result<C> {
        // When nobody waits for it, the task has ended and gives the reason.
        let _ = self.release.send(());
        (&mut self.task.0)
            .await
            .context("a parked connection was given up")?
    }
}

async fn stay<C: Connected>(
    mut connected: C,
    mut released: oneshot::Receiver<()>,
) -> anyhow::Result<C> {
    let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let mut events = Vec::new();
    loop {
        let (wire, dialect) = connected.parts();
        tokio::select! {
            _ = &mut released => return Ok(connected),
            bytes = wire.receive() => {
                dialect.receive(&bytes?, &mut events)?;
                for event in events.drain(..) {
                    match event {
                        Event::Reply(bytes) => wire.send(bytes).await?,
                        Event::Ended(why) => anyhow::bail!(why),
                        // Nobody sends messages yet.
                        _ => {}
                    }
                }
            }
            _ = keep_alive.tick() => {
                if let Some(bytes) = dialect.keep_alive() {
                    wire.send(bytes).await?;
                }
            }
        }
    }
}
