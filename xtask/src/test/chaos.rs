//! Chaos, for a few minutes: processes die while people chat, and every promise is checked.

use std::path::Path;

use crate::{
    chaos::{self, ChaosArgs},
    part::Form,
};

/// About one turn of the schedule, in which each kind of fault comes once.
const SHORT_MINUTES: f64 = 1.0;

/// Enough for faults to meet the consequences of other faults.
const LONG_MINUTES: f64 = 3.0;

/// Breaks things with a seed of its own each time, which is printed.
///
/// # Errors
/// When a promise was broken, or a program is missing.
pub fn chaos(root: &Path, form: Form) -> anyhow::Result<()> {
    chaos::chaos(
        root,
        &ChaosArgs::in_tests(form.of(SHORT_MINUTES, LONG_MINUTES)),
    )
}
