//! Chaos, for a few minutes: processes die while people chat, and every promise is checked.

use std::path::Path;

use crate::chaos::{self, ChaosArgs};

/// Breaks things with a seed of its own each time, which is printed.
///
/// # Errors
/// When a promise was broken, or a program is missing.
pub fn chaos(root: &Path) -> anyhow::Result<()> {
    chaos::chaos(root, &ChaosArgs::in_tests())
}
