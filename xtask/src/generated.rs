//! The generated code of the SDK: `xtask/gen` writes it, and tells whether what is committed is what it
//! would write.

use std::path::Path;

use crate::{binary, run::Run};

/// Writes every generated file that differs.
///
/// # Errors
/// When a source cannot be read or a file cannot be written.
pub fn write(root: &Path) -> anyhow::Result<()> {
    generator(root)?.arg("write").run()
}

/// Fails when a generated file is not what would be written now.
///
/// # Errors
/// Its output names every file that drifted.
pub fn compare(root: &Path) -> anyhow::Result<()> {
    generator(root)?.arg("compare").run()
}

fn generator(root: &Path) -> anyhow::Result<Run> {
    let [program] = binary::build(root, ["sdk-gen"], false)?;
    Ok(Run::new(root, program))
}
