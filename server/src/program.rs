//! The program `nowrong`: reads the command line, starts the server, and stops it on SIGTERM or SIGINT.
//!
//! Nothing here fails because an output cannot be written: a closed standard output ends a command that
//! prints, and changes nothing for a running server.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    num::NonZero,
    path::Path,
    process::ExitCode,
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use crate::{
    config::{
        self, Config, Loaded, Tls,
        cli::{CategoriesAction, Cli, Command, Flags, MigrateAction},
    },
    observe::log::Log,
    server::{self, Running, Server},
    timekeeper::StoodAside,
};
use clap::Parser as _;
use tokio::runtime::Runtime;

mod dumps;
mod signals;

use signals::{Request, Signals};

/// How long a last sentence on standard error may take: its reader may have stopped reading.
const COMPLAINT_DEADLINE: Duration = Duration::from_secs(1);

/// The exit code of a node that stood aside because of its clock (`EX_TEMPFAIL` of sysexits): a
/// supervisor that starts it again does right, because each start looks at the clocks.
const STOOD_ASIDE: u8 = 75;

/// The exit code for arguments that cannot be read, as clap and most programs have it.
const MISUSED: u8 = 2;

/// Runs the program with the arguments and the environment of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // It quotes the arguments.
        Err(error) if error.use_stderr() => {
            complain(error.to_string().trim_end().to_owned());
            return ExitCode::from(MISUSED);
        }
        Err(help) => help.exit(),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The program that reads the output has seen enough, as in `nowrong config | head -1`.
            if !is_broken_pipe(&error) {
                complain(format!("nowrong: {}", sentence(&error)));
            }
            match error.is::<StoodAside>() {
                true => ExitCode::from(STOOD_ASIDE),
                false => ExitCode::FAILURE,
            }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(flags) => serve(&flags),
        Command::Config(flags) => say(&config::to_toml(&load(&flags)?.values)),
        Command::Migrate { action } => migrate(&action),
        Command::Categories(it) => match it.action {
            None => categories(&it.flags, None),
            Some(CategoriesAction::Import { file, flags }) => categories(&flags, Some(&file)),
        },
        Command::RotateKeys(flags) => rotate_keys(&flags),
        Command::Openapi => say(crate::api::openapi().trim_end()),
    }
}

/// The configuration; warnings go to standard error.
fn load(flags: &Flags) -> anyhow::Result<Loaded> {
    let loaded = config::load(flags, std::env::vars_os())?;
    for warning in &loaded.warnings {
        complain(format!("nowrong: warning: {warning}"));
    }
    Ok(loaded)
}

fn serve(flags: &Flags) -> anyhow::Result<()> {
    let refused = dumps::refuse();
    let Loaded {
        config, warnings, ..
    } = config::load(flags, std::env::vars_os())?;
    let log = start_log(&config)?;
    if let Err(error) = refused {
        tracing::warn!(%error, "the system may write the memory of this process to a disk if it dies: set its limit of core files to 0");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = runtime(&config)?;
    let served = runtime.block_on(run_server(flags, &config, &log));
    log.flush();
    served
}

async fn run_server(flags: &Flags, config: &Config, log: &Log) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let running = Server::start(config).await?;
    log.publish(running.metrics());
    say_what_runs(config, &running);
    if let Err(error) = announce(&running) {
        tracing::warn!(%error, "nobody reads the standard output of this process");
    }
    let failed = loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => break None,
                Request::Reload => reload(flags, &running, log),
            },
            part = running.failed() => break Some(anyhow::anyhow!(
                "a part of the node ended by itself ({part}), so the node has stopped: start it again; the log says more"
            )),
            aside = running.must_leave() => break Some(aside.into()),
        }
    };
    running.stop().await;
    failed.map_or(Ok(()), Err)
}

/// One line that says what runs where.
fn say_what_runs(config: &Config, running: &Running) {
    let addresses = running.addresses();
    let metrics = config.listen_metrics.map(|address| address.to_string());
    let certificate = match config.tls {
        Tls::Development { .. } => "development",
        Tls::Pem { .. } => "tls.cert",
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        role = config.role.as_str(),
        store = config.store_place(),
        broker = config.broker_place(),
        http = %running.http(),
        quic = running.quic().map(tracing::field::display),
        metrics,
        webtransport = addresses.webtransport.as_deref(),
        websocket = addresses.websocket,
        certificate,
        "started"
    );
}

/// Reads again what can change while the server runs: the certificate, and the level of the log.
fn reload(flags: &Flags, running: &Running, log: &Log) {
    running.reread_certificate();
    match config::load(flags, std::env::vars_os()) {
        Ok(loaded) => {
            let level = loaded.config.log.level;
            log.set_level(level);
            tracing::info!(
                log_level = level.as_str(),
                "SIGHUP: certificate and log level were read again; other keys count at the next start"
            );
        }
        Err(error) => {
            tracing::warn!(%error, "SIGHUP: the configuration cannot be used; what is in force stays");
        }
    }
}

#[cfg(not(feature = "mongodb"))]
fn migrate(_action: &MigrateAction) -> anyhow::Result<()> {
    anyhow::bail!(
        "this program was built without its feature `mongodb`: there is nothing to migrate"
    )
}

#[cfg(feature = "mongodb")]
fn migrate(action: &MigrateAction) -> anyhow::Result<()> {
    use crate::config::StoreChoice;
    use nowrong_store::wrapping::NoDayKeys;
    use nowrong_store_mongodb::{
        MongoStore,
        migration::{self, State},
    };
    let (MigrateAction::Up(flags) | MigrateAction::Down(flags) | MigrateAction::Status(flags)) =
        action;
    let config = load(flags)?.config;
    let StoreChoice::MongoDb(options) = &config.store else {
        anyhow::bail!(
            "`store` is embedded: it keeps its own structure up to date, there is nothing to migrate"
        );
    };
    let log = start_log(&config)?;
    let migrated: anyhow::Result<()> = runtime(&config)?.block_on(async {
        let store = MongoStore::open(options, std::sync::Arc::new(NoDayKeys)).await?;
        let database = store.database();
        match action {
            MigrateAction::Up(_) => {
                migration::up(database).await?;
            }
            MigrateAction::Down(_) => {
                migration::down(database).await?;
            }
            MigrateAction::Status(_) => {}
        }
        for step in migration::status(database).await? {
            let state = match step.state {
                State::Done => "done",
                State::Pending => "pending",
                State::NotNeeded => "only for sharded clusters",
            };
            say(&format!("{} {}: {state}", step.number, step.name))?;
        }
        Ok(())
    });
    log.flush();
    migrated
}

/// Makes a new signing key, in the data folder or in the store that nodes share.
fn rotate_keys(flags: &Flags) -> anyhow::Result<()> {
    let config = load(flags)?.config;
    let log = start_log(&config)?;
    let rotated = runtime(&config)?.block_on(server::rotate_keys(&config));
    log.flush();
    say(match rotated? {
        true => {
            "a new signing key is stored: it signs in 5 minutes, and 10 minutes later no older one counts"
        }
        false => "nothing was changed: the newest signing key does not sign yet",
    })
}

/// Prints the categories in force, or puts those of a file into the database.
fn categories(flags: &Flags, file: Option<&Path>) -> anyhow::Result<()> {
    let config = load(flags)?.config;
    let log = start_log(&config)?;
    let text = runtime(&config)?.block_on(async {
        match file {
            None => server::show(&config).await,
            Some(file) => {
                let changes = server::import(&config, file).await?;
                Ok(format!(
                    "stored; each node takes them at its next start. Changed: {changes}"
                ))
            }
        }
    });
    log.flush();
    say(text?.trim_end())
}

/// The runtime. On one core it has no worker threads, and so no cost of handing work over.
fn runtime(config: &Config) -> io::Result<Runtime> {
    use tokio::runtime::Builder;
    let threads = config.threads.or(thread::available_parallelism().ok());
    let mut builder = match threads.map(NonZero::get) {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads.get());
    }
    builder.enable_all().build()
}

/// What every command needs that works with servers: the log, and the provider of cryptography.
fn start_log(config: &Config) -> io::Result<Log> {
    let log = Log::start(config.log)?;
    log.watch_panics();
    // The only provider in the dependency tree; it is named so that no library has to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(log)
}

/// Prints the one line with all addresses to standard output; programs wait for it.
fn announce(running: &Running) -> anyhow::Result<()> {
    let addresses = running.addresses();
    let webtransport = running.quic().and(addresses.webtransport.as_deref());
    let webtransport = webtransport.unwrap_or("off");
    let http = running.http();
    let websocket = match running.role().takes_clients() {
        true => addresses.websocket.as_str(),
        false => "off",
    };
    say(&format!(
        "ready http=http://{http} webtransport={webtransport} websocket={websocket}"
    ))
}

/// Prints to standard output.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints to standard error, as far as possible: it may be closed, full, or read by nobody. What comes from
/// others in it cannot change a terminal.
fn complain(text: String) {
    let (written, done) = sync_channel(1);
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{}", config::shown::lines(&text));
        written.send(())
    });
    let _ = done.recv_timeout(COMPLAINT_DEADLINE);
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// One sentence for the operator, with the causes after colons. A cause that its effect quotes already
/// is not said twice.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut said, cause| {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            let colon = if said.is_empty() { "" } else { ": " };
            // Writing to a String cannot fail.
            let _ = write!(said, "{colon}{cause}");
        }
        said
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read a.pem: {source}")]
        struct Quotes {
            source: io::Error,
        }
        let source = || io::Error::from(io::ErrorKind::NotFound);
        let quoted = anyhow::Error::from(Quotes { source: source() });
        assert_eq!(
            sentence(&quoted),
            format!("cannot read a.pem: {}", source())
        );
        let added = Err::<(), _>(source()).context("no key").unwrap_err();
        assert_eq!(sentence(&added), format!("no key: {}", source()));
    }
}
