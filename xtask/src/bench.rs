//! `cargo xtask bench`: builds what is measured and what it is compared with, and starts `tests/bench`.
//!
//! Where it may, it gives the bench a network namespace of its own: loopback then carries nothing
//! else, so that bytes and packets can be counted, and nothing that runs in it can leave the machine.

use std::path::Path;

use clap::Args;

use crate::{
    binary, install,
    run::{Run, is_available},
    services, stale, tree,
};

mod against;

/// What to measure.
#[derive(Default, Args)]
pub struct BenchArgs {
    /// Scenarios, all without any: pairs, idle, match, rest, storm, tier2, cluster, ceiling, lossy,
    /// micro.
    scenarios: Vec<String>,
    /// Few people and short times, and no optimisation: shows that everything works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Rounds of each case [default: 3, or 1 with --quick, or 7 with --against].
    #[arg(long)]
    rounds: Option<u32>,
    /// Only these targets, separated by commas; an unknown one lists those there are. `nats` and
    /// `sockudo` are measured only when they are named.
    #[arg(long)]
    targets: Option<String>,
    /// What the schedules grow from [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Compare with the build of this revision, each with its own load program, in turns.
    #[arg(long, value_name = "REV")]
    against: Option<String>,
}

impl BenchArgs {
    /// These scenarios on these targets, small; all where none is named.
    pub fn quick(scenarios: &[&str], targets: Option<&str>) -> Self {
        Self {
            scenarios: scenarios.iter().map(|name| (*name).to_owned()).collect(),
            targets: targets.map(str::to_owned),
            quick: true,
            ..Self::default()
        }
    }

    fn names(&self, target: &str) -> bool {
        let targets = self.targets.iter().flat_map(|all| all.split(','));
        targets.into_iter().any(|name| name == target)
    }

    fn has(&self, scenario: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|name| name == scenario)
    }
}

/// Raises the bound of open files to what is allowed: each connection takes one. Then becomes the
/// command; with `lo`, in a new network namespace whose loopback is still down.
const START: &str =
    r#"set -e; ulimit -n "$(ulimit -Hn)"; if [ "$0" = lo ]; then ip link set lo up; fi; exec "$@""#;

/// Builds, installs and measures.
///
/// # Errors
/// When a build or an installation fails, or something could not be measured.
pub fn bench(root: &Path, args: &BenchArgs) -> anyhow::Result<()> {
    if let Some(revision) = &args.against {
        return against::against(root, args, revision);
    }
    let target = tree::target_dir(root);
    let programs = ["nowrong-bench", "nowrong-micro", "netlab", binary::SERVER];
    let [bench, micro, netlab, server] = binary::build(root, programs, !args.quick)?;
    let socketio = root.join("tests/bench/peers/socketio");
    stale::install_npm(&socketio)?;
    let redis = services::redis_server()?;
    if args.has("micro") && !args.quick {
        install::require(&["valgrind"], "valgrind")?;
    }
    if args.has("lossy") {
        install::require(&["ip"], "iproute2")?;
    }
    let mut run = start(root);
    run = run.arg(bench).arg("run");
    run = run.arg("--server").arg(server);
    run = run.arg("--redis").arg(redis);
    if args.has("cluster") {
        run = run.arg("--mongod").arg(services::programs(root)?.0);
    }
    if args.names("nats") {
        run = run.arg("--nats").arg(services::nats_server(root)?);
    }
    if args.names("sockudo") {
        run = run.arg("--sockudo").arg(services::sockudo(root)?);
    }
    run = run.arg("--netlab").arg(netlab);
    run = run.arg("--micro").arg(micro);
    run = run.arg("--socketio").arg(socketio);
    run = run.arg("--out").arg(target.join("bench"));
    run = run.arg("--document").arg(root.join("docs/benchmarks.md"));
    run = run.arg("--condition").arg(commit(root)?);
    run.args(passed_on(args)).run()
}

/// What was built, for the report.
fn commit(root: &Path) -> anyhow::Result<String> {
    let describe = ["describe", "--always", "--dirty", "--abbrev=12"];
    let commit = Run::new(root, "git").args(describe).read()?;
    Ok(format!("Commit {}", commit.trim()))
}

/// The command so far: everything up to the bench itself, or whatever else is to run like it.
pub fn start(root: &Path) -> Run {
    let can_isolate = is_available("unshare", &["--net", "true"]) && is_available("ip", &["-V"]);
    if can_isolate {
        Run::new(root, "unshare").args(["--net", "sh", "-c", START, "lo"])
    } else {
        Run::new(root, "sh").args(["-c", START, "shared"])
    }
}

/// The arguments that the bench takes as they are.
fn passed_on(args: &BenchArgs) -> Vec<String> {
    let mut words = Vec::new();
    if args.quick {
        words.push("--quick".to_owned());
    }
    let named = [
        ("--rounds", args.rounds.map(|rounds| rounds.to_string())),
        ("--targets", args.targets.clone()),
        ("--seed", args.seed.map(|seed| seed.to_string())),
    ];
    for (name, value) in named {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    }
    words.extend(args.scenarios.iter().cloned());
    let shown: Vec<_> = ["cargo xtask bench"]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    let shown = shown.join(" ");
    words.extend(["--shown-as".to_owned(), shown]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_shows_the_command_that_was_typed() {
        let args = BenchArgs {
            scenarios: vec!["pairs".to_owned()],
            quick: true,
            rounds: Some(2),
            ..BenchArgs::default()
        };
        let shown = "cargo xtask bench --quick --rounds 2 pairs";
        let expected = ["--quick", "--rounds", "2", "pairs", "--shown-as", shown];
        assert_eq!(passed_on(&args), expected);
    }

    #[test]
    fn the_start_becomes_the_command() {
        let said = Run::new(Path::new("/"), "sh")
            .args(["-c", START, "shared", "echo", "it runs"])
            .read();
        assert_eq!(said.unwrap(), "it runs\n");
    }
}
