//! A rush: everybody comes at once, as after a restart.
//!
//! A handshake is the dearest thing that a client can ask for, and a socket holds only some hundred
//! packets. So handshakes begin one after the other with a look at the socket in between, a bounded number
//! of them is under way, and everybody else waits, at the cost of one packet each: who is let in then is
//! done before it asks again, and no packet is lost that would bring its sender back seconds later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Handshakes that are under way at one time, some 50 KB each. Who began one and goes silent holds it until
/// its deadline, hence so many.
const HANDSHAKES_MAX: usize = 4_096;

/// How long a client waits for its turn: after that it asks elsewhere, or again.
const TURN_DEADLINE: Duration = Duration::from_secs(8);

/// Everybody who is coming in.
#[derive(Clone)]
pub struct AdmissionQueue {
    coming: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
    begins: Arc<Mutex<()>>,
}

/// One who is coming in; counts until it is dropped.
pub struct Place(AdmissionQueue);

/// One whose handshake is under way until this is dropped.
pub struct Turn {
    place: Place,
    _turn: OwnedSemaphorePermit,
}

impl AdmissionQueue {
    /// Nobody.
    pub fn new() -> Self {
        Self {
            coming: Arc::default(),
            turns: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            begins: Arc::default(),
        }
    }

    /// How many are coming in.
    pub fn count(&self) -> usize {
        self.coming.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn join(&self) -> Place {
        self.coming.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }
}

impl Place {
    /// Waits for the turn; `None` when that takes too long.
    pub async fn turn(self) -> Option<Turn> {
        let turn = timeout(TURN_DEADLINE, self.0.turns.clone().acquire_owned()).await;
        let turn = turn.ok()?.ok()?;
        Some(Turn {
            place: self,
            _turn: turn,
        })
    }
}

impl Turn {
    /// Does what is dear at the begin of a handshake, after the others who do so, and lets the socket be
    /// read before the next one.
    pub async fn begin<T>(&self, work: impl FnOnce() -> T) -> T {
        let begins = self.place.0.begins.clone();
        let begin = begins.lock().await;
        let done = work();
        tokio::task::yield_now().await;
        drop(begin);
        done
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::Relaxed);
    }
}
