//! `sdk-gen`: writes the TypeScript SDK's copy of the protocol, or tells whether the committed one is what it
//! would write.
//!
//! A program apart from `xtask`, because it needs a parser of Rust and the protocol itself: `xtask` is what
//! everybody compiles first. Start reading at [`generate`].

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]
#![allow(
    unreachable_pub,
    reason = "nothing depends on this crate: `pub` means used by another module"
)]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};

mod files;
mod generate;

fn main() -> ExitCode {
    let action = std::env::args().nth(1);
    match run(action.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Option<&str>) -> anyhow::Result<()> {
    let root = root()?;
    match action {
        Some("write") => files::write(&root),
        Some("compare") => files::compare(&root),
        _ => bail!("say `write` or `compare`"),
    }
}

/// The repository that this crate lies in.
fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2);
    Ok(root
        .context("xtask/gen is not inside the repository")?
        .to_owned())
}
