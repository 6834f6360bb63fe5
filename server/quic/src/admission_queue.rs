//! The queue of clients that want to connect: all of them come at once after a restart.
//!
//! A handshake is the most expensive request a client can make, and a socket holds only some hundred
//! packets. So handshakes begin one after the other, and the endpoint reads its socket in between. A bounded
//! number of them is under way; all other clients wait, at the cost of one packet each. Once admitted, a
//! client finishes before its retransmission timer fires, and no first packet is lost: its sender would
//! try again only seconds later.

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

/// Handshakes that are under way at one time, some 50 KB each. A client that begins one and goes silent
/// holds it until its deadline, hence so many. All others wait in the queue.
const HANDSHAKES_MAX: usize = 4_096;

/// How long a client waits for its turn: after that it tries another node, or this one again.
const TURN_DEADLINE: Duration = Duration::from_secs(8);

/// From this many clients on, waiting or in their handshake, a new one has to prove its address with a
/// Retry (RFC 9000 §8.1.2): a forged address then costs one packet instead of a handshake.
const RETRY_FROM: usize = 256;

/// From this many on, new clients are ignored: even a refusal would cost a packet. quinn keeps no more of
/// them either before they are accepted.
pub(crate) const IGNORE_FROM: usize = 16_384;

/// All clients that are connecting: those that wait and those in their handshake. A clone is the same queue.
#[derive(Clone)]
pub struct AdmissionQueue {
    clients: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
    /// Held while a handshake begins.
    begins: Arc<Mutex<()>>,
}

/// The place of one client; counted until it is dropped.
pub struct Place(AdmissionQueue);

/// The turn of one client: its handshake counts as under way until this is dropped.
pub struct Turn {
    place: Place,
    _turn: OwnedSemaphorePermit,
}

impl Default for AdmissionQueue {
    fn default() -> Self {
        Self {
            clients: Arc::default(),
            turns: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            begins: Arc::default(),
        }
    }
}

impl AdmissionQueue {
    /// Whether there are so many clients that a new one has to prove its address first.
    pub fn is_long(&self) -> bool {
        self.count() >= RETRY_FROM
    }

    /// Whether there are so many clients that a new one is ignored.
    pub fn is_full(&self) -> bool {
        self.count() >= IGNORE_FROM
    }

    /// How many clients have a place.
    fn count(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Gives a place to one more client.
    pub fn join(&self) -> Place {
        self.clients.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }
}

impl Place {
    /// Waits for the turn; `None` when that takes longer than [`TURN_DEADLINE`].
    ///
    /// # Cancel safety
    /// Dropped, it gives up the place.
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
    /// Runs the expensive first step of a handshake, one client at a time, and lets the endpoint read its
    /// socket before the next one.
    ///
    /// # Cancel safety
    /// Dropped before `work` ran, it never runs.
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
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_long_queue_asks_for_a_proof_and_a_full_one_for_nothing() {
        let queue = AdmissionQueue::default();
        let mut places = Vec::new();
        let mut seen = Vec::new();
        for count in 1..=IGNORE_FROM {
            places.push(queue.join());
            if [RETRY_FROM - 1, RETRY_FROM, IGNORE_FROM - 1, IGNORE_FROM].contains(&count) {
                seen.push((queue.is_long(), queue.is_full()));
            }
        }
        assert_eq!(
            seen,
            [(false, false), (true, false), (true, false), (true, true)]
        );
        places.truncate(RETRY_FROM - 1);
        assert!(
            !queue.is_long() && !queue.is_full(),
            "a dropped place is free"
        );
    }

    #[tokio::test]
    async fn g10_so_many_handshakes_are_under_way_and_not_one_more() {
        let queue = AdmissionQueue::default();
        let mut turns = Vec::new();
        for _ in 0..HANDSHAKES_MAX {
            turns.push(queue.join().turn().await.expect("there is room"));
        }
        // Unconstrained, it waits for a turn and for nothing else: not for tokio's budget of polls.
        let mut next = Box::pin(tokio::task::unconstrained(queue.join().turn()));
        assert!(next.as_mut().now_or_never().is_none(), "it waits");
        turns.pop();
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn handshakes_begin_one_by_one_with_room_for_others_in_between() {
        let queue = AdmissionQueue::default();
        let first = queue.join().turn().await.expect("there is room");
        let second = queue.join().turn().await.expect("there is room");
        let steps = RefCell::new(Vec::new());
        let step = |name| steps.borrow_mut().push(name);
        let socket = async { step("socket") };
        tokio::join!(
            first.begin(|| step("first")),
            second.begin(|| step("second")),
            socket
        );
        assert_eq!(steps.into_inner(), ["first", "socket", "second"]);
    }
}
