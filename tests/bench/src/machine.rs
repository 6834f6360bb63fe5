//! The machine on which the figures were measured, and whether it was quiet.

use std::{fs, path::Path, process::Command, time::Duration};

use serde::Serialize;

use crate::counters::MachineTime;

/// A machine that uses more than this share of a core before the run begins is not quiet.
const QUIET_SHARE_MAX: f64 = 0.05;

/// The machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Model of its processor.
    pub processor: String,
    /// How many processors it has.
    pub cores: usize,
    /// Its memory in GB.
    pub memory_gb: f64,
    /// Kernel release.
    pub kernel: String,
    /// Versions of the measured programs and of the bench.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// This machine, with Socket.IO as installed in this folder.
    pub fn this(socketio: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: memory_gb(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            versions: versions(socketio),
        }
    }
}

/// Share of a core that other programs use now, measured over two seconds.
///
/// # Errors
/// When the kernel does not tell.
pub async fn busy_share() -> anyhow::Result<f64> {
    const WINDOW: Duration = Duration::from_secs(2);
    let before = MachineTime::now()?;
    tokio::time::sleep(WINDOW).await;
    let used = MachineTime::now()?.used.saturating_sub(before.used);
    Ok(used.as_secs_f64() / WINDOW.as_secs_f64())
}

/// Whether figures of a machine with this [`busy_share`] can be published.
pub fn is_quiet(busy_share: f64) -> bool {
    busy_share <= QUIET_SHARE_MAX
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_gb(meminfo: &str) -> f64 {
    let total = field(meminfo, "MemTotal").unwrap_or_default();
    let kilobytes = total.split(' ').next().and_then(|word| word.parse().ok());
    kilobytes.map_or(0.0, |kilobytes: f64| {
        (kilobytes / 1_048_576.0 * 10.0).round() / 10.0
    })
}

fn versions(socketio: &Path) -> Vec<(String, String)> {
    let said = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Some(text.lines().next()?.trim().to_owned())
    };
    let mut versions = vec![("NoWrong".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    for program in ["rustc", "node"] {
        versions.extend(said(program).map(|version| (program.to_owned(), version)));
    }
    versions.extend(package_version(socketio).map(|version| ("Socket.IO".to_owned(), version)));
    versions
}

fn package_version(socketio: &Path) -> Option<String> {
    let manifest = fs::read(socketio.join("node_modules/socket.io/package.json")).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).ok()?;
    Some(manifest["version"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_describes_the_machine() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(field(cpuinfo, "model name").unwrap(), "Some CPU @ 2 GHz");
        assert_eq!(
            memory_gb("MemTotal:       24117248 kB\nMemFree: 1 kB\n"),
            23.0
        );
        let machine = Machine::this(Path::new("nowhere"));
        assert!(machine.cores > 0);
        assert_eq!(machine.versions[0].0, "NoWrong");
    }

    #[test]
    fn a_twentieth_of_a_core_is_quiet() {
        assert!(is_quiet(0.04) && !is_quiet(0.2));
    }
}
