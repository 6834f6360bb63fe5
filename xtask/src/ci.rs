//! `cargo xtask ci`: what CI runs, which is `check` and `test` as one run, so that parts of one stand beside
//! parts of the other.

use std::path::Path;

use crate::{
    check,
    part::{self, Form, PartArgs},
    test,
};

/// Runs every part of both, in the short form.
///
/// # Errors
/// When a part failed.
pub fn ci(root: &Path) -> anyhow::Result<()> {
    let all = PartArgs::default();
    let mut parts = part::choose("check", check::PARTS, &all)?;
    parts.extend(part::choose("test", test::PARTS, &all)?);
    part::run_parts(root, parts, Form::Short)
}
