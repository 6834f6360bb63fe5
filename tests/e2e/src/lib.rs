//! What end-to-end tests share: the real server as a process of its own, people who use it, and
//! waiting with a deadline.
//!
//! A test says what it expects; nothing here retries an operation. [`TestServer`] ends its process
//! when it is dropped.

#![forbid(unsafe_code)]

mod cluster;
mod disk;
mod people;
mod server;

use std::{future::Future, time::Duration};

pub use self::{
    cluster::Cluster,
    people::{Person, matched_pair, pair_over},
    server::{ServerOptions, Stderr, TestServer, binary},
};

/// How long anything may take in a test before it counts as not happening. Generous: machines that
/// run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The outcome of `future`, which must come.
///
/// # Panics
/// When it does not come within [`PATIENCE`]; says what was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Waits until `probe` returns something, asking again every few milliseconds: for states that can
/// only be asked for.
///
/// # Panics
/// When it does not within [`PATIENCE`]; says what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    within(what, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
    })
    .await
}
