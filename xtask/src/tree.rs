//! The repository as folders: where it is, where builds go, and how old files are.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;

/// The root of the repository: the folder above this crate.
///
/// # Errors
/// When this crate was moved out of the repository.
pub fn root() -> anyhow::Result<PathBuf> {
    let manifest_dir = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")),
    };
    let root = manifest_dir
        .parent()
        .context("xtask is not inside the repository")?;
    Ok(root.to_owned())
}

/// Where cargo puts what it builds.
pub fn target_dir(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root.join(dir),
        None => root.join("target"),
    }
}

/// When the newest of the given files and of all files under the given folders was written, leaving
/// out what tools put there. `None` when there is none.
pub fn newest(paths: &[PathBuf]) -> Option<SystemTime> {
    paths.iter().filter_map(|path| newest_under(path)).max()
}

fn newest_under(path: &Path) -> Option<SystemTime> {
    const MADE_BY_TOOLS: [&str; 4] = ["node_modules", "dist", "target", ".vite"];
    let meta = path.metadata().ok()?;
    if meta.is_file() {
        return meta.modified().ok();
    }
    let entries = path.read_dir().ok()?.filter_map(Result::ok);
    let kept = entries.filter(|entry| {
        let name = entry.file_name();
        !MADE_BY_TOOLS.iter().any(|made| name == *made)
    });
    kept.filter_map(|entry| newest_under(&entry.path())).max()
}
