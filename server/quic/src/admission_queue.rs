//! The queue of clients that want to connect: all of them come at once after a restart.
//!
//! A handshake is the most expensive request a client can make, and a socket holds only some hundred
//! packets. So handshakes begin one after the other, and the endpoint reads its socket in between. A bounded
//! number of them is under way; all other clients wait, at the cost of one packet each. Once admitted, a
//! client finishes before its retransmission timer fires, and no first packet is lost: its sender would
//! try again only seconds later.
//!
//! Turns and places are shared out by network ([`shares`](super::shares)): the next turn is for the network
//! that has least, and when none is left, the one that has most makes room. So clients that begin a handshake
//! and go silent keep nobody else out.

use std::{
    collections::HashMap,
    hash::RandomState,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use nowrong_base::lock::lock;
use tokio::{sync::Notify, time::timeout};

use super::shares::{Networks, Shares, Which, networks};

/// Handshakes that are under way at one time, some 75 KB each. All other clients wait in the queue.
const HANDSHAKES_MAX: usize = 2_048;

/// Clients that have their turn and did not begin yet: few, so that who comes last does not wait for all of them.
const BEGINNING_MAX: usize = 16;

/// Clients that wait at one time: each holds its first packet, some kilobytes.
const WAITING_MAX: usize = 8_192;

/// How long a client waits for its turn: after that it tries another node, or this one again.
const TURN_DEADLINE: Duration = Duration::from_secs(8);

/// Time for a handshake and what comes with it, when few are under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same when almost all turns are taken: enough for three round trips of a second each.
const PATIENCE_LEAST: Duration = Duration::from_secs(4);

/// From this many clients on, waiting or in their handshake, a new one has to prove its address with a
/// Retry (RFC 9000 §8.1.2): a forged address then costs one packet instead of a handshake.
const RETRY_FROM: usize = 256;

/// Most clients that quinn keeps before they are accepted: those that wait, and what comes meanwhile.
pub(crate) const INCOMING_MAX: usize = 2 * WAITING_MAX;

/// All clients that are connecting: those that wait and those in their handshake. A clone is the same queue.
#[derive(Clone, Default)]
pub struct AdmissionQueue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hasher: RandomState,
    state: Mutex<State>,
    /// Held while a handshake begins.
    begins: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    last: u64,
    clients: HashMap<u64, Client>,
    /// Those that have no turn yet, and those of them that asked for one.
    waiting: Shares,
    asking: Shares,
    turns: Shares,
    beginning: usize,
}

struct Client {
    networks: Networks,
    is_new: bool,
    stage: Stage,
    wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It holds a place.
    Waiting,
    /// It wants its turn.
    Asking,
    /// It has its turn.
    Beginning,
    /// Its handshake is under way.
    Begun,
}

/// Added to the numbers of clients that were not here before, where they wait: so the others go first.
const NEW: u64 = 1 << 63;

impl Client {
    /// Its place among those of its network that wait.
    fn order(&self, number: u64) -> u64 {
        number + if self.is_new { NEW } else { 0 }
    }
}

/// The place of one client; given up when it is dropped.
pub struct Place {
    queue: AdmissionQueue,
    number: u64,
    wake: Arc<Notify>,
}

/// The turn of one client: its handshake counts as under way until this is dropped.
pub struct Turn(Place);

impl AdmissionQueue {
    /// Whether there are so many clients that a new one has to prove its address first.
    pub fn is_long(&self) -> bool {
        lock(&self.0.state).clients.len() >= RETRY_FROM
    }

    /// Gives a place to one more client; `None` when there is none for its network. `is_new`: it does not
    /// have a token of an earlier connection; those that have one go first.
    pub fn join(&self, address: IpAddr, is_new: bool) -> Option<Place> {
        let networks = networks(&self.0.hasher, address);
        let wake = Arc::new(Notify::new());
        let mut state = lock(&self.0.state);
        if state.waiting.len() >= WAITING_MAX {
            let displaced = state.waiting.makes_room(&networks, Which::Last)?;
            state.remove(displaced & !NEW);
        }
        state.last += 1;
        let number = state.last;
        let client = Client {
            networks,
            is_new,
            stage: Stage::Waiting,
            wake: wake.clone(),
        };
        state.waiting.add(&networks, client.order(number));
        state.clients.insert(number, client);
        drop(state);
        Some(Place {
            queue: self.clone(),
            number,
            wake,
        })
    }
}

impl State {
    /// The stage of the client; `None` when it had to make room.
    fn stage(&self, number: u64) -> Option<Stage> {
        self.clients.get(&number).map(|client| client.stage)
    }

    /// The client wants its turn.
    fn ask(&mut self, number: u64) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.stage = Stage::Asking;
            self.asking.add(&client.networks, client.order(number));
            self.give_turns();
        }
    }

    /// The client has begun: another one may.
    fn begin(&mut self, number: u64) {
        let client = self.clients.get_mut(&number);
        if let Some(client) = client.filter(|client| client.stage == Stage::Beginning) {
            client.stage = Stage::Begun;
            self.beginning -= 1;
            self.give_turns();
        }
    }

    /// Gives turns to those that ask, as long as there are turns, or others make room.
    fn give_turns(&mut self) {
        while self.beginning < BEGINNING_MAX
            && let Some(next) = self.asking.next(Some(&self.turns))
            && self.give_turn(next & !NEW).is_some()
        {}
    }

    /// Gives the client its turn; `None` when there is none for its network.
    fn give_turn(&mut self, number: u64) -> Option<()> {
        let networks = self.clients.get(&number)?.networks;
        if self.turns.len() >= HANDSHAKES_MAX {
            let displaced = self.turns.makes_room(&networks, Which::First)?;
            self.forget(displaced);
        }
        let client = self.clients.get_mut(&number)?;
        client.stage = Stage::Beginning;
        client.wake.notify_one();
        let order = client.order(number);
        self.waiting.remove(&networks, order);
        self.asking.remove(&networks, order);
        self.turns.add(&networks, number);
        self.beginning += 1;
        Some(())
    }

    /// Removes a client, and gives its turn to the next one.
    fn remove(&mut self, number: u64) {
        self.forget(number);
        self.give_turns();
    }

    fn forget(&mut self, number: u64) {
        let Some(client) = self.clients.remove(&number) else {
            return;
        };
        let (networks, order) = (&client.networks, client.order(number));
        match client.stage {
            Stage::Waiting => self.waiting.remove(networks, order),
            Stage::Asking => {
                self.waiting.remove(networks, order);
                self.asking.remove(networks, order);
            }
            Stage::Beginning => {
                self.beginning -= 1;
                self.turns.remove(networks, number);
            }
            Stage::Begun => self.turns.remove(networks, number),
        }
        client.wake.notify_one();
    }
}

impl Place {
    /// Waits for the turn; `None` when that takes longer than [`TURN_DEADLINE`], or when the client has to
    /// make room for one of a smaller network.
    ///
    /// # Cancel safety
    /// Dropped, it gives up the place.
    pub async fn turn(self) -> Option<Turn> {
        lock(&self.queue.0.state).ask(self.number);
        let turn = timeout(TURN_DEADLINE, async {
            loop {
                match self.stage() {
                    Some(Stage::Waiting | Stage::Asking) => self.wake.notified().await,
                    stage => return stage,
                }
            }
        });
        turn.await.ok()??;
        Some(Turn(self))
    }

    fn stage(&self) -> Option<Stage> {
        lock(&self.queue.0.state).stage(self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.queue.0.state).remove(self.number);
    }
}

impl Turn {
    /// Runs the expensive first step of a handshake, one client at a time, and lets the endpoint read its
    /// socket before the next one.
    ///
    /// # Cancel safety
    /// Dropped before `work` ran, it never runs.
    pub async fn begin<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = self.0.queue.0.begins.lock().await;
        let done = work();
        lock(&self.0.queue.0.state).begin(self.0.number);
        tokio::task::yield_now().await;
        drop(begin);
        done
    }

    /// How long this handshake may take: the less, the more are under way.
    pub fn patience(&self) -> Duration {
        patience(lock(&self.0.queue.0.state).turns.len())
    }

    /// Returns when this handshake has to make room for one of a smaller network.
    pub async fn displaced(&self) {
        while self.0.stage().is_some() {
            self.0.wake.notified().await;
        }
    }
}

/// The time for a handshake when this many are under way: all of it up to a quarter of the turns.
fn patience(turns: usize) -> Duration {
    let calm = HANDSHAKES_MAX / 4;
    let crowd = turns.clamp(calm, HANDSHAKES_MAX) - calm;
    let less = (PATIENCE - PATIENCE_LEAST) * u32::try_from(crowd).unwrap_or(u32::MAX);
    PATIENCE - less / u32::try_from(HANDSHAKES_MAX - calm).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, net::Ipv4Addr};

    use futures_util::FutureExt as _;

    use super::*;

    fn network(number: usize) -> IpAddr {
        Ipv4Addr::from_bits((number << 8) as u32).into()
    }

    fn join(queue: &AdmissionQueue, number: usize) -> Place {
        queue.join(network(number), true).expect("there is room")
    }

    async fn turn(queue: &AdmissionQueue, number: usize) -> Turn {
        let turn = join(queue, number).turn().await.expect("there is room");
        lock(&queue.0.state).begin(turn.0.number);
        turn
    }

    /// A queue whose turns are all taken by one network.
    async fn full() -> (AdmissionQueue, Vec<Turn>) {
        let queue = AdmissionQueue::default();
        let mut turns = Vec::new();
        for _ in 0..HANDSHAKES_MAX {
            turns.push(turn(&queue, 1).await);
        }
        (queue, turns)
    }

    #[test]
    fn a_long_queue_asks_for_a_proof_and_a_full_one_takes_nobody_of_the_same_network() {
        let queue = AdmissionQueue::default();
        let mut places = Vec::new();
        for count in 1..=WAITING_MAX {
            places.push(join(&queue, 1));
            assert_eq!(queue.is_long(), count >= RETRY_FROM);
        }
        assert!(queue.join(network(1), true).is_none());
        places.truncate(RETRY_FROM - 1);
        assert!(!queue.is_long(), "a dropped place is free");
        assert!(queue.join(network(1), true).is_some());
    }

    #[tokio::test]
    async fn g10_so_many_handshakes_are_under_way_and_not_one_more() {
        let (queue, mut turns) = full().await;
        // Unconstrained, it waits for a turn and for nothing else: not for tokio's budget of polls.
        let mut next = Box::pin(tokio::task::unconstrained(join(&queue, 1).turn()));
        assert!(next.as_mut().now_or_never().is_none(), "it waits");
        turns.pop();
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn silent_handshakes_of_one_network_make_room_for_another() {
        let (queue, turns) = full().await;
        let mut waiting = Box::pin(join(&queue, 1).turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        let newcomer = turn(&queue, 2).now_or_never().expect("without waiting");
        assert!(turns[0].displaced().now_or_never().is_some(), "the oldest");
        assert!(turns[1].displaced().now_or_never().is_none());
        assert!(newcomer.displaced().now_or_never().is_none());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(newcomer);
        assert!(waiting.await.is_some(), "a turn that was given back");
    }

    #[tokio::test]
    async fn few_have_a_turn_and_did_not_begin_and_the_next_is_of_another_network() {
        let queue = AdmissionQueue::default();
        let mut turns = Vec::new();
        for _ in 0..BEGINNING_MAX {
            turns.push(join(&queue, 1).turn().await.expect("there is room"));
        }
        let mut waiting = Box::pin(join(&queue, 1).turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut newcomer = Box::pin(join(&queue, 2).turn());
        assert!(newcomer.as_mut().now_or_never().is_none());
        turns[3].begin(|| ()).await;
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(newcomer.now_or_never().flatten().is_some(), "it came last");
        drop(turns.pop());
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn those_that_wait_make_room_too() {
        let (queue, _turns) = full().await;
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| Box::pin(join(&queue, 1).turn()))
            .collect();
        for place in &mut waiting {
            assert!(place.as_mut().now_or_never().is_none());
        }
        assert!(queue.join(network(1), true).is_none());
        let newcomer = join(&queue, 2);
        let last = waiting.pop().expect("many wait");
        assert!(last.await.is_none(), "who came last is told");
        assert!(newcomer.turn().now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn who_was_here_before_goes_first() {
        let (queue, mut turns) = full().await;
        let mut stranger = Box::pin(join(&queue, 1).turn());
        assert!(stranger.as_mut().now_or_never().is_none());
        let known = queue.join(network(1), false).unwrap();
        let mut known = Box::pin(known.turn());
        assert!(known.as_mut().now_or_never().is_none());
        turns.pop();
        assert!(stranger.as_mut().now_or_never().is_none());
        assert!(known.now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn what_is_dropped_leaves_nothing() {
        let (queue, turns) = full().await;
        let waiting = join(&queue, 1).turn();
        let place = join(&queue, 3);
        drop((waiting, place, turns));
        let state = lock(&queue.0.state);
        let left = (state.turns.len(), state.waiting.len(), state.asking.len());
        let clients = (state.clients.len(), state.beginning);
        assert_eq!((left, clients), ((0, 0, 0), (0, 0)));
    }

    #[test]
    fn a_crowd_has_less_time() {
        assert_eq!(patience(0), PATIENCE);
        assert_eq!(patience(HANDSHAKES_MAX / 4), PATIENCE);
        assert_eq!(patience(HANDSHAKES_MAX), PATIENCE_LEAST);
        assert!((PATIENCE_LEAST..PATIENCE).contains(&patience(HANDSHAKES_MAX / 2)));
    }

    #[tokio::test]
    async fn handshakes_begin_one_by_one_with_room_for_others_in_between() {
        let queue = AdmissionQueue::default();
        let first = join(&queue, 1).turn().await.expect("there is room");
        let second = join(&queue, 1).turn().await.expect("there is room");
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
