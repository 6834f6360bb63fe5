//! Calls to the server: each a task of its own, within a deadline, and never too many.
//!
//! A task, because a caller may be dropped at any time and the driver's futures must be polled to
//! their end; a deadline, because a stopped server neither replies nor breaks the connection.

use std::{sync::Arc, time::Duration};

use nowrong_store::StoreError;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::fault::Fault;

/// Calls at once for each connection of the pool: enough that the pool is never idle while a call
/// waits, and few enough that they hold little memory. Further calls wait until their deadline.
const PER_CONNECTION: u32 = 4;

/// Why calls after `close` fail.
const CLOSED: &str = "it was closed";

/// Runs calls.
#[derive(Debug)]
pub(super) struct Calls {
    permits: Arc<Semaphore>,
    at_once_max: u32,
    timeout: Duration,
}

impl Calls {
    pub(super) fn new(connections_max: u32, timeout: Duration) -> Self {
        let at_once_max = connections_max.saturating_mul(PER_CONNECTION).min(1 << 20);
        Self {
            permits: Arc::new(Semaphore::new(at_once_max as usize)),
            at_once_max,
            timeout,
        }
    }

    /// Runs `work` to its end, or to the deadline, whether or not the caller still waits.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + self.timeout;
        let late = |_| StoreError::Unavailable(format!("no answer within {:?}", self.timeout));
        let permit = timeout_at(until, self.permits.clone().acquire_owned()).await;
        let permit = permit
            .map_err(late)?
            .map_err(|_| StoreError::Unavailable(CLOSED.to_owned()))?;
        let task = tokio::spawn(async move {
            let _permit = permit;
            timeout_at(until, work).await
        });
        match task.await {
            Ok(outcome) => Ok(outcome.map_err(late)??),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// Waits for running calls, at most their deadline, and refuses later ones.
    pub(super) async fn close(&self) {
        let until = Instant::now() + self.timeout;
        // Whether they ended in time or not: from here on there are no calls.
        let _ = timeout_at(until, self.permits.acquire_many(self.at_once_max)).await;
        self.permits.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_caller_does_not_stop_its_call() {
        let calls = Arc::new(Calls::new(1, Duration::from_secs(60)));
        let (started, begun) = tokio::sync::oneshot::channel();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (done, ended) = tokio::sync::oneshot::channel();
        let inner = calls.clone();
        let caller = tokio::spawn(async move {
            let work = async move {
                started.send(()).unwrap();
                gone.await.unwrap();
                done.send(()).unwrap();
                Ok(())
            };
            inner.run(work).await
        });
        begun.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn beyond_the_bound_calls_wait_and_all_end_at_their_deadline() {
        let calls = Arc::new(Calls::new(1, Duration::from_millis(300)));
        let never = || std::future::pending::<Result<(), Fault>>();
        let stuck: Vec<_> = (0..PER_CONNECTION)
            .map(|_| {
                let calls = calls.clone();
                tokio::spawn(async move { calls.run(never()).await })
            })
            .collect();
        while calls.permits.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let mut waiting = Box::pin(calls.run(async { Ok(()) }));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        for task in stuck {
            let error = task.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("within 300ms"), "{error}");
        }
        // Its own deadline is as long and began later, and now there is room.
        waiting.await.unwrap();
        calls.close().await;
        let error = calls.run(async { Ok(()) }).await.unwrap_err();
        assert!(error.to_string().contains(CLOSED), "{error}");
    }
}
