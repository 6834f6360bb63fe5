//! The tests of the TypeScript SDK and the build of the example page on it.

use std::path::Path;

use crate::{run::Run, stale};

/// Runs them.
///
/// # Errors
/// When a test fails, or the page does not build on the SDK.
pub fn sdk(root: &Path) -> anyhow::Result<()> {
    let sdk = root.join("sdk-ts");
    stale::install_npm(&sdk)?;
    Run::new(&sdk, "npm").args(["test"]).run()?;
    stale::build_page(root)
}
