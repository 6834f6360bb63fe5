//! The programs of the workspace, built.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{run::Run, tree};

/// The server.
pub const SERVER: &str = "nowrong";

/// What this process has built, by name and by whether it is optimised: sources do not change while it
/// runs, and cargo would wait for whatever else it builds just now to see that.
static BUILT: Mutex<BTreeSet<(String, bool)>> = Mutex::new(BTreeSet::new());

/// What stands in [`BUILT`] for all programs.
const ALL: &str = "";

/// Builds these programs and returns where they are, in the same order.
///
/// Only what they need is compiled, with the features that all members of the workspace together ask for:
/// what a test, the demo or the bench has compiled is there for the others too. With `-p` cargo enables
/// the features that this one program asks for, and compiles much of it once more.
///
/// # Errors
/// When one does not build.
pub fn build<const N: usize>(
    root: &Path,
    names: [&str; N],
    is_release: bool,
) -> anyhow::Result<[PathBuf; N]> {
    let bins = names.iter().flat_map(|name| ["--bin", name]);
    build_once(root, &names, bins.collect(), is_release)?;
    Ok(paths(root, names, is_release))
}

fn paths<const N: usize>(root: &Path, names: [&str; N], is_release: bool) -> [PathBuf; N] {
    let folder = tree::target_dir(root).join(if is_release { "release" } else { "debug" });
    names.map(|name| folder.join(name))
}

/// Builds these programs without what is on by default and only clusters need; returns where they are.
///
/// # Errors
/// When one does not build.
pub fn build_lean<const N: usize>(
    root: &Path,
    names: [&str; N],
    is_release: bool,
) -> anyhow::Result<[PathBuf; N]> {
    let bins = names.iter().flat_map(|name| ["--bin", name]);
    cargo_build(root, is_release)
        .arg("--no-default-features")
        .args(bins)
        .run()?;
    Ok(paths(root, names, is_release))
}

/// Builds every program, not optimised.
///
/// # Errors
/// When one does not build.
pub fn build_all(root: &Path) -> anyhow::Result<()> {
    build_once(root, &[ALL], vec!["--bins"], false)
}

fn build_once(
    root: &Path,
    names: &[&str],
    which: Vec<&str>,
    is_release: bool,
) -> anyhow::Result<()> {
    // Held while cargo builds: another part that wants the same waits, and finds it built.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_built = |name: &str| built.contains(&(name.to_owned(), is_release));
    if is_built(ALL) || names.iter().all(|name| is_built(name)) {
        return Ok(());
    }
    cargo_build(root, is_release).args(which).run()?;
    built.extend(names.iter().map(|name| ((*name).to_owned(), is_release)));
    Ok(())
}

fn cargo_build(root: &Path, is_release: bool) -> Run {
    let build = Run::new(root, "cargo").args(["build", "--locked", "--workspace"]);
    if is_release {
        return build.arg("--release");
    }
    build
}
