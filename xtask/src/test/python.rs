//! The second implementation of the protocol: a client in Python, written from SPEC.md alone.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::server;
use crate::{
    run::{Run, is_available},
    tree,
};

/// Lints it and runs its tests against the real server, in an environment of its own under `target/`.
///
/// # Errors
/// When Python is missing or a test fails.
pub fn python(root: &Path) -> anyhow::Result<()> {
    let tests = root.join("tests/python");
    let python = environment(root, &tests.join("requirements.txt"))?;
    lint(&tests, &python)?;
    let server = server::build(root)?;
    Run::new(&tests, python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .env("NOWRONG_BIN", server)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()
}

/// Format, lints and types, with the settings of `pyproject.toml`.
fn lint(tests: &Path, python: &Path) -> anyhow::Result<()> {
    let tools = [
        &["ruff", "format", "--check", "--no-cache", "."][..],
        &["ruff", "check", "--no-cache", "."],
        &["mypy", "--cache-dir=/dev/null"],
    ];
    for tool in tools {
        Run::new(tests, python).arg("-m").args(tool).run()?;
    }
    Ok(())
}

/// The interpreter of a virtual environment that holds exactly what `requirements` pins.
fn environment(root: &Path, requirements: &Path) -> anyhow::Result<PathBuf> {
    let folder = tree::target_dir(root).join("python");
    let python = folder.join("bin/python");
    let (wanted, held) = (
        std::fs::read_to_string(requirements)?,
        folder.join("requirements.txt"),
    );
    if std::fs::read_to_string(&held).is_ok_and(|held| held == wanted) && python.is_file() {
        return Ok(python);
    }
    if !is_available("python3", &["-c", "import venv, ensurepip"]) {
        bail!(
            "Python 3.11 or later with venv is missing: on Debian `apt-get install python3-venv`"
        );
    }
    Run::new(root, "python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder)
        .run()?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    Run::new(root, &python)
        .args(install)
        .arg(requirements)
        .run()?;
    std::fs::write(held, wanted)?;
    Ok(python)
}
