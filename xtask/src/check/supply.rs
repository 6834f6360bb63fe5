//! What we depend on: licences, banned crates, sources, pinned versions.
//!
//! These rules need nothing but cargo and work offline. `deny.toml` says the same and more (known
//! advisories, which need the network) to cargo-deny; it runs too where it is installed.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, bail};

use super::{files::files, licence};
use crate::{
    output::say,
    run::{Run, is_available},
};

/// Crates that must not be built: aws-lc-rs is the one provider of cryptography.
const BANNED: [&str; 5] = [
    "ring",
    "openssl",
    "openssl-sys",
    "native-tls",
    "h3-webtransport",
];

/// Checks every dependency of the workspace on this platform.
///
/// # Errors
/// Names each dependency that breaks a rule.
pub fn supply(root: &Path) -> anyhow::Result<()> {
    for name in BANNED {
        refuse_banned(root, name)?;
    }
    let count = check_licences(root)?;
    check_sources(root)?;
    check_versions(root)?;
    check_features(root)?;
    say!("   {count} packages: licences, sources and versions are fine, none is banned");
    if is_available("cargo", &["deny", "--version"]) {
        Run::new(root, "cargo")
            .args(["deny", "check", "bans", "licenses", "sources"])
            .run()?;
    } else {
        say!("   cargo-deny is not installed: the rules above cover bans, licences and sources");
    }
    Ok(())
}

fn refuse_banned(root: &Path, name: &str) -> anyhow::Result<()> {
    let tree = [
        "tree",
        "--locked",
        "--workspace",
        "--edges",
        "all",
        "--invert",
        name,
    ];
    match Run::new(root, "cargo").args(tree).read() {
        Ok(users) if users.trim().is_empty() => Ok(()),
        Ok(users) => bail!(
            "{name} is banned (see deny.toml), but built:\n{}",
            users.trim_end()
        ),
        // cargo's words for a crate that is not even in the lock file.
        Err(error) if error.to_string().contains("did not match any packages") => Ok(()),
        Err(error) => Err(error),
    }
}

fn check_licences(root: &Path) -> anyhow::Result<usize> {
    let tree = [
        "tree",
        "--locked",
        "--workspace",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
    ];
    let listed = Run::new(root, "cargo")
        .args(tree)
        .args(["--format", "{p}|{l}|"])
        .read()?;
    let packages: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| line.split_once('|'))
        .collect();
    let refused: Vec<_> = packages
        .iter()
        .map(|(package, rest)| (package, rest.split('|').next().unwrap_or_default()))
        .filter(|(_, licence)| !licence::is_allowed(licence))
        .map(|(package, licence)| format!("{package}: `{licence}`"))
        .collect();
    if !refused.is_empty() {
        bail!("licences that are not on the list:\n{}", refused.join("\n"));
    }
    Ok(packages.len())
}

/// Everything comes from crates.io: the lock file names no git repository and no other registry.
fn check_sources(root: &Path) -> anyhow::Result<()> {
    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let foreign: BTreeSet<_> = sources
        .filter(|source| source.trim_matches('"') != CRATES_IO)
        .collect();
    if !foreign.is_empty() {
        bail!("Cargo.lock has packages from elsewhere than crates.io: {foreign:?}");
    }
    Ok(())
}

/// Tests enable no feature of a dependency that binaries lack: else cargo compiles it, and what stands
/// on it, once for each.
fn check_features(root: &Path) -> anyhow::Result<()> {
    // Of the target and of the host apart: one crate may be both, with features of its own.
    for (binaries, tests) in [
        ("normal,no-proc-macro", "normal,dev,no-proc-macro"),
        ("normal,build", "normal,build,dev"),
    ] {
        let (binaries, tests) = (features(root, binaries)?, features(root, tests)?);
        let differing: Vec<_> = binaries.difference(&tests).map(String::as_str).collect();
        if !differing.is_empty() {
            bail!(
                "tests enable more features of these, so they are compiled twice; name what enables \
                 them as a dependency of tests/e2e:\n{}",
                differing.join("\n")
            );
        }
    }
    Ok(())
}

/// Every package behind these edges, with its features.
fn features(root: &Path, edges: &str) -> anyhow::Result<BTreeSet<String>> {
    let tree = ["tree", "--locked", "--workspace", "--prefix", "none"];
    let listed = Run::new(root, "cargo")
        .args(tree)
        .args(["--format", "{p} {f} ", "--edges", edges])
        .read()?;
    let packages = listed.lines().filter_map(|line| line.rsplit_once(' '));
    Ok(packages.map(|(package, _)| package.to_owned()).collect())
}

/// Versions are stated once, in the workspace's table, and never as `*`.
fn check_versions(root: &Path) -> anyhow::Result<()> {
    for path in files(root)? {
        if path.file_name().is_none_or(|name| name != "Cargo.toml") || path.starts_with("fuzz") {
            continue;
        }
        let text = std::fs::read_to_string(root.join(&path))?;
        let is_root = path == Path::new("Cargo.toml");
        for line in dependency_lines(&text) {
            let is_stated_here = !is_root && !line.contains("workspace");
            if is_stated_here || line.contains("\"*\"") {
                bail!(
                    "{}: `{line}` must take its version from the workspace's table",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

/// The `name = …` lines of every dependency table of a manifest.
fn dependency_lines(manifest: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    manifest.lines().filter(move |line| {
        if line.starts_with('[') {
            is_inside = line.trim_end_matches(']').ends_with("dependencies");
            return false;
        }
        is_inside && !line.starts_with('#') && line.contains('=')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_lines_are_those_of_dependency_tables() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\n# b = 1\nc = \"1\"\n\n[lints]\nd = 1\n\
                        [target.'cfg(unix)'.dev-dependencies]\ne.workspace = true\n";
        let lines: Vec<_> = dependency_lines(manifest).collect();
        assert_eq!(lines, ["c = \"1\"", "e.workspace = true"]);
    }
}
