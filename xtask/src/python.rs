//! Python for the second client: an environment of its own under `target/`.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, bail};

use crate::{
    run::{Run, is_available},
    tree,
};

/// Held while the environment is looked at and made.
static MAKING: Mutex<()> = Mutex::new(());

/// Where the client and its tests are.
pub fn folder(root: &Path) -> PathBuf {
    root.join("tests/python")
}

/// The interpreter of a virtual environment that holds exactly what `requirements.txt` pins.
///
/// # Errors
/// When Python is missing or too old, or a package cannot be installed.
pub fn interpreter(root: &Path) -> anyhow::Result<PathBuf> {
    // Two parts may want it at once, and only one can make it.
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let requirements = folder(root).join("requirements.txt");
    let folder = tree::target_dir(root).join("python");
    let python = folder.join("bin/python");
    let (wanted, held) = (
        std::fs::read_to_string(&requirements)
            .with_context(|| requirements.display().to_string())?,
        folder.join("requirements.txt"),
    );
    if std::fs::read_to_string(&held).is_ok_and(|held| held == wanted) && python.is_file() {
        return Ok(python);
    }
    if !is_available(
        "python3",
        &[
            "-c",
            "import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))",
        ],
    ) {
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
        .arg(&requirements)
        .run()?;
    std::fs::write(held, wanted)?;
    Ok(python)
}
