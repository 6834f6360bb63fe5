//! Who may do what, what hostile clients can do, and whether every response is one that the OpenAPI document names.

use std::path::Path;

use super::rust;
use crate::{
    binary,
    part::Form,
    python,
    run::{Run, is_available},
    services,
};

/// The end-to-end tests of this part; the part `rust` leaves them out. In nextest's language.
pub(super) const TESTS: &str = "package(e2e) and test(/^(safety_|g10_g11_hostile)/)";

/// How the same tests are named for cargo alone.
const PREFIXES: [&str; 2] = ["safety_", "g10_g11_hostile"];

/// Generated requests for each route and phase of schemathesis.
const SHORT_EXAMPLES: u32 = 20;

/// As many as show what is rare.
const LONG_EXAMPLES: u32 = 500;

/// Runs the end-to-end tests, then schemathesis against a running server.
///
/// # Errors
/// When a test fails, a response is not in the document, or a program is missing.
pub fn safety(root: &Path, form: Form) -> anyhow::Result<()> {
    // The end-to-end tests start the binary that lies beside them.
    let [server] = binary::build(root, [binary::SERVER], false)?;
    let servers = services::for_tests(root)?;
    let cargo = || servers.tell(Run::new(root, "cargo"));
    if is_available("cargo", &["nextest", "--version"]) {
        cargo()
            .args(["nextest", "run", "-p", "e2e", "--locked"])
            .args(["--profile", "xtask", "--test-threads"])
            .arg(rust::threads().to_string())
            .args(["-E", TESTS])
            .run()?;
    } else {
        cargo()
            .args(["test", "-p", "e2e", "--locked", "--test", "all", "--"])
            .args(PREFIXES)
            .run()?;
    }
    let examples = form.of(SHORT_EXAMPLES, LONG_EXAMPLES);
    Run::new(&python::folder(root), python::interpreter(root)?)
        .args(["-m", "tests.described"])
        .arg(examples.to_string())
        .env("NOWRONG_BIN", server)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()
}
