//! Rules for Markdown: links lead somewhere, and the commands that are shown exist.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::Finding;
use crate::Cli;

/// Checks every Markdown file among `paths`.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn check(root: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        let text = std::fs::read_to_string(root.join(path))?;
        for (index, line) in text.lines().enumerate() {
            let whats = dead_links(root, path, line).chain(unknown_commands(root, line));
            findings.extend(whats.map(|what| Finding {
                path: path.clone(),
                line: index + 1,
                what,
            }));
        }
    }
    Ok(findings)
}

/// Relative link targets that are not in the repository.
fn dead_links(root: &Path, path: &Path, line: &str) -> impl Iterator<Item = String> {
    let folder = root.join(path.parent().unwrap_or(Path::new("")));
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#', ' ']).next());
    let relative = targets.filter(|target| !target.is_empty() && !target.contains(':'));
    let dead = relative.filter(move |target| !folder.join(target).exists());
    dead.map(|target| format!("the link to `{target}` leads nowhere"))
}

/// `cargo xtask …` and `cargo run --bin …` that do not exist, wherever they are shown as code.
fn unknown_commands(root: &Path, line: &str) -> impl Iterator<Item = String> {
    let after = |start: &'static str| {
        let found = line
            .match_indices(start)
            .map(move |(at, _)| &line[at + start.len()..]);
        let is_word_end = |c: char| !c.is_alphanumeric() && !"-_".contains(c);
        found.filter_map(move |rest| rest.split(is_word_end).next())
    };
    let known = Cli::command();
    let tasks = after("cargo xtask ")
        .filter(move |name| !name.is_empty() && known.find_subcommand(name).is_none());
    let binaries = after("cargo run --bin ").filter(|name| !is_package(root, name));
    let tasks = tasks.map(|name| format!("there is no `cargo xtask {name}`"));
    tasks
        .chain(binaries.map(|name| format!("there is no binary `{name}`")))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Whether a package has that name; all binaries but the server have the name of theirs.
fn is_package(root: &Path, name: &str) -> bool {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    lock.contains(&format!("name = \"{name}\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(line: &str) -> Vec<String> {
        let root = crate::tree::root().unwrap();
        unknown_commands(&root, line).collect()
    }

    #[test]
    fn commands_that_exist_pass() {
        assert!(unknown("`cargo xtask demo` and `cargo run --bin terminal -- --url x`").is_empty());
        assert!(unknown("cargo xtask check && cargo xtask test").is_empty());
    }

    #[test]
    fn commands_that_do_not_exist_are_named() {
        assert_eq!(
            unknown("run `cargo xtask dance`"),
            ["there is no `cargo xtask dance`"]
        );
        assert_eq!(
            unknown("cargo run --bin nothing"),
            ["there is no binary `nothing`"]
        );
    }

    #[test]
    fn dead_links_are_named() {
        let root = crate::tree::root().unwrap();
        let dead = |line| dead_links(&root, Path::new("README.md"), line).collect::<Vec<_>>();
        assert!(
            dead("[a](Cargo.toml) [b](https://example.org) [c](#here) [d](xtask/src#x)").is_empty()
        );
        assert_eq!(
            dead("[a](nowhere.md)"),
            ["the link to `nowhere.md` leads nowhere"]
        );
    }
}
