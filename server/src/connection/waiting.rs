//! Events that a connection waits for besides its link, at little cost each time that it wakes for
//! other reasons.
//!
//! A `select!` polls everything that it waits for. [`Alarm`] moves its timer only when it fires or
//! must fire earlier, and [`Endings`] polls nothing until one of the endings has come.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use nowrong_base::dormant::Dormant;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// A timer for a deadline that mostly moves to a later time.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// When the timer fires.
    rings_at: Option<Instant>,
}

impl Alarm {
    /// One that is not set.
    pub(super) fn new() -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            rings_at: None,
        }
    }

    /// Resolves at the deadline; never resolves without one.
    ///
    /// # Cancel safety
    /// Dropped and called again, it waits for the deadline of the new call.
    pub(super) async fn at(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        loop {
            if self.rings_at.is_none_or(|at| deadline < at) {
                self.rings_at = Some(deadline);
                self.sleep.as_mut().reset(deadline.into());
            }
            self.sleep.as_mut().await;
            let has_come = self.rings_at.take().is_some_and(|at| deadline <= at);
            if has_come {
                return;
            }
        }
    }
}

/// An order to all connections of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Leave soon.
    Drain,
    /// Leave now.
    Halt,
}

/// The orders that have not been given yet; each is given at most once.
pub(super) struct Endings(Dormant<Ending>);

impl Endings {
    /// Each ending comes when its token is cancelled.
    pub(super) fn new(drain: CancellationToken, halt: CancellationToken) -> Self {
        let order = |token: CancellationToken, ending| {
            stream::once(async move {
                token.cancelled_owned().await;
                ending
            })
        };
        let drain = order(drain, Ending::Drain);
        Self(Dormant::new(stream::select(
            drain,
            order(halt, Ending::Halt),
        )))
    }

    /// The next order; never resolves when all have been given.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Ending {
        match self.0.next().await {
            Some(ending) => ending,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_alarm_rings_at_the_deadline_of_the_last_call() {
        let start = Instant::now();
        let after = |millis| Some(start + Duration::from_millis(millis));
        let mut alarm = Alarm::new();
        assert!(alarm.at(after(10)).now_or_never().is_none());
        assert!(alarm.at(None).now_or_never().is_none());
        alarm.at(after(30)).await;
        assert!(Some(Instant::now()) >= after(30), "it moved away");
        assert!(alarm.at(after(3_600_000)).now_or_never().is_none());
        alarm.at(after(40)).await;
        assert!(Some(Instant::now()) >= after(40), "it came nearer");
        alarm.at(after(0)).await;
    }

    #[tokio::test]
    async fn each_ending_comes_once() {
        let (drain, halt) = (CancellationToken::new(), CancellationToken::new());
        let mut endings = Endings::new(drain.clone(), halt.clone());
        assert!(endings.next().now_or_never().is_none());
        drain.cancel();
        assert_eq!(endings.next().await, Ending::Drain);
        assert!(endings.next().now_or_never().is_none());
        halt.cancel();
        assert_eq!(endings.next().await, Ending::Halt);
        assert!(endings.next().now_or_never().is_none());
    }
}
