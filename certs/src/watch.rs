//! Keeps an identity fresh while the server runs: one thread that looks once per interval.
//!
//! It compares contents rather than waiting for file events, because events are lost across mounted
//! secrets, renamed folders and network file systems, and two small files cost nothing to read.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use tracing::{info, warn};

use crate::{Identity, Refreshed};

/// A running watch over an identity; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    /// Dropped first: this tells the thread to end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks at once and then every `interval` (one second is a good choice), and logs every change
    /// and every failure once.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(identity: Identity, interval: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("certificates".to_owned())
            .spawn(move || {
                loop {
                    look(&identity);
                    if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by its own hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn look(identity: &Identity) {
    match identity.refresh(SystemTime::now()) {
        Ok(Refreshed::Unchanged) => {}
        Ok(Refreshed::Replaced(hash)) => info!(%hash, "certificate replaced"),
        Err(error) => warn!(%error, "certificate not replaced; the one in force stays"),
    }
}
