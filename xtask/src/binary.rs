//! The programs of the workspace, built.

use std::path::{Path, PathBuf};

use crate::{run::Run, tree};

/// The server.
pub const SERVER: &str = "nowrong";

/// Builds these programs and answers where they are, in the same order.
///
/// All programs of the workspace are built together, which decides the features of every dependency:
/// what a test, the demo or the bench has compiled is there for the others too. With `-p` or `--bin`
/// cargo enables the features that this one program asks for, and compiles much of it once more.
///
/// # Errors
/// When one does not build.
pub fn build<const N: usize>(
    root: &Path,
    names: [&str; N],
    is_release: bool,
) -> anyhow::Result<[PathBuf; N]> {
    let mut build = Run::new(root, "cargo").args(["build", "--locked", "--workspace", "--bins"]);
    if is_release {
        build = build.arg("--release");
    }
    build.run()?;
    let folder = tree::target_dir(root).join(if is_release { "release" } else { "debug" });
    Ok(names.map(|name| folder.join(name)))
}
