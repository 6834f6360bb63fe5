//! The tests of the Rust workspace.

use std::{num::NonZero, path::Path};

use super::safety;
use crate::{
    binary, install,
    run::{Run, is_available},
    services,
};

/// What the profile `xtask` in `.config/nextest.toml` is written for.
const THREADS_PER_CORE: usize = 2;

/// The proxies that the end-to-end tests put in front of the server; each is Debian's package of that name.
const PROXIES: [&str; 3] = ["nginx", "haproxy", "caddy"];

/// Runs them on real MongoDB and Redis servers, with cargo-nextest where it is installed, else with
/// cargo alone; then the doc examples.
///
/// # Errors
/// When a server does not start or a test fails.
pub fn rust(root: &Path) -> anyhow::Result<()> {
    // The end-to-end tests start the binary that lies beside them.
    binary::build(root, [binary::SERVER], false)?;
    // Installs what is missing; ends them at the end of this function, also when a test fails.
    let servers = services::for_tests(root)?;
    for proxy in PROXIES {
        install::require(&[proxy], proxy)?;
    }
    let cargo = || servers.tell(Run::new(root, "cargo"));
    if is_available("cargo", &["nextest", "--version"]) {
        cargo()
            .args(["nextest", "run", "--workspace", "--locked"])
            .args(["--profile", "xtask", "--test-threads"])
            .arg(threads().to_string())
            .arg("-E")
            .arg(format!("not ({})", safety::TESTS))
            .run()?;
    } else {
        cargo()
            .args(["test", "--workspace", "--locked", "--all-targets"])
            .run()?;
    }
    cargo()
        .args(["test", "--workspace", "--locked", "--doc"])
        .run()
}

/// Threads of nextest in the profile `xtask`.
pub(super) fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    cores * THREADS_PER_CORE
}
