//! The TypeScript SDK's copy of the protocol, written from the Rust definitions.
//!
//! Structs, enums, ids, constants and their doc comments are read from the sources of the protocol
//! crate ([`source`]); the tables of frames and codes come from the linked crate itself ([`table`]).
//! Nothing that Rust defines is written by hand in TypeScript. The output is a pure function of
//! the sources: one file per Rust module, each byte the same on every machine, so that the check
//! for drift is a comparison of text.
//!
//! Start reading at [`generate`]; the shape of one TypeScript item is in [`emit`].

use std::path::{Path, PathBuf};

use anyhow::Context as _;

mod doc;
mod emit;
mod name;
mod schema;
mod source;
mod table;
mod types;

/// Where the generated files lie, from the root of the repository.
const OUT: &str = "sdk-ts/src/generated";

/// The protocol's modules that become a TypeScript module each, in the order of their dependence.
const MODULES: &[(&str, &str)] = &[
    ("limits", "protocol/src/limits.rs"),
    ("version", "protocol/src/version.rs"),
    ("id", "protocol/src/id.rs"),
    ("position", "protocol/src/position.rs"),
    ("signal", "protocol/src/frame/signal.rs"),
    ("chat", "protocol/src/frame/chat.rs"),
    ("queue", "protocol/src/frame/queue.rs"),
    ("history", "protocol/src/frame/history.rs"),
    ("connect", "protocol/src/frame/connect.rs"),
];

/// Sources that are not generated, but have constants that the others are made from.
const CONSTANTS: &[&str] = &["protocol/src/envelope.rs"];

/// Every generated file: its path from `root`, and what it should hold.
///
/// # Errors
/// When a source cannot be read or parsed, or holds a type or item that has no TypeScript form.
pub fn generate(root: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut constants = source::Constants::new();
    for path in CONSTANTS {
        let learned = source::learn_all(&read(root, path)?, &mut constants);
        learned.with_context(|| format!("parsing {path}"))?;
    }
    let mut modules = Vec::new();
    for (name, path) in MODULES {
        let module = source::parse(name, path, &read(root, path)?, &mut constants);
        modules.push(module.with_context(|| format!("parsing {path}"))?);
    }
    let schema = schema::Schema::new(modules)?;

    let mut files = vec![
        file("code", table::codes(root)?),
        file("frame", table::frames(&schema)?),
    ];
    for module in &schema.modules {
        files.push(file(&module.name, emit::module(module, &schema)?));
    }
    files.sort();
    Ok(files)
}

fn read(root: &Path, path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"))
}

fn file(module: &str, text: String) -> (PathBuf, String) {
    (Path::new(OUT).join(format!("{module}.ts")), text)
}

#[cfg(test)]
mod tests;
