//! The tests in real browsers, against the real server and the built page.

use std::path::Path;

use crate::{binary, install, run::Run, stale};

/// Runs them in Chromium and Firefox.
///
/// # Errors
/// When a browser is missing and cannot be installed, or a test fails.
pub fn browser(root: &Path) -> anyhow::Result<()> {
    let chromium = install::require(
        &["chromium", "chromium-browser", "google-chrome"],
        "chromium",
    )?;
    let firefox = install::require(&["firefox-esr", "firefox"], "firefox-esr")?;
    stale::build_page(root)?;
    let [server] = binary::build(root, [binary::SERVER], false)?;
    let tests = root.join("tests/browser");
    stale::install_npm(&tests)?;
    Run::new(&tests, "npm")
        .args(["test"])
        .env("NOWRONG_BIN", server)
        .env("CHROMIUM", chromium)
        .env("FIREFOX", firefox)
        .run()
}
