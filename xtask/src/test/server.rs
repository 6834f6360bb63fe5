//! The server's binary, as the tests that start it need it.

use std::path::{Path, PathBuf};

use crate::{run::Run, tree};

/// Builds it and answers where it is. All binaries of the workspace are built together, so that
/// they share their dependencies with the tests: alone, the server would enable fewer features and
/// compile them once more.
///
/// # Errors
/// When it does not build.
pub fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let build = ["build", "--locked", "--workspace", "--bins"];
    Run::new(root, "cargo").args(build).run()?;
    Ok(tree::target_dir(root).join("debug/nowrong"))
}
