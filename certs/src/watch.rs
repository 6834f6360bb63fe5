//! Keeps an identity fresh while the server runs: one thread that looks once per interval.
//!
//! It compares contents rather than waiting for file events, because events are lost across mounted
//! secrets, renamed folders and network file systems, and two small files cost nothing to read.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use tracing::{error, info, warn};

use crate::{Identity, Refreshed};

/// From this many days before the end of a certificate on, each day has a warning.
const WARN_DAYS: i64 = 14;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A running watch over an identity; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    /// Wakes the thread. Dropped first: this tells it to end.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks at once and then every `interval` (one second is a good choice), and logs every change,
    /// every failure once, and once a day that the certificate in use expires soon or has expired.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(identity: Identity, interval: Duration) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("certificates".to_owned())
            .spawn(move || {
                let mut warned_at = None;
                loop {
                    // What panics now may work with the next files; a panic is logged by its hook.
                    let once = || look(&identity, &mut warned_at);
                    let _ = catch_unwind(AssertUnwindSafe(once));
                    if woken.recv_timeout(interval) == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                }
            })?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Looks now, and not only when the interval is over.
    pub fn look_now(&self) {
        if let Some(wake) = &self.wake {
            // When it is full, the thread is about to look.
            let _: Result<(), TrySendError<()>> = wake.try_send(());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by its own hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn look(identity: &Identity, warned_at: &mut Option<i64>) {
    let now = SystemTime::now();
    match identity.refresh(now) {
        Ok(Refreshed::Unchanged) => {}
        Ok(Refreshed::Replaced(hash)) => info!(%hash, "certificate replaced"),
        Err(error) => warn!(%error, "certificate not replaced; the one in force stays"),
    }
    // A development certificate is renewed by itself.
    if identity.pinned_hash().is_none() {
        let days = identity.seconds_left(now).div_euclid(DAY_SECONDS);
        warn_of_end(days, warned_at);
    }
}

/// Says once for each number of days that the end is near.
fn warn_of_end(days: i64, warned_at: &mut Option<i64>) {
    let is_near = days < WARN_DAYS;
    let before = std::mem::replace(warned_at, is_near.then_some(days));
    if *warned_at == before {
        return;
    }
    match days {
        _ if !is_near => {}
        0.. => warn!(
            days,
            "`tls.cert` expires soon: put a new chain and its key into the files"
        ),
        _ => error!(
            "`tls.cert` has expired, and clients refuse it: put a new chain and its key into the files"
        ),
    }
}
