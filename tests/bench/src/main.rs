//! `nowrong-bench`: measures, and also contains the bare relays. `cargo xtask bench` builds what it
//! needs and starts it.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use nowrong_bench::{
    compare,
    machine::{self, Machine},
    metric::{self, Sample},
    process,
    relay::{self, Kind},
    report::{self, Report, Row},
    scenario::{self, SCENARIOS, Scale},
    target::{self, Place, Side},
};
use nowrong_micro as micro;
use tokio::{
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
    task::LocalSet,
};

/// How fast NoWrong is, side by side with its alternatives.
#[derive(Parser)]
#[command(name = "nowrong-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures.
    Run(Box<RunArgs>),
    /// Compares the rounds of two builds: fails when the new one is worse by more than the spread.
    Compare {
        /// A folder for each round, with the reports `old/report.json` and `new/report.json`.
        rounds: Vec<PathBuf>,
    },
    /// Runs a bare relay until it is ended.
    Relay {
        /// The transport.
        kind: Kind,
        /// The address to listen at.
        #[arg(default_value = "127.0.0.1")]
        address: IpAddr,
    },
}

/// What to measure.
#[derive(Args)]
struct RunArgs {
    /// Scenarios; all when none is named.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(SCENARIOS.iter().map(|(name, _)| *name)))]
    scenarios: Vec<String>,
    /// Few people and short times: shows that everything works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Rounds of each case [default: 3, or 1 with --quick].
    #[arg(long)]
    rounds: Option<u64>,
    /// Only these targets, separated by commas.
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// Seed of the schedules.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's binary.
    #[arg(long)]
    server: PathBuf,
    /// Folder of the Socket.IO server.
    #[arg(long)]
    socketio: PathBuf,
    /// The program `redis-server`, for targets that need it.
    #[arg(long)]
    redis: PathBuf,
    /// The program `mongod`, for targets that need it.
    #[arg(long, default_value = "mongod")]
    mongod: PathBuf,
    /// The program `nats-server`, for the target `nats`.
    #[arg(long, default_value = "nats-server")]
    nats: PathBuf,
    /// The program `sockudo`, for the target `sockudo`.
    #[arg(long, default_value = "sockudo")]
    sockudo: PathBuf,
    /// The program that emulates a link.
    #[arg(long)]
    netlab: PathBuf,
    /// The program that runs the cases of `micro`.
    #[arg(long)]
    micro: PathBuf,
    /// Folder for reports, logs and data.
    #[arg(long)]
    out: PathBuf,
    /// The document to which a full run on a quiet machine is written.
    #[arg(long)]
    document: Option<PathBuf>,
    /// The command that started this, for the report.
    #[arg(long, default_value = "nowrong-bench run")]
    shown_as: String,
    /// A further remark for readers of the report.
    #[arg(long)]
    condition: Vec<String>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| {
        let local = LocalSet::new();
        let outcome = local.block_on(&runtime, execute(Cli::parse().command));
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

async fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Relay { kind, address } => {
            relay::serve(kind, address, |ready| println!("{ready}")).await
        }
        Command::Compare { rounds } => compare_rounds(&rounds),
        Command::Run(args) => {
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                outcome = run(&args) => outcome,
                // Dropping it ends its processes and removes its data.
                _ = ctrl_c() => anyhow::bail!("interrupted"),
                _ = terminate.recv() => anyhow::bail!("terminated"),
            }
        }
    }
}

fn compare_rounds(rounds: &[PathBuf]) -> anyhow::Result<()> {
    let of = |round: &PathBuf| -> anyhow::Result<_> {
        let read = |build: &str| compare::read(&round.join(build).join("report.json"));
        Ok((read("old")?, read("new")?))
    };
    let pairs: Vec<_> = rounds.iter().map(of).collect::<anyhow::Result<_>>()?;
    let comparisons = compare::compare(&pairs)?;
    println!("{}", compare::table(&comparisons));
    let worse = comparisons.iter().filter(|it| it.is_worse).count();
    if worse > 0 {
        anyhow::bail!("{worse} figures are worse by more than their spread");
    }
    println!("   no figure is worse by more than its spread");
    Ok(())
}

/// The processor of the targets, and that of the generator.
const CORES: [usize; 2] = [0, 1];

async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let scale = if args.quick {
        Scale::Quick
    } else {
        Scale::Full
    };
    let targets = target::choose(&args.targets)?;
    std::fs::create_dir_all(&args.out)?;
    let scratch = tempfile::tempdir_in(&args.out)?;
    let machine = Machine::this(&args.socketio);
    let is_pinned = machine.cores > 1;
    let place = Place {
        server: args
            .server
            .canonicalize()
            .context("the server's binary is missing")?,
        bench: std::env::current_exe()?,
        socketio: args.socketio.clone(),
        redis: args.redis.clone(),
        mongod: args.mongod.clone(),
        nats: args.nats.clone(),
        sockudo: args.sockudo.clone(),
        netlab: args.netlab.clone(),
        scratch: scratch.path().canonicalize()?,
        core: is_pinned.then_some(CORES[0]),
        side: Side::default(),
    };
    let busy_share = machine::busy_share().await?;
    if is_pinned {
        process::pin_self(CORES[1]).await?;
    }
    let rounds = args.rounds.unwrap_or(scale.of(3, 1));
    let seeds = args.seed..args.seed + rounds;
    let mut rows = Vec::new();
    for case in scenario::cases(scale, &args.scenarios) {
        let say = |line| println!("   {line}");
        rows.extend(scenario::measure(case.as_ref(), &targets, &place, seeds.clone(), say).await);
    }
    if args.scenarios.is_empty() || args.scenarios.iter().any(|name| name == "micro") {
        rows.extend(micro_rows(&args.micro, &place.scratch, scale).await);
    }
    let report = Report {
        machine,
        command: args.shown_as.clone(),
        ended_at: now(),
        conditions: conditions(args, rounds, busy_share, is_pinned),
        rows,
    };
    println!("{}", report::table(&report));
    write(args, &report)?;
    publish(args, &report, machine::is_quiet(busy_share))?;
    judge(&report, scale)
}

async fn micro_rows(program: &Path, scratch: &Path, scale: Scale) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in micro::CASES {
        let mut row = Row::new("micro", "one operation".to_owned(), case.name);
        row.add(micro_sample(case, (program, scratch), scale).await);
        println!(
            "   micro · {}: {:?}",
            case.name,
            row.figures.first().map(|it| it.spread.median)
        );
        rows.push(row);
    }
    rows
}

async fn micro_sample(
    case: &micro::Case,
    (program, scratch): (&Path, &Path),
    scale: Scale,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    if scale == Scale::Full {
        let (case, program, scratch) = (*case, program.to_owned(), scratch.to_owned());
        let count = move || micro::instructions(&case, &program, &scratch);
        let counted = tokio::task::spawn_blocking(count).await??;
        sample.push(&metric::INSTRUCTIONS, counted);
    }
    let operations = scale.of(100_000, 1_000);
    sample.push(
        &metric::TIME_PER_OPERATION,
        micro::nanoseconds(case, operations),
    );
    Ok(sample)
}

fn conditions(args: &RunArgs, rounds: u64, busy_share: f64, is_pinned: bool) -> Vec<String> {
    let mut conditions = vec![
        format!("{rounds} rounds from seed {}", args.seed),
        format!(
            "Before it began, others used {:.0} % of a core",
            busy_share * 100.0
        ),
    ];
    if args.quick {
        conditions.push(
            "A quick run: it shows that everything works, its figures mean nothing".to_owned(),
        );
    }
    if !is_pinned {
        conditions.push("One core only: target and generator disturb each other".to_owned());
    }
    conditions.extend(args.condition.iter().cloned());
    conditions
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

fn write(args: &RunArgs, report: &Report) -> anyhow::Result<()> {
    let json = args.out.join("report.json");
    std::fs::write(&json, serde_json::to_string_pretty(report)?)?;
    let curves = report::curves(report).into_iter();
    let curves = curves.map(|picture| (picture.file, picture.svg));
    for (name, svg) in report::plots(report).into_iter().chain(curves) {
        std::fs::write(args.out.join(name), svg)?;
    }
    println!("   {} and plots beside it", json.display());
    Ok(())
}

/// Writes the document if the run was full and the machine quiet.
fn publish(args: &RunArgs, report: &Report, is_quiet: bool) -> anyhow::Result<()> {
    let Some(path) = &args.document else {
        return Ok(());
    };
    let is_whole = args.scenarios.is_empty() && args.targets.is_empty() && !args.quick;
    if !is_whole {
        println!(
            "   {} stays as it is: this was not the full run",
            path.display()
        );
    } else if !is_quiet {
        println!(
            "   {} stays as it is: the machine was not quiet",
            path.display()
        );
    } else {
        std::fs::create_dir_all(path.parent().context("a document has a folder")?)?;
        std::fs::write(path, report::document(report))?;
        for picture in report::curves(report) {
            std::fs::write(path.with_file_name(picture.file), picture.svg)?;
        }
        println!("   wrote {} and its pictures", path.display());
    }
    Ok(())
}

/// A run that could not measure something has failed. In a quick run faults fail it too, except
/// slowness: the machine may be of any kind.
fn judge(report: &Report, scale: Scale) -> anyhow::Result<()> {
    if report.failures() > 0 {
        anyhow::bail!("{} rounds could not be measured", report.failures());
    }
    let is_about_pace = |note: &&String| note.contains("saturated") || note.contains("not quiet");
    let faults = report.rows.iter().flat_map(|row| &row.notes);
    let faults: Vec<_> = faults
        .filter(|note| !is_about_pace(note))
        .cloned()
        .collect();
    if scale == Scale::Quick && !faults.is_empty() {
        anyhow::bail!("faults: {}", faults.join("; "));
    }
    Ok(())
}
