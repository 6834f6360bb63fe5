//! The tests of the Rust workspace.

use std::path::Path;

use super::{install, server};
use crate::run::{Run, is_available};

/// Runs them with cargo-nextest where it is installed, else with cargo alone; then the doc examples.
///
/// # Errors
/// When a test fails.
pub fn rust(root: &Path) -> anyhow::Result<()> {
    // The tests of the broker start servers of their own.
    install::require(&["redis-server"], "redis-server")?;
    // The end-to-end tests start the binary that lies beside them.
    server::build(root)?;
    let cargo = || Run::new(root, "cargo");
    if is_available("cargo", &["nextest", "--version"]) {
        cargo()
            .args(["nextest", "run", "--workspace", "--locked"])
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
