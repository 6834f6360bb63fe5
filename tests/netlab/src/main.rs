//! `netlab`: the emulator as a process. Takes [`Request`]s on its standard input, one per line, and
//! replies to each with the counts; ends when the input ends.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]

use std::{io, process::ExitCode};

use clap::Parser;
use netlab::{Link, Request};

/// A link between this network namespace and that of another process.
#[derive(Parser)]
#[command(name = "netlab", version)]
struct Cli {
    /// A process in the other namespace.
    inside: u32,
    /// Seed of the losses.
    seed: u64,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netlab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let link = Link::open(cli.inside, cli.seed)?;
    println!("ready");
    for line in io::stdin().lines() {
        match serde_json::from_str(&line?)? {
            Request::Set(direction, conditions) => link.set(direction, conditions),
            Request::Count => {}
        }
        println!("{}", serde_json::to_string(&link.counts())?);
    }
    Ok(())
}
