//! What all people of a run share: the way in, the clock, the counts, and the word to be quiet.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use nowrong_client::Api;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio_util::sync::CancellationToken;

/// REST clients that people share: each keeps connections of its own, and one for each person would
/// be a pool for each person.
const APIS: usize = 16;

/// See the module.
pub struct Crew {
    apis: Vec<Api>,
    started: Instant,
    seed: u64,
    /// The longest pause between two messages of one person.
    pub pause_max: Duration,
    /// Set when the burst of the arrival is over: from then on it counts how long messages take.
    pub is_timing: AtomicBool,
    /// Cancelled when nobody shall begin anything new.
    pub quiet: CancellationToken,
    /// What happened so far.
    pub counts: Counts,
}

/// Sums over all people.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages that their sender was told are sent.
    pub told: Count,
    /// Matches, counted at each person.
    pub matched: Count,
    /// Tickets given up.
    pub cancelled: Count,
    /// Chats that a person left.
    pub parted: Count,
    /// Partners blocked.
    pub blocked: Count,
    /// People who went without a word, and came back.
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
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Crew {
    /// People who come in by this address.
    ///
    /// # Errors
    /// When it is no address.
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

    /// What a person decides by.
    pub fn random(&self, number: usize) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// One line on how things stand.
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
