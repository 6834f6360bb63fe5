//! Shared by all people of a run: the address of the servers, the clock, the counts, and the signal
//! to be quiet.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use nowrong_client::Api;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio_util::sync::CancellationToken;

/// How many REST clients the people share: each client keeps a pool of connections, and one client
/// per person would mean one pool per person.
const APIS: usize = 16;

/// See the module.
pub struct Crew {
    apis: Vec<Api>,
    started: Instant,
    seed: u64,
    /// The longest pause between two messages of one person.
    pub pause_max: Duration,
    /// Set when the burst of arrivals is over: from then on the time that messages take is counted.
    pub is_timing: AtomicBool,
    /// Cancelled when nobody should begin anything new.
    pub quiet: CancellationToken,
    /// Counts of what has happened so far.
    pub counts: Counts,
}

/// Sums over all people.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages whose sender was told that they are sent.
    pub told: Count,
    /// Matches, counted at each person.
    pub matched: Count,
    /// Tickets given up.
    pub cancelled: Count,
    /// Chats that a person left.
    pub parted: Count,
    /// Partners blocked.
    pub blocked: Count,
    /// People who disappeared without a goodbye, and came back.
    pub vanished: Count,
    /// Connections opened again.
    pub reconnected: Count,
    /// Requests that failed and were tried again.
    pub refused: Count,
}

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The current count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Crew {
    /// A crew whose people use this address.
    ///
    /// # Errors
    /// When it is not an address.
    pub fn new(url: &str, seed: u64, pause_max: Duration) -> anyhow::Result<Self> {
        let apis: Result<Vec<_>, _> = (0..APIS).map(|_| Api::new(url)).collect();
        Ok(Self {
            apis: apis?,
            started: Instant::now(),
            seed,
            pause_max,
            is_timing: AtomicBool::new(false),
            quiet: CancellationToken::new(),
            counts: Counts::default(),
        })
    }

    /// The REST client of a person.
    pub fn api(&self, number: usize) -> &Api {
        &self.apis[number % self.apis.len()]
    }

    /// The time, as diaries have it.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// This time, as diaries have it; zero before the start.
    pub fn time_of(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// The random numbers behind a person's decisions.
    pub fn random(&self, number: usize) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// One line about the current state.
    pub fn summary(&self) -> String {
        let Counts {
            told,
            matched,
            cancelled,
            parted,
            blocked,
            vanished,
            reconnected,
            refused,
        } = &self.counts;
        let parts = [
            (told, "messages acked"),
            (matched, "matched"),
            (cancelled, "cancelled"),
            (parted, "left"),
            (blocked, "blocked"),
            (vanished, "vanished and back"),
            (reconnected, "reconnects"),
            (refused, "tried again"),
        ];
        let parts = parts.map(|(count, what)| format!("{} {what}", count.value()));
        parts.join(" · ")
    }
}
