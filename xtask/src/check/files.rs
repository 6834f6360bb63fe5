//! The files that the checks read: what belongs to the repository.

use std::path::{Path, PathBuf};

use crate::run::Run;

/// Every file that belongs to the repository, committed or not yet, by its path from the root.
///
/// # Errors
/// When git cannot list them.
pub(super) fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let listed = Run::new(root, "git").args(list).read()?;
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    let existing = paths
        .map(PathBuf::from)
        .filter(|path| root.join(path).is_file());
    Ok(existing.collect())
}
