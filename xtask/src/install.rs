//! Installs programs that a fresh Debian machine lacks, as root; otherwise says what to install.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, bail};

use crate::run::{Run, is_available};

/// The first of `programs` that is installed; else installs Debian's `package`.
///
/// # Errors
/// When none is there and this is not Debian, or not root. The message says what to do.
pub fn require(programs: &[&str], package: &str) -> anyhow::Result<PathBuf> {
    if let Some(found) = find_any(programs) {
        return Ok(found);
    }
    self::package(package).with_context(|| format!("{} is missing", programs[0]))?;
    find_any(programs)
        .with_context(|| format!("{package} was installed, but brought none of {programs:?}"))
}

/// The first of `programs` that is on the search path.
pub fn find_any(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let candidates = programs
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// Installs Debian's `package`.
///
/// # Errors
/// When this is not Debian, or not root. The message says what to do.
pub fn package(package: &str) -> anyhow::Result<()> {
    if !can_install() {
        bail!("as root on Debian `apt-get install {package}`, else install its like");
    }
    install(package)
}

fn can_install() -> bool {
    let is_root = Run::new(Path::new("/"), "id")
        .args(["-u"])
        .read()
        .is_ok_and(|id| id.trim() == "0");
    is_root && is_available("apt-get", &["--version"])
}

fn install(package: &str) -> anyhow::Result<()> {
    // Debian's tools refuse to run twice at once.
    static UPDATED: Mutex<bool> = Mutex::new(false);
    let mut is_updated = UPDATED.lock().unwrap_or_else(PoisonError::into_inner);
    let apt = || Run::new(Path::new("/"), "apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    if !*is_updated {
        apt().args(["-q", "update"]).run()?;
        *is_updated = true;
    }
    apt()
        .args(["-q", "-y", "--no-install-recommends", "install", package])
        .run()
}
