//! `cargo xtask`: every command a contributor needs, in plain Rust.
//!
//! CI runs exactly these commands, so what passes here passes there. This crate starts other tools
//! and reads the tree; it holds no product code. Start reading at [`Command`].

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]
#![allow(
    unreachable_pub,
    reason = "nothing depends on this crate: `pub` means used by another module"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod binary;
mod chaos;
mod check;
mod ci;
mod demo;
mod fix;
mod generated;
mod install;
mod minutes;
mod mutants;
mod output;
mod part;
mod python;
mod run;
mod services;
mod stale;
mod test;
mod tree;
mod trend;

/// The commands of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what is stale and run the whole thing on this machine until Ctrl-C.
    Demo(demo::DemoArgs),
    /// Run every test; installs what a fresh Debian machine lacks.
    Test(test::TestArgs),
    /// Start or stop a real MongoDB and a real Redis on this machine, for tests and development.
    Services(services::ServicesArgs),
    /// Everything that needs no running program: format, lints, docs, licences, drift, tidiness.
    Check(part::PartArgs),
    /// What CI runs: the parts of `check` and of `test`, side by side where they share no tool.
    Ci,
    /// How fast it is, side by side with Socket.IO and with bare relays.
    Bench(bench::BenchArgs),
    /// Whether the promises hold while nodes, MongoDB and Redis are killed, stopped and restarted.
    Chaos(chaos::ChaosArgs),
    /// Whether the tests notice small changes of the code; takes hours, and goes on where it stopped.
    Mutants(mutants::MutantsArgs),
    /// Format and apply the lints' own suggestions, then write the generated code.
    Fix,
    /// Write the generated code: the TypeScript SDK, the vectors, the tables of the documents.
    Gen,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let root = tree::root()?;
    match command {
        Command::Demo(args) => demo::demo(&root, &args),
        Command::Test(args) => test::test(&root, &args),
        Command::Services(args) => services::services(&root, &args),
        Command::Check(args) => check::check(&root, &args),
        Command::Ci => ci::ci(&root),
        Command::Bench(args) => bench::bench(&root, &args),
        Command::Chaos(args) => chaos::chaos(&root, &args),
        Command::Mutants(args) => mutants::mutants(&root, &args),
        Command::Fix => fix::fix(&root),
        Command::Gen => generated::write(&root),
    }
}
