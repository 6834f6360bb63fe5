//! `nowrong-chaos`: breaks things while people chat, and checks every promise. `cargo xtask chaos`
//! builds what it needs and starts it.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use nowrong_bench::workload::Workload;
use nowrong_chaos::{
    cluster::{RedisKind, Shape},
    scenario::{
        chaos::{self, Plan, Trouble},
        cross, matching,
    },
};
use services::shared::{self, Setting};
use tokio::{
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
    task::LocalSet,
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
    /// Seed of the faults and the people; random unless given.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Folder for reports.
    #[arg(long, global = true, default_value = "target/chaos")]
    out: PathBuf,
    /// Folder for the data of MongoDB and Redis; `--out` unless given. On a file system in memory,
    /// the measured times exclude the disk.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
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
        /// Whether the clocks of the nodes' machines go wrong, too.
        #[arg(long)]
        clocks: bool,
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
    /// Nothing breaks: people join one category from all nodes.
    Match {
        /// How many.
        #[arg(long, default_value_t = 12_000)]
        users: u32,
        /// How many join per second.
        #[arg(long, default_value_t = 400.0)]
        rate: f64,
    },
    /// Nothing breaks: partners on different nodes write to each other.
    Cross {
        /// Messages per second.
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        /// How many people, in pairs.
        #[arg(long, default_value_t = 200)]
        users: u32,
        /// For how many seconds, after a warm-up of 3.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| {
        let local = LocalSet::new();
        let outcome = local.block_on(&runtime, execute(Cli::parse()));
        // Remaining tasks hold sockets; nobody waits for them.
        drop(local);
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
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = run(&cli) => outcome,
        // Dropping it ends its processes and removes its data.
        _ = ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let say = |line| println!("   {line}");
    let shape = shape(cli)?;
    let seed = cli.servers.seed.unwrap_or_else(rand::random);
    let plan = |trouble, pairs, wanderers| Plan {
        shape: shape.clone(),
        seed,
        trouble,
        pairs,
        wanderers,
        out: cli.servers.out.clone(),
    };
    match cli.scenario {
        Scenario::Faults {
            minutes,
            pairs,
            wanderers,
            ..
        } => {
            let time = Duration::try_from_secs_f64(minutes * 60.0)?;
            chaos::run(&plan(Trouble::Faults(time), pairs, wanderers), say).await
        }
        Scenario::Rolling { pairs, wanderers } => {
            chaos::run(&plan(Trouble::Rolling, pairs, wanderers), say).await
        }
        Scenario::Match { users, rate } => matching::run(&shape, users, (rate, seed), say).await,
        Scenario::Cross {
            rate,
            users,
            seconds,
        } => {
            let workload = Workload {
                users: users.next_multiple_of(2),
                rate,
                body_bytes: 40,
                warm_up: Duration::from_secs(3),
                measured: Duration::from_secs(seconds),
                seed,
            };
            cross::run(&shape, &workload, say).await
        }
    }
}

fn shape(cli: &Cli) -> anyhow::Result<Shape> {
    let Servers { out, data, .. } = &cli.servers;
    Ok(Shape {
        data: data.as_ref().unwrap_or(out).clone(),
        nodes: cli.servers.nodes.max(1),
        redis: cli.servers.redis,
        mongod: shared::find(Setting::MongodProgram)?.into(),
        redis_server: shared::find(Setting::RedisProgram)?.into(),
        has_metrics: matches!(cli.scenario, Scenario::Cross { .. }),
        has_clocks: matches!(cli.scenario, Scenario::Faults { clocks: true, .. }),
        mongodb_members: match cli.scenario {
            Scenario::Faults { .. } | Scenario::Rolling { .. } => 3,
            Scenario::Match { .. } | Scenario::Cross { .. } => 1,
        },
    })
}
