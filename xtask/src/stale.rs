//! Builds only what is older than its sources.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{
    run::{Run, is_available},
    tree,
};

/// Oldest Node.js that the SDK and its tools run on.
const NODE_MAJOR_MIN: u32 = 20;

/// Every npm package of this repository; each has the scripts `check` and `fix`.
pub const NPM_PACKAGES: [&str; 3] = ["sdk-ts", "examples/vanilla", "tests/browser"];

/// Installs the npm packages of `package` from its lock file, unless that was done since it changed.
///
/// # Errors
/// When Node.js is missing or too old, there is no lock file, or npm fails.
pub fn install_npm(package: &Path) -> anyhow::Result<()> {
    let lock = package.join("package-lock.json");
    if !lock.is_file() {
        bail!(
            "{} is missing: npm packages come from a lock file",
            lock.display()
        );
    }
    // npm writes this file last, so it is there only after a whole install.
    let done = package.join("node_modules/.package-lock.json");
    let sources = [lock, package.join("package.json")];
    if !is_older(&done, &sources) {
        return Ok(());
    }
    require_node()?;
    let ci = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    Run::new(package, "npm").args(ci).run()?;
    mark_made(&done, &sources)
}

/// Builds the SDK and the example page, each when its sources are newer than its output.
///
/// # Errors
/// When npm or a build fails.
pub fn build_page(root: &Path) -> anyhow::Result<()> {
    let sdk = root.join("sdk-ts");
    let page = root.join("examples/vanilla");
    build_npm(
        &sdk,
        &["src", "package.json", "tsconfig.json"],
        &sdk.join("dist/index.js"),
        &[],
    )?;
    let parts = [
        "src",
        "public",
        "index.html",
        "package.json",
        "vite.config.ts",
    ];
    build_npm(
        &page,
        &parts,
        &page.join("dist/index.html"),
        &[sdk.join("dist/index.js")],
    )
}

/// Runs `npm run build` in `package` when `output` is older than its `sources` or than `inputs`.
fn build_npm(
    package: &Path,
    sources: &[&str],
    output: &Path,
    inputs: &[PathBuf],
) -> anyhow::Result<()> {
    install_npm(package)?;
    let mut newer: Vec<_> = sources.iter().map(|source| package.join(source)).collect();
    newer.extend_from_slice(inputs);
    if !is_older(output, &newer) {
        return Ok(());
    }
    Run::new(package, "npm").args(["run", "build"]).run()?;
    mark_made(output, &newer)
}

/// Whether `output` is missing or older than the newest of `sources`.
fn is_older(output: &Path, sources: &[PathBuf]) -> bool {
    let Some(made) = tree::newest(&[output.to_owned()]) else {
        return true;
    };
    tree::newest(sources).is_some_and(|source| source > made)
}

/// Marks `output` as made from `sources`: a build that finds nothing to change leaves the old time.
fn mark_made(output: &Path, sources: &[PathBuf]) -> anyhow::Result<()> {
    let file = std::fs::File::options().append(true).open(output);
    let file = file.with_context(|| format!("{} was not made", output.display()))?;
    match tree::newest(sources) {
        Some(newest) if is_older(output, sources) => Ok(file.set_modified(newest)?),
        _ => Ok(()),
    }
}

fn require_node() -> anyhow::Result<()> {
    let install =
        format!("install Node.js {NODE_MAJOR_MIN} or later with npm (https://nodejs.org)");
    if !is_available("npm", &["--version"]) {
        bail!("npm is missing: {install}");
    }
    let version = Run::new(Path::new("."), "node")
        .args(["--version"])
        .read()?;
    let digits = version.trim().trim_start_matches('v').split('.').next();
    let major: u32 = digits.and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < NODE_MAJOR_MIN {
        bail!("Node.js {} is too old: {install}", version.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{File, FileTimes},
        time::{Duration, SystemTime},
    };

    use super::*;

    fn write(path: &Path, seconds: u64) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = File::create(path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    #[test]
    fn stale_means_missing_or_older_than_any_source() {
        let dir = tempfile::tempdir().unwrap();
        let (output, sources) = (dir.path().join("dist/index.js"), dir.path().join("src"));
        write(&sources.join("deep/one.ts"), 100);
        let is_stale = || is_older(&output, std::slice::from_ref(&sources));
        assert!(is_stale(), "missing");
        write(&output, 101);
        assert!(!is_stale(), "newer than its source");
        write(&sources.join("two.ts"), 102);
        assert!(is_stale(), "a source was added");
    }

    #[test]
    fn what_tools_make_is_no_source() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("src/node_modules/a.js"), 200);
        write(&dir.path().join("src/one.ts"), 100);
        let newest = tree::newest(&[dir.path().join("src")]).unwrap();
        assert_eq!(newest, SystemTime::UNIX_EPOCH + Duration::from_secs(100));
    }
}
