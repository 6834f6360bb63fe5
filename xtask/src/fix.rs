//! `cargo xtask fix`: everything a machine can mend.

use std::path::Path;

use crate::{generated, python, run::Run, stale};

/// Applies the lints' suggestions, formats, and writes the generated code.
///
/// # Errors
/// When a tool fails; what earlier tools mended stays.
pub fn fix(root: &Path) -> anyhow::Result<()> {
    generated::write(root)?;
    let clippy = [
        "clippy",
        "--fix",
        "--workspace",
        "--all-targets",
        "--allow-dirty",
    ];
    Run::new(root, "cargo")
        .args(clippy)
        .arg("--allow-staged")
        .run()?;
    Run::new(root, "cargo").args(["fmt", "--all"]).run()?;
    for package in stale::NPM_PACKAGES {
        let package = root.join(package);
        stale::install_npm(&package)?;
        Run::new(&package, "npm").args(["run", "fix"]).run()?;
    }
    let interpreter = python::interpreter(root)?;
    let python = || Run::new(&python::folder(root), &interpreter);
    python()
        .args(["-m", "ruff", "check", "--no-cache", "--fix"])
        .run()?;
    python().args(["-m", "ruff", "format", "--no-cache"]).run()
}
