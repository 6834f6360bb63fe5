//! The long-lived tasks of a node: all of them begin here, and none ends unnoticed.
//!
//! A task that panics, or ends before it was told to, raises the alarm of the node. The program then
//! drains and exits with an error, so that a supervisor starts the node again: a node without one of
//! its parts would look alive and serve nobody.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::alarm::Alarm;

/// The long-lived tasks of a node.
#[derive(Default)]
pub(super) struct WatchedTasks {
    tracker: TaskTracker,
    alarm: Alarm,
}

impl WatchedTasks {
    /// Runs a task that must not end before `stop` is cancelled.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (alarm, stop) = (self.alarm.clone(), stop.clone());
        self.tracker.spawn(async move {
            // The alarm ends the node, so nothing goes on with a state that a panic has left.
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::error!(task = name, "a part of the node ended by itself"),
                Err(_) => tracing::error!(task = name, "a part of the node panicked"),
            }
            alarm.raise(name);
        });
    }

    /// The alarm that they raise.
    pub(super) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// From now on [`Self::wait`] returns when all have ended.
    pub(super) fn close(&self) {
        self.tracker.close();
    }

    /// Waits until all have ended.
    pub(super) async fn wait(&self) {
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_too_early_raises_the_alarm_with_its_name() {
        for (name, is_panic) in [("panics", true), ("ends", false)] {
            let (tasks, stop) = (WatchedTasks::default(), CancellationToken::new());
            tasks.spawn("other", &stop, std::future::pending());
            tasks.spawn(name, &stop, async move {
                assert!(!is_panic, "this panic belongs to the test");
            });
            assert_eq!(tasks.alarm().raised().await, name);
            tasks.alarm().raise("later");
            assert_eq!(tasks.alarm().about(), Some(name), "the first one counts");
        }
    }

    #[tokio::test]
    async fn a_task_that_ends_when_it_is_told_to_raises_no_alarm() {
        let (tasks, stop) = (WatchedTasks::default(), CancellationToken::new());
        tasks.spawn("obedient", &stop, stop.clone().cancelled_owned());
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(tasks.alarm().about(), None);
    }
}
