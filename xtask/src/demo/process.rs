//! The processes of the demo: servers that say when they are ready, and what happens to all of them as one
//! row of events.
//!
//! Each process has a group of its own, so that a Ctrl-C in the terminal reaches it once and through us.
//! Nothing here outlives the demo: what is dropped is ended.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use anyhow::{Context as _, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Events that wait to be looked at; a server that prints more waits meanwhile.
const EVENTS_MAX: usize = 64;

/// What can happen while the demo runs.
pub(super) enum Event {
    /// A server printed a line.
    Line(String),
    /// A server closed its output, as it does when it ends.
    Ended,
    /// Ctrl-C, a request to terminate, or a terminal that was closed.
    Stop,
}

/// The events of all servers and of the person at the terminal, in order.
pub(super) struct Events {
    sender: SyncSender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    /// From now on Ctrl-C is an event and ends nothing by itself.
    ///
    /// # Errors
    /// When signals cannot be taken.
    pub(super) fn new() -> anyhow::Result<Self> {
        let (sender, receiver) = sync_channel(EVENTS_MAX);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let stop = sender.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                // Nobody listens any more: the demo is over.
                if stop.send(Event::Stop).is_err() {
                    return;
                }
            }
        });
        Ok(Self { sender, receiver })
    }

    /// The next one, when it happens.
    ///
    /// # Errors
    /// Never while this value lives: it can send to itself.
    pub(super) fn next(&mut self) -> anyhow::Result<Event> {
        self.receiver.recv().context("there are no more events")
    }

    /// Makes events of what a process prints.
    fn listen_to(&self, stdout: ChildStdout) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(Event::Line(line)).is_err() {
                    return;
                }
            }
            drop(sender.send(Event::Ended));
        });
    }
}

/// What the server printed when it was ready: `ready http=… webtransport=… …`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ready {
    /// Where the page and REST are.
    pub(super) http: String,
    /// Where WebTransport is.
    pub(super) webtransport: String,
}

/// A server that is ready. Dropping it kills it.
pub(super) struct Server {
    child: Option<Child>,
    pub(super) ready: Ready,
}

impl Server {
    /// Starts it and waits until it is ready, passing its lines on; `None` when it was to stop before.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it is ready.
    pub(super) fn start(mut command: Command, events: &mut Events) -> anyhow::Result<Option<Self>> {
        detach(&mut command);
        command.stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the server")?;
        events.listen_to(child.stdout.take().context("the server's output is ours")?);
        let mut server = Self {
            child: Some(child),
            ready: Ready::default(),
        };
        loop {
            match events.next()? {
                Event::Stop => return Ok(None),
                Event::Ended => bail!("a server did not start"),
                Event::Line(line) => match parse_ready(&line) {
                    Some(ready) => {
                        server.ready = ready;
                        return Ok(Some(server));
                    }
                    None => println!("{line}"),
                },
            }
        }
    }

    /// Asks it to stop and waits for it.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub(super) fn shut_down(mut self) -> anyhow::Result<()> {
        self.child.take().map_or(Ok(()), shut_down)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Gives the process a group of its own and no input.
pub(super) fn detach(command: &mut Command) {
    command.stdin(Stdio::null()).process_group(0);
}

/// Asks the process to stop and waits for it.
///
/// # Errors
/// When it does not end with 0.
pub(super) fn shut_down(mut child: Child) -> anyhow::Result<()> {
    if child.try_wait()?.is_none() {
        // std sends no signal other than SIGKILL.
        let id = child.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status();
        kill.context("cannot run `kill`")?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("it did not stop cleanly: {status}");
    }
    Ok(())
}

fn parse_ready(line: &str) -> Option<Ready> {
    let fields = line.strip_prefix("ready ")?;
    let field = |name: &str| {
        let mut pairs = fields
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    Some(Ready {
        http: field("http")?,
        webtransport: field("webtransport").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_ready_when_it_says_so_and_stops_when_it_is_asked() {
        let mut events = Events::new().unwrap();
        let script =
            "trap 'exit 0' TERM; echo hello; echo ready http=a; while :; do sleep 0.01; done";
        let server = Server::start(shell(script), &mut events).unwrap().unwrap();
        assert_eq!(server.ready.http, "a");
        server.shut_down().unwrap();
    }

    #[test]
    fn a_server_that_ends_before_is_an_error() {
        let mut events = Events::new().unwrap();
        assert!(Server::start(shell("echo hello"), &mut events).is_err());
    }

    #[test]
    fn the_ready_line_is_read_by_field() {
        let ready =
            parse_ready("ready http=http://127.0.0.1:8080 webtransport=https://localhost:4433 x=y");
        let expected = Ready {
            http: "http://127.0.0.1:8080".to_owned(),
            webtransport: "https://localhost:4433".to_owned(),
        };
        assert_eq!(ready, Some(expected));
        assert_eq!(parse_ready("INFO ready http=http://x"), None);
        assert_eq!(parse_ready("ready soon"), None);
    }
}
