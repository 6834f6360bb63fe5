//! The generator: sends at the scheduled times, receives, and measures the time in between.
//!
//! One task for each connection, all on one thread, so that the account and the histograms need no
//! locks. The schedule is kept by a thread of its own (`pacer.rs`): tokio's timers are a millisecond
//! coarse. Start reading at [`load`].

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::{JoinSet, spawn_local},
    time::{interval_at, sleep, sleep_until},
};

use crate::{
    arrivals::Arrivals,
    dialect::{Dialect, Event},
    latencies::Latencies,
    ledger::{Account, Ledger},
    saturation::Effort,
    target::Running,
    wire::Wire,
    workload::{Workload, text_of},
};

mod pacer;
mod parked;
mod window;

pub use pacer::pace;
pub use parked::{Connected, Parked};
pub use window::{Snapshot, Window};

/// Messages that may wait for one connection. Further ones count as refused: the connection is
/// stuck, and the schedule must not wait for it.
const OUTBOX_MAX: usize = 256;

/// How often a silent client sends a keep-alive, as the SDK does.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The golden ratio: the fractional parts of its multiples are evenly distributed.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Pairs that are being connected at one time.
const CONNECTING_MAX: usize = 16;

/// Most time from the last message to its delivery and ack; later ones count as lost. It is longer
/// than the queue that an overloaded target may build up.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);

/// An open connection and its dialect.
pub struct Peer {
    /// The connection.
    pub wire: Wire,
    /// The dialect spoken on it.
    pub dialect: Box<dyn Dialect>,
}

/// The latencies of a run.
#[derive(Debug, Default)]
pub struct Figures {
    /// From the schedule to the receipt by the partner.
    pub delivery: Latencies,
    /// From the schedule to the ack.
    pub ack: Latencies,
    /// From the schedule to the socket: the generator's own lateness.
    pub lag: Latencies,
}

/// The results of a run.
pub struct Outcome {
    /// What became of all messages, including those of the warm-up.
    pub account: Account,
    /// Latencies of the measured time.
    pub figures: Figures,
    /// Resources used in the measured time.
    pub window: Window,
    /// Connections that broke, and why.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Whether the generator kept up.
    pub fn effort(&self) -> Effort {
        Effort {
            lag_p99: Duration::from_secs_f64(self.figures.lag.quantile_ms(0.99) / 1_000.0),
            cpu_share: self.window.generator_share(),
        }
    }

    /// All faults of the run.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.faults.clone();
        all.extend(self.account.complaint());
        all.extend(self.effort().complaint());
        all.extend(self.window.complaint());
        all
    }
}

/// Connects all people of the workload, in pairs and in order.
///
/// # Errors
/// The first person that could not be connected.
pub async fn connect_pairs(running: &dyn Running, users: u32) -> anyhow::Result<Vec<Peer>> {
    let pairs = stream::iter((0..users).step_by(2)).map(|first| async move {
        let pair = running.open_pair(first).await?;
        anyhow::Ok(pair.map(Parked::new))
    });
    let pairs: Vec<[Parked<Peer>; 2]> = pairs.buffered(CONNECTING_MAX).try_collect().await?;
    let mut peers = Vec::with_capacity(users as usize);
    for parked in pairs.into_iter().flatten() {
        peers.push(parked.take().await?);
    }
    Ok(peers)
}

/// Runs the workload on a running target.
///
/// # Errors
/// When a person cannot be connected, or the target ends. Messages that do not arrive are not
/// errors: they are in the account.
pub async fn load(running: &dyn Running, workload: &Workload) -> anyhow::Result<Outcome> {
    let peers = connect_pairs(running, workload.users).await?;
    load_on(running, peers, workload).await
}

/// As [`load`], for people who are already connected.
///
/// # Errors
/// When the target ends.
pub async fn load_on(
    running: &dyn Running,
    peers: Vec<Peer>,
    workload: &Workload,
) -> anyhow::Result<Outcome> {
    let run = Rc::new(Run::new(workload));
    let (mut tasks, outboxes) = run.clone().drive_all(peers);
    let sending = spawn_local(run.clone().send_all(outboxes));
    let window = run.measure(running).await?;
    // A connection ends with its outbox: messages under way still need them all.
    let outboxes = sending.await.context("the schedule was not kept")?;
    run.settle().await;
    drop(outboxes);
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    let run = Rc::into_inner(run).context("a connection is still driven")?;
    Ok(Outcome {
        account: run.ledger.into_inner().account(),
        figures: run.figures.into_inner(),
        window,
        faults: run.faults.into_inner(),
    })
}

/// A message that is due.
struct Due {
    number: u32,
    at: Duration,
}

/// One run of a workload.
struct Run {
    workload: Workload,
    started: Instant,
    ledger: RefCell<Ledger>,
    figures: RefCell<Figures>,
    /// Received in the measured time.
    delivered: Cell<u64>,
    faults: RefCell<Vec<String>>,
}

/// Time from the start of a run to time zero of its schedule, so that its tasks are ready.
const LEAD: Duration = Duration::from_millis(50);

impl Run {
    fn new(workload: &Workload) -> Self {
        Self {
            workload: *workload,
            started: Instant::now() + LEAD,
            ledger: RefCell::new(Ledger::new(workload.users)),
            figures: RefCell::default(),
            delivered: Cell::new(0),
            faults: RefCell::default(),
        }
    }

    fn drive_all(self: Rc<Self>, peers: Vec<Peer>) -> (JoinSet<()>, Vec<mpsc::Sender<Due>>) {
        let mut tasks = JoinSet::new();
        let mut outboxes = Vec::with_capacity(peers.len());
        for (user, peer) in (0..).zip(peers) {
            let (outbox, due) = mpsc::channel(OUTBOX_MAX);
            tasks.spawn_local(self.clone().drive(user, peer, due));
            outboxes.push(outbox);
        }
        (tasks, outboxes)
    }

    /// Hands out messages at the scheduled times; returns the outboxes so that connections stay
    /// open.
    async fn send_all(self: Rc<Self>, outboxes: Vec<mpsc::Sender<Due>>) -> Vec<mpsc::Sender<Due>> {
        let Workload {
            rate, users, seed, ..
        } = self.workload;
        let arrivals = Arrivals::new(rate, users, self.workload.length(), seed);
        let mut batches = pace(arrivals, self.started);
        while let Some(batch) = batches.recv().await {
            for arrival in batch {
                let number = self.ledger.borrow_mut().send(arrival.user, arrival.at);
                let due = Due {
                    number,
                    at: arrival.at,
                };
                let sent = outboxes[arrival.user as usize].try_send(due);
                if let Err(TrySendError::Full(due) | TrySendError::Closed(due)) = sent {
                    self.ledger.borrow_mut().refuse(due.number);
                }
            }
        }
        outboxes
    }

    /// Resources used from the end of the warm-up to the end of the schedule.
    async fn measure(&self, running: &dyn Running) -> anyhow::Result<Window> {
        sleep_until((self.started + self.workload.warm_up).into()).await;
        let before = Snapshot::take(running, self.delivered.get())?;
        sleep_until((self.started + self.workload.length()).into()).await;
        let after = Snapshot::take(running, self.delivered.get())?;
        Ok(after.since(&before))
    }

    /// Waits for messages that are still under way.
    async fn settle(&self) {
        let deadline = Instant::now() + SETTLE_DEADLINE;
        while !self.ledger.borrow().is_settled() && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn drive(self: Rc<Self>, user: u32, mut peer: Peer, mut due: mpsc::Receiver<Due>) {
        if let Err(error) = self.converse(user, &mut peer, &mut due).await {
            let mut faults = self.faults.borrow_mut();
            // A few reasons are enough; a broken target breaks thousands of connections.
            if faults.len() < 3 {
                faults.push(format!("connection {user}: {error:#}"));
            }
        }
    }

    async fn converse(
        &self,
        user: u32,
        peer: &mut Peer,
        due: &mut mpsc::Receiver<Due>,
    ) -> anyhow::Result<()> {
        let mut events = Vec::new();
        // As if each had last written at a different time.
        let silent_for = KEEP_ALIVE.mul_f64(f64::from(user) * GOLDEN % 1.0);
        let first = tokio::time::Instant::now() + KEEP_ALIVE - silent_for;
        let mut keep_alive = interval_at(first, KEEP_ALIVE);
        loop {
            tokio::select! {
                first = due.recv() => {
                    let Some(first) = first else { return Ok(()) };
                    keep_alive.reset();
                    self.send(peer, first).await?;
                    while let Ok(next) = due.try_recv() {
                        self.send(peer, next).await?;
                    }
                    peer.wire.flush().await?;
                }
                bytes = peer.wire.receive() => {
                    peer.dialect.receive(&bytes?, &mut events)?;
                    for event in events.drain(..) {
                        self.take(user, peer, event).await?;
                    }
                }
                _ = keep_alive.tick() => {
                    if let Some(bytes) = peer.dialect.keep_alive() {
                        peer.wire.send(bytes).await?;
                    }
                }
            }
        }
    }

    async fn send(&self, peer: &mut Peer, due: Due) -> anyhow::Result<()> {
        let text = text_of(due.number, self.workload.body_bytes);
        let bytes = peer.dialect.message(due.number, &text);
        self.record(due.at, |figures| &mut figures.lag);
        peer.wire.feed(bytes).await?;
        if let Some(request) = peer.dialect.ack_request() {
            peer.wire.feed(request).await?;
        }
        Ok(())
    }

    async fn take(&self, user: u32, peer: &mut Peer, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Delivered(number) => {
                self.delivered.set(self.delivered.get() + 1);
                let at = self.ledger.borrow_mut().deliver(number, user);
                if let Some(at) = at {
                    self.record(at, |figures| &mut figures.delivery);
                }
            }
            Event::Acked(number) => {
                let at = self.ledger.borrow_mut().ack(number);
                if let Some(at) = at {
                    self.record(at, |figures| &mut figures.ack);
                }
            }
            Event::Refused(number) => self.ledger.borrow_mut().refuse(number),
            Event::Reply(bytes) => peer.wire.send(bytes).await?,
            Event::Ended(why) => anyhow::bail!(why),
            Event::Frame(_) => {}
        }
        Ok(())
    }

    /// Counts the time since the message was due, unless that was in the warm-up.
    fn record(&self, at: Duration, which: impl FnOnce(&mut Figures) -> &mut Latencies) {
        if self.workload.is_measured(at) {
            let latency = Instant::now().saturating_duration_since(self.started + at);
            which(&mut self.figures.borrow_mut()).record(latency);
        }
    }
}
