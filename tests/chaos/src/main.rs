//! `nowrong-chaos`: breaks things while people chat, and judges. `cargo xtask chaos` builds what it
//! needs and starts it.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use nowrong_chaos::{
    cluster::{RedisKind, Shape},
    scenario::chaos::{self, Plan, Trouble},
};
use services::shared::{self, Setting};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

/// Breaks things while people chat, and checks every promise by what the people were told.
#[derive(Parser)]
#[command(name = "nowrong-chaos", version)]
struct Cli {
    #[command(flatten)]
    servers: Servers,
    #[command(subcommand)]
    scenario: Scenario,
}

/// The servers.
#[derive(Args)]
struct Servers {
    /// How many nodes.
    #[arg(long, global = true, default_value_t = 3)]
    nodes: usize,
    /// How Redis runs.
    #[arg(long, global = true, value_enum, default_value_t)]
    redis: RedisKind,
    /// What faults and people grow from; by chance unless given.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Folder for data and reports.
    #[arg(long, global = true, default_value = "target/chaos")]
    out: PathBuf,
}

#[derive(Subcommand)]
enum Scenario {
    /// Faults by a schedule, while pairs chat and people come and go.
    Faults {
        /// For how many minutes.
        #[arg(long, default_value_t = 3.0)]
        minutes: f64,
        /// How many pairs chat.
        #[arg(long, default_value_t = 200)]
        pairs: usize,
        /// How many people come and go.
        #[arg(long, default_value_t = 60)]
        wanderers: usize,
    },
    /// Each node is stopped and started again, one after the other, while pairs chat.
    Rolling {
        /// How many pairs chat.
        #[arg(long, default_value_t = 50)]
        pairs: usize,
        /// How many people come and go.
        #[arg(long, default_value_t = 10)]
        wanderers: usize,
    },
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| {
        let outcome = runtime.block_on(execute(Cli::parse()));
        // Tasks that are left hold sockets; nobody waits for them.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(cli: Cli) -> anyhow::Result<()> {
    let plan = plan(&cli)?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = chaos::run(&plan, |line| println!("   {line}")) => outcome,
        // What is dropped here ends its processes and removes its data.
        _ = ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

fn plan(cli: &Cli) -> anyhow::Result<Plan> {
    let Servers {
        nodes,
        redis,
        seed,
        out,
    } = &cli.servers;
    let shape = Shape {
        nodes: (*nodes).max(1),
        redis: *redis,
        mongod: shared::find(Setting::MongodProgram)?.into(),
        redis_server: shared::find(Setting::RedisProgram)?.into(),
        flags: Vec::new(),
    };
    let (trouble, pairs, wanderers) = match cli.scenario {
        Scenario::Faults {
            minutes,
            pairs,
            wanderers,
        } => {
            let time = Duration::try_from_secs_f64(minutes * 60.0)?;
            (Trouble::Faults(time), pairs, wanderers)
        }
        Scenario::Rolling { pairs, wanderers } => (Trouble::Rolling, pairs, wanderers),
    };
    Ok(Plan {
        shape,
        seed: seed.unwrap_or_else(rand::random),
        trouble,
        pairs,
        wanderers,
        out: out.clone(),
    })
}
