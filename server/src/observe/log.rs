//! The log on standard error. It may lose lines, but it never stops, delays or ends a part of the node.
//!
//! A line goes into a queue ([`LINES_MAX`]), and a thread of its own writes it. A line that does not fit,
//! because nobody reads standard error any more, or that cannot be written, because the disk is full
//! or the reader is gone, is dropped and counted ([`Log::publish`]). Panics become lines too
//! ([`Log::watch_panics`]). Start reading at [`Log::start`].

use std::{
    io::{self, IsTerminal as _, Write},
    panic::{self, PanicHookInfo},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use nowrong_base::metrics::{Counter, Metrics};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{LogFormat, LogLevel, LogSettings};

/// Most lines that wait for the thread: some seconds of a node in trouble, about 200 KB.
const LINES_MAX: usize = 1_024;

/// How long the end of the process waits for the last lines.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// Pause between two attempts to find room in a full queue, at the end of the process only.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);

/// The log of this process.
pub struct Log {
    lines: Lines,
    panics: Counter,
    set_level: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl Log {
    /// Starts the thread, and takes the lines of all `tracing` calls from now on. Once per process.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(settings: LogSettings) -> io::Result<Self> {
        let lines = Lines::start(io::stderr())?;
        let builder = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(shows_colours())
            // It would report its own failures with `eprintln!`, which panics when that fails too.
            .log_internal_errors(false);
        let filter = EnvFilter::new(settings.directives());
        let set_level: Box<dyn Fn(EnvFilter) + Send + Sync> = match settings.format {
            LogFormat::Text => {
                let builder = builder.with_env_filter(filter).with_filter_reloading();
                let handle = builder.reload_handle();
                builder.init();
                Box::new(move |filter: EnvFilter| {
                    let _ = handle.reload(filter);
                })
            }
            LogFormat::Json => {
                let builder = builder.json().with_env_filter(filter);
                let builder = builder.with_filter_reloading();
                let handle = builder.reload_handle();
                builder.init();
                Box::new(move |filter: EnvFilter| {
                    let _ = handle.reload(filter);
                })
            }
        };
        Ok(Self {
            lines,
            panics: Counter::default(),
            set_level,
        })
    }

    /// From now on a panic of any thread is one line of this log, and counted. Its text is only
    /// written when it is part of the program: a formatted text may quote what people wrote.
    pub fn watch_panics(&self) {
        let panics = self.panics.clone();
        panic::set_hook(Box::new(move |panic| {
            panics.inc();
            let at = panic.location().map(ToString::to_string);
            let at = at.unwrap_or_default();
            tracing::error!(at, text = constant_text(panic), "a panic");
        }));
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: LogLevel) {
        let format = LogFormat::Text;
        (self.set_level)(EnvFilter::new(LogSettings { format, level }.directives()));
    }

    /// Adds the counts of the log to the metrics of the node.
    pub fn publish(&self, metrics: &Metrics) {
        let text = "Lines of the log that could not be written";
        metrics.count("log_lines_dropped", text, &self.lines.dropped);
        metrics.count("panics", "Panics of any thread", &self.panics);
    }

    /// Waits until the lines so far are written, for at most [`FLUSH_DEADLINE`].
    pub fn flush(&self) {
        let until = Instant::now() + FLUSH_DEADLINE;
        let (written, done) = sync_channel(1);
        let mut mark = Entry::Mark(written);
        while let Err(TrySendError::Full(again)) = self.lines.queue.try_send(mark) {
            if Instant::now() > until {
                return;
            }
            mark = again;
            thread::park_timeout(FLUSH_PAUSE);
        }
        // Late or never: the process ends without them.
        let _ = done.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Colours are for people who look at a terminal (<https://no-color.org>).
fn shows_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_set("NO_COLOR")
}

/// The text of a panic when it was written by the programmer, without anything put into it.
fn constant_text(panic: &PanicHookInfo<'_>) -> &'static str {
    let text = panic.payload().downcast_ref::<&'static str>();
    text.copied().unwrap_or("left out: it may quote data")
}

/// Something for the thread.
enum Entry {
    Line(Vec<u8>),
    /// Everything before it is written.
    Mark(SyncSender<()>),
}

/// The way into the queue. Writing to it never fails and never waits.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Entry>,
    dropped: Counter,
}

impl Lines {
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(LINES_MAX);
        let dropped = Counter::default();
        let lost = dropped.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&entries, out, &lost))?;
        Ok(Self { queue, dropped })
    }
}

impl Write for &Lines {
    /// The formatter hands over one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

fn write_all(entries: &Receiver<Entry>, mut out: impl Write, dropped: &Counter) {
    for entry in entries {
        match entry {
            Entry::Line(line) if out.write_all(&line).is_ok() => {}
            Entry::Line(_) => {
                dropped.inc();
            }
            Entry::Mark(written) => {
                // Nobody waits for it any more when this fails.
                let _ = written.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Standard error as it may be: it refuses, or waits forever, or works.
    enum Output {
        Full,
        Stuck(Receiver<()>),
        Good(Arc<Mutex<Vec<u8>>>),
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self {
                Self::Full => return Err(io::ErrorKind::StorageFull.into()),
                Self::Stuck(released) => {
                    let _ = released.recv();
                }
                Self::Good(written) => written.lock().unwrap().extend(bytes),
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(output: Output) -> Log {
        Log {
            lines: Lines::start(output).unwrap(),
            panics: Counter::default(),
            set_level: Box::new(|_| {}),
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_nothing_else() {
        let log = log(Output::Full);
        for _ in 0..3 {
            (&log.lines).write_all(b"a line\n").unwrap();
        }
        log.flush();
        assert_eq!(log.lines.dropped.get(), 3);
        let metrics = Metrics::default();
        log.publish(&metrics);
        let text = metrics.text();
        assert!(
            text.contains("nowrong_log_lines_dropped_total 3\n"),
            "{text}"
        );
    }

    #[test]
    fn a_reader_that_stopped_reading_delays_nobody() {
        let (release, released) = sync_channel::<()>(0);
        let log = log(Output::Stuck(released));
        let begun = Instant::now();
        for _ in 0..LINES_MAX + 10 {
            (&log.lines).write_all(b"a line\n").unwrap();
        }
        // The thread has taken at most one line out of the queue.
        assert!((9..=10).contains(&log.lines.dropped.get()));
        log.flush();
        assert!(begun.elapsed() < FLUSH_DEADLINE * 5);
        drop(release);
    }

    #[test]
    fn all_lines_are_there_after_a_flush_and_in_order() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = log(Output::Good(written.clone()));
        for number in 0..LINES_MAX {
            (&log.lines)
                .write_all(format!("{number}\n").as_bytes())
                .unwrap();
        }
        log.flush();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let expected: Vec<String> = (0..LINES_MAX).map(|number| number.to_string()).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(log.lines.dropped.get(), 0);
    }
}
