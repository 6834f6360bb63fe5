//! The tasks of the broker that must not end before it does. A panic ends one step of such a task; then
//! it begins again.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;

/// Pause after a panic, so that a task that panics at once does not take a whole core.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs a task; `false` when it panicked and should begin again. The panic itself is logged by the
/// hook of the process.
pub(super) async fn has_ended(name: &'static str, task: impl Future<Output = ()>) -> bool {
    if AssertUnwindSafe(task).catch_unwind().await.is_ok() {
        return true;
    }
    tracing::error!(
        task = name,
        "a part of the broker panicked and begins again"
    );
    tokio::time::sleep(PAUSE).await;
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_begins_again() {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let task = async { assert!(rounds > 2, "this panic belongs to the test") };
            if has_ended("test", task).await {
                break;
            }
        }
        assert_eq!(rounds, 3);
    }
}
