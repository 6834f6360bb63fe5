//! Keeps the schedule: a thread that sleeps until the next arrival and hands over the messages that
//! are due.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::arrivals::Arrival;

/// Batches that may wait. When the generator is that far behind, the pacer waits for it; lateness
/// still counts from the schedule.
const BATCHES_MAX: usize = 1_024;

/// Arrivals this close are handed over with the one before: waking up costs about as much.
const GRAIN: Duration = Duration::from_micros(50);

/// Hands over the arrivals of a schedule that began at `started`, each batch when it is due. Ends
/// with the schedule, or when the receiver is dropped.
pub fn pace(
    arrivals: impl Iterator<Item = Arrival> + Send + 'static,
    started: Instant,
) -> mpsc::Receiver<Vec<Arrival>> {
    let (batches, receiver) = mpsc::channel(BATCHES_MAX);
    thread::spawn(move || keep(arrivals, started, &batches));
    receiver
}

fn keep(
    mut arrivals: impl Iterator<Item = Arrival>,
    started: Instant,
    batches: &mpsc::Sender<Vec<Arrival>>,
) {
    let mut next = arrivals.next();
    while let Some(first) = next {
        wait_until(started + first.at);
        let now = started.elapsed() + GRAIN;
        let mut batch = vec![first];
        next = loop {
            match arrivals.next() {
                Some(arrival) if arrival.at <= now => batch.push(arrival),
                later => break later,
            }
        };
        if batches.blocking_send(batch).is_err() {
            return;
        }
    }
}

fn wait_until(at: Instant) {
    loop {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // Nothing unparks it: this is a sleep that may end early.
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::Arrivals;

    #[test]
    fn everything_is_handed_over_in_order_and_never_early() {
        let arrivals = Arrivals::new(2_000.0, 2, Duration::from_millis(200), 1);
        let expected: Vec<_> = arrivals.clone().collect();
        let started = Instant::now();
        let mut batches = pace(arrivals, started);
        let mut handed = Vec::new();
        while let Some(batch) = batches.blocking_recv() {
            let now = started.elapsed() + GRAIN;
            assert!(batch.iter().all(|arrival| arrival.at <= now));
            handed.extend(batch);
        }
        assert_eq!(handed, expected);
    }
}
