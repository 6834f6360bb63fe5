//! Generated code: writes it, and tells whether what is committed is what would be written.

use std::path::Path;

use anyhow::{Context, bail};

use crate::generate::generate;

/// Writes every generated file that differs.
///
/// # Errors
/// When a source cannot be read or a file cannot be written.
pub fn write(root: &Path) -> anyhow::Result<()> {
    let files = generate(root)?;
    let mut written = 0;
    for (path, text) in &files {
        if is_current(root, path, text) {
            continue;
        }
        let target = root.join(path);
        let folder = target.parent().context("a generated file has a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&target, text).with_context(|| target.display().to_string())?;
        println!("   wrote {}", path.display());
        written += 1;
    }
    println!("   {} generated files, {written} written", files.len());
    Ok(())
}

/// Fails when a generated file is not what would be written now.
///
/// # Errors
/// Names every file that drifted.
pub fn compare(root: &Path) -> anyhow::Result<()> {
    let files = generate(root)?;
    let drifted: Vec<_> = files
        .iter()
        .filter(|(path, text)| !is_current(root, path, text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if !drifted.is_empty() {
        bail!(
            "run `cargo xtask gen`; these are out of date: {}",
            drifted.join(", ")
        );
    }
    println!("   {} generated files are up to date", files.len());
    Ok(())
}

fn is_current(root: &Path, path: &Path, text: &str) -> bool {
    std::fs::read_to_string(root.join(path)).is_ok_and(|found| found == text)
}
