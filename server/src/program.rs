//! The program `nowrong`: reads the command line, starts the server, and stops it on SIGTERM or SIGINT.

use std::{io, num::NonZero, process::ExitCode, thread};

use crate::{
    config::{
        self, LogFormat,
        cli::{Cli, Command, Flags, MigrateAction},
    },
    server::{Running, Server},
};
use clap::Parser as _;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// Runs the program with the arguments and the environment of the process.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence for the operator, with the causes after colons.
            complain(&format!("nowrong: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(flags) => serve(&flags),
        Command::Config(flags) => {
            let loaded = config::load(&flags, std::env::vars_os())?;
            say(&config::to_toml(&loaded.values));
            Ok(())
        }
        Command::Migrate { action } => migrate(&action),
        Command::Openapi => {
            say(crate::api::openapi().trim_end());
            Ok(())
        }
    }
}

fn serve(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(flags, std::env::vars_os())?.config;
    start_log(&config);
    // The only provider in the dependency tree; it is named so that no library has to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    runtime(&config)?.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let running = Server::start(&config).await?;
        announce(&running);
        wait_for_any(&mut terminate, &mut interrupt).await;
        running.stop().await;
        Ok(())
    })
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
    use nowrong_store_mongodb::{
        MongoStore,
        migration::{self, State},
    };
    let (MigrateAction::Up(flags) | MigrateAction::Down(flags) | MigrateAction::Status(flags)) =
        action;
    let config = config::load(flags, std::env::vars_os())?.config;
    let StoreChoice::MongoDb(options) = &config.store else {
        anyhow::bail!(
            "`store` is embedded: it keeps its own structure up to date, there is nothing to migrate"
        );
    };
    start_log(&config);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    runtime(&config)?.block_on(async {
        let store = MongoStore::open(options).await?;
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
            say(&format!("{} {}: {state}", step.number, step.name));
        }
        Ok(())
    })
}

/// The runtime. On one core it has no worker threads, and so no cost of handing work over.
fn runtime(config: &config::Config) -> io::Result<Runtime> {
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

fn start_log(config: &config::Config) {
    let filter = tracing_subscriber::EnvFilter::new(config.log.directives());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match config.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Prints the one line with all addresses to standard output; programs wait for it.
fn announce(running: &Running) {
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
    ));
}

async fn wait_for_any(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[expect(clippy::print_stdout, reason = "the output of the command")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn complain(text: &str) {
    eprintln!("{text}");
}
