//! `cargo xtask chaos`: builds the server and `tests/chaos`, finds MongoDB and Redis, and starts it.
//!
//! Like the bench it runs in a network namespace of its own where it may.

use std::path::Path;

use clap::Args;
use services::shared::Setting;

use crate::{bench, binary, services::programs, tree};

/// What to break.
#[derive(Default, Args)]
pub struct ChaosArgs {
    /// What happens: faults; rolling (nodes are restarted one after the other); match (thousands join one
    /// category); cross (partners on different nodes). The last two measure, and break nothing.
    #[arg(default_value = "faults")]
    scenario: String,
    /// For how many minutes things break [default: 3].
    #[arg(long)]
    minutes: Option<f64>,
    /// What faults and people grow from; by chance unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many nodes [default: 3].
    #[arg(long)]
    nodes: Option<u32>,
    /// How many pairs chat [default: 200, or 50 while nodes are restarted].
    #[arg(long)]
    pairs: Option<u32>,
    /// How many people come and go [default: 60, or 10 while nodes are restarted].
    #[arg(long)]
    wanderers: Option<u32>,
    /// How many people join, or write to each other [default: 12000, or 200].
    #[arg(long)]
    users: Option<u32>,
    /// How many join, or messages, per second [default: 400, or 1000].
    #[arg(long)]
    rate: Option<f64>,
    /// How Redis runs: none (with one node), single, sentinel or cluster [default: single].
    #[arg(long)]
    redis: Option<String>,
    /// Folder for the data of MongoDB and Redis [default: under target]; on a file system in memory, times
    /// are without those of the disk.
    #[arg(long)]
    data: Option<String>,
    /// The clocks of the nodes' machines go wrong, too: by up to a day, both ways, or they stand still.
    #[arg(long)]
    clocks: bool,
    /// Build without optimisation: quicker to begin with, but the default number of people then waits for the
    /// processor and not for what is broken.
    #[arg(long)]
    debug: bool,
}

impl ChaosArgs {
    /// What the test command does: fewer pairs than by default, since what is tested is the debug build.
    pub fn in_tests(minutes: f64) -> Self {
        Self {
            scenario: "faults".to_owned(),
            minutes: Some(minutes),
            pairs: Some(60),
            wanderers: Some(30),
            debug: true,
            ..Self::default()
        }
    }
}

/// Builds, and breaks.
///
/// # Errors
/// When a build fails, a program is missing, or a promise was broken.
pub fn chaos(root: &Path, args: &ChaosArgs) -> anyhow::Result<()> {
    let names = [binary::SERVER, "nowrong-chaos"];
    let [server, chaos] = binary::build(root, names, !args.debug)?;
    let (mongod, redis_server) = programs(root)?;
    bench::start(root)
        .env("NOWRONG_BIN", server)
        .env(Setting::MongodProgram.name(), mongod)
        .env(Setting::RedisProgram.name(), redis_server)
        .arg(chaos)
        .args(passed_on(args))
        .arg("--out")
        .arg(tree::target_dir(root).join("chaos"))
        .run()
}

/// The arguments that `nowrong-chaos` takes as they are.
fn passed_on(args: &ChaosArgs) -> Vec<String> {
    let mut words = vec![args.scenario.clone()];
    let named = [
        ("--minutes", args.minutes.map(|minutes| minutes.to_string())),
        ("--seed", args.seed.map(|seed| seed.to_string())),
        ("--nodes", args.nodes.map(|nodes| nodes.to_string())),
        ("--pairs", args.pairs.map(|pairs| pairs.to_string())),
        (
            "--wanderers",
            args.wanderers.map(|people| people.to_string()),
        ),
        ("--users", args.users.map(|users| users.to_string())),
        ("--rate", args.rate.map(|rate| rate.to_string())),
        ("--redis", args.redis.clone()),
        ("--data", args.data.clone()),
    ];
    for (name, value) in named {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    }
    words.extend(args.clocks.then(|| "--clocks".to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_is_passed_on() {
        let args = ChaosArgs {
            scenario: "faults".to_owned(),
            minutes: Some(0.5),
            redis: Some("cluster".to_owned()),
            ..ChaosArgs::default()
        };
        let expected = ["faults", "--minutes", "0.5", "--redis", "cluster"];
        assert_eq!(passed_on(&args), expected);
    }
}
