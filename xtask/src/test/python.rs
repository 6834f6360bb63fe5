//! The second implementation of the protocol: a client in Python, written from SPEC.md alone.

use std::path::Path;

use crate::{binary, python, run::Run};

/// Runs its tests against the real server.
///
/// # Errors
/// When Python is missing or a test fails.
pub fn python(root: &Path) -> anyhow::Result<()> {
    let interpreter = python::interpreter(root)?;
    let [server] = binary::build(root, [binary::SERVER], false)?;
    Run::new(&python::folder(root), interpreter)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .env("NOWRONG_BIN", server)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()
}
