//! The bench, small: that it measures everything, not how fast that is.

use std::path::Path;

use crate::bench::{self, BenchArgs};

/// Runs every scenario on every target with few people and for short times.
///
/// # Errors
/// When something cannot be measured, or a message is lost, repeated or out of order.
pub fn bench(root: &Path) -> anyhow::Result<()> {
    bench::bench(root, &BenchArgs::quick())
}
