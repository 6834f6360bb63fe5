//! The signals that the server listens to. None of them ends it in the middle of something.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// To drain and end: SIGTERM, SIGINT.
    Stop,
    /// To read again what can change: SIGHUP.
    Reload,
}

/// The signals of this process, from [`Self::listen`] on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// SIGUSR1 and SIGUSR2 mean nothing here. Who sends them expects a log file to be opened again or
    /// a dump, and would end the process, as this is what they do when nobody listens.
    meaningless: [Signal; 2],
    /// SIGXFSZ: a file has reached a limit of this process. The write fails, and is handled as one on a
    /// full disk; without a listener the signal would end the process.
    file_size: Signal,
}

/// Its number on Linux and macOS; not the same on every processor, where nothing changes then.
const SIGXFSZ: i32 = 25;

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            meaningless: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
            file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Waits for the next request.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Request {
        let [user1, user2] = &mut self.meaningless;
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Request::Stop,
                _ = self.interrupt.recv() => return Request::Stop,
                _ = self.hangup.recv() => return Request::Reload,
                _ = user1.recv() => {}
                _ = user2.recv() => {}
                _ = self.file_size.recv() => continue,
            }
            tracing::info!("SIGUSR1 and SIGUSR2 have no meaning here");
        }
    }
}
